"""PCA of the same code size beside the run's own metrics."""

from __future__ import annotations

from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from torch import Tensor

from diabolo.callbacks.pictures import data_of, tensorboard
from diabolo.data.pixels import unit_interval
from diabolo.errors import check_int
from diabolo.measures.metric_names import YARDSTICK
from diabolo.measures.pca import LinearCode, pca_of


class PCABaseline(Callback):
    """Logs the yardstick of PCA of the same code size, fitted on the training images: `val/pca_mse`, `val/pca_mae`, ...
    each epoch and `test/pca_*` at the end.

    If there is a corruption, PCA restores the same corrupted images, by projecting them on the components.

    Args:
        most_images: the most training images to fit on, spread evenly over them; large images lower the number to what
            2 GiB hold.
    """

    def __init__(self, most_images: int = 60_000) -> None:
        self.most_images = check_int("most_images", most_images, 2)
        self.val: dict[str, float] = {}

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if data_of(trainer).has_val and (writer := tensorboard(trainer)) is not None:
            charts = {name: ["Multiline", [f"val/{name}", f"val/pca_{name}"]] for name in YARDSTICK}
            writer.add_custom_scalars({"beside PCA of the same size": charts})

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not self.val:  # the same in every epoch
            self.val = self._measure(trainer, pl_module, "val")
        pl_module.log_dict(self.val, rank_zero_only=True)

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        pl_module.log_dict(self._measure(trainer, pl_module, "test"), rank_zero_only=True)

    def errors(self, trainer: Trainer, module: Any) -> Tensor:
        """PCA's squared error of each test image, per pixel in [0, 1]: N float32, in the split's order."""
        pca = self._pca(trainer, module)
        found = []
        for part in data_of(trainer).parts("test"):
            difference = pca.reconstruct(module.corrupted(part)) - unit_interval(part)
            found.append(difference.square().flatten(1).mean(1))
        return torch.cat(found)

    def _measure(self, trainer: Trainer, module: Any, split: str) -> dict[str, float]:
        measured = self._pca(trainer, module).measure(data_of(trainer).parts(split), module.corrupted)
        return {f"{split}/pca_{name}": value for name, value in measured.items()}

    def _pca(self, trainer: Trainer, module: Any) -> LinearCode:
        return pca_of(data_of(trainer), module.trained().code_size, self.most_images)
