"""Error against code size from one run: how good the first numbers of a nested code are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from torch import Tensor

from diabolo.callbacks.layout import figure_image, labelled, rows
from diabolo.callbacks.pictures import after_training, data_of, log_image, reconstructing
from diabolo.data.pixels import unit_interval
from diabolo.errors import ConfigError, UserError, check_int, check_ints
from diabolo.measures.pca import pca_of
from diabolo.measures.precise import has_float64, precise_sum
from diabolo.network.protocols import CanTruncate

TICKS = (1, 2, 3, 5, 8, 12, 16, 24, 32, 48, 64, 96, 128)  # of the curve's axis of code sizes


class Truncation(Callback):
    """Logs `test/mse_at/K` and `test/pca_mse_at/K`: the MSE of the test images, per pixel in [0, 1], from the first K
    numbers of their codes, and that of PCA with K components, fitted on the training images.

    The best weights are measured. `pictures/mse_at/final.png` is the curve; `pictures/truncations/final.png` shows the
    first test images in its first row, and their reconstructions from the first K numbers in a row for each K.

    Args:
        sizes: the Ks; null for those that the bottleneck was trained on.
        images: test images in the picture.
        most_images: the most training images that PCA is fitted on, spread evenly over them.

    Raises:
        UserError: the bottleneck cannot decode the first numbers of a code, or a K is larger than the code.
    """

    def __init__(self, sizes: Sequence[int] | None = None, images: int = 10, most_images: int = 60_000) -> None:
        self.sizes = sizes if sizes is None else sorted(set(check_ints("sizes", sizes)))
        self.images = check_int("images", images)
        self.most_images = check_int("most_images", most_images, 2)
        self.squared = torch.zeros(0)
        self.figures: dict[int, tuple[float, float]] = {}  # K: the run's MSE, PCA's

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        bottleneck = reconstructing(pl_module).autoencoder.bottleneck
        if not isinstance(bottleneck, CanTruncate):
            raise UserError(
                f"the first numbers of a code are no code of their own with {type(bottleneck).__name__}: choose"
                " bottleneck=nested, or drop the callback truncation."
            )
        self.measured, size = self.sizes or bottleneck.sizes, reconstructing(pl_module).autoencoder.code_size
        if self.measured[-1] > size:
            raise ConfigError(
                "callbacks.truncation.sizes",
                self.sizes,
                f"names {self.measured[-1]}, but `bottleneck.size` is {size}: choose sizes up to it",
            )

    def on_test_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # the sum of squared errors for each K, and last the number of pixel values
        device = pl_module.device if has_float64(pl_module.device) else None
        self.squared = torch.zeros(len(self.measured) + 1, dtype=torch.float64, device=device)

    def on_test_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int, _: int = 0
    ) -> None:
        targets = outputs["targets"]
        for place, reconstructions in enumerate(self._truncated(pl_module, outputs["codes"], batch[1])):
            self.squared[place] += precise_sum((reconstructions - targets).square())
        self.squared[-1] += targets.numel()

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        *squared, numbers = trainer.strategy.reduce(self.squared, reduce_op="sum").tolist()
        data = data_of(trainer)
        pca = pca_of(data, self.measured[-1], self.most_images).mse_by_size(data.parts("test"))
        for size, total in zip(self.measured, squared, strict=True):
            self.figures[size] = total / numbers, float(pca[min(size, len(pca)) - 1])
        for size, (own, linear) in self.figures.items():
            pl_module.log_dict({f"test/mse_at/{size}": own, f"test/pca_mse_at/{size}": linear}, rank_zero_only=True)

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not after_training(trainer):
            return
        data, module = data_of(trainer), reconstructing(pl_module)
        pixels = data.images("test", range(min(self.images, data.count("test")))).to(module.device)
        with torch.no_grad():
            labels = data.labels("test")[: len(pixels)]
            codes = module.encode(pixels, labels).float()
            picture = rows(map(data.shown, [unit_interval(pixels), *self._truncated(module, codes, labels)]))
        log_image(trainer, "mse_at", self._curve(), None)
        log_image(trainer, "truncations", labelled(picture, ["image", *(f"first {k}" for k in self.measured)]), None)

    def _truncated(self, module: Any, codes: Tensor, labels: Tensor) -> list[Tensor]:
        truncate = module.autoencoder.bottleneck.truncate
        return [module.decode(truncate(codes, size), labels) for size in self.measured]

    def _curve(self) -> Tensor:
        from matplotlib.figure import Figure
        from matplotlib.ticker import NullLocator, StrMethodFormatter

        figure = Figure(figsize=(8, 5), dpi=100, layout="constrained")
        axes = figure.subplots()
        for name, values in zip(("this run", "PCA"), zip(*self.figures.values(), strict=True), strict=True):
            axes.plot(self.measured, values, "o-" if name == "this run" else "s--", markersize=4, label=name)
        axes.set(xscale="log", yscale="log", xlabel="numbers of the code", ylabel="test MSE per pixel in [0, 1]")
        ticks = [tick for tick in TICKS if tick <= self.measured[-1]]
        axes.set_xticks(ticks, [str(tick) for tick in ticks])
        axes.xaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.yaxis.set_minor_formatter(StrMethodFormatter("{x:g}"))
        axes.set_title("Error against code size, from one nested run")
        axes.legend(frameon=False, loc="upper right")
        axes.grid(alpha=0.3, which="both")
        return figure_image(figure)
