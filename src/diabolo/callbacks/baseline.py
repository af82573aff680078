"""PCA of the same code size beside the run's own metrics."""

from __future__ import annotations

import logging
from typing import Any

from lightning import Callback, LightningModule, Trainer

from diabolo.callbacks.pictures import data_of, tensorboard
from diabolo.errors import check_int
from diabolo.measures.pca import LinearCode, fitting_images

log = logging.getLogger(__name__)


class PCABaseline(Callback):
    """Logs `val/pca_mse`, `val/pca_mae`, ... each epoch and `test/pca_*` at the end, fitted on the training images.

    Where there is a corruption, it restores the same corrupted images by projecting them on the components.

    Args:
        most_images: fit on so many of the training images at most, spread evenly over them; large images lower the
            number to what 2 GiB hold.
    """

    def __init__(self, most_images: int = 60_000) -> None:
        self.most_images = check_int("most_images", most_images, 2)
        self.code: LinearCode | None = None
        self.val: dict[str, float] = {}

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if data_of(trainer).has_val and (writer := tensorboard(trainer)) is not None:
            charts = {
                name: ["Multiline", [f"val/{name}", f"val/pca_{name}"]] for name in ("mse", "mae", "psnr", "ssim")
            }
            writer.add_custom_scalars({"beside PCA of the same size": charts})

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not self.val:  # the same in every epoch
            measured = self._measure(trainer, "val")
            self.val = {f"val/pca_{name}": value for name, value in measured.items()}
        pl_module.log_dict(self.val, rank_zero_only=True)

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        measured = self._measure(trainer, "test")
        pl_module.log_dict({f"test/pca_{name}": value for name, value in measured.items()}, rank_zero_only=True)

    def _measure(self, trainer: Trainer, split: str) -> dict[str, float]:
        given: Any = trainer.lightning_module.corrupted
        return self._fit(trainer, trainer.lightning_module).measure(data_of(trainer).parts(split), given)

    def _fit(self, trainer: Trainer, pl_module: LightningModule) -> LinearCode:
        if self.code is None:
            data = data_of(trainer)
            count = data.count("train")
            chosen = fitting_images(count, data.image_shape, self.most_images)
            if len(chosen) < count:
                log.info("PCA is fitted on %d of the %d training images", len(chosen), count)
            network: Any = trainer.lightning_module.trained()  # type: ignore[operator]
            self.code = LinearCode(data.images("train", chosen), network.code_size)
        return self.code
