"""Error against code size from one run: what the first numbers of a nested code can do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from torch import Tensor

from diabolo.callbacks.captions import labelled, plotted
from diabolo.callbacks.pictures import data_of, rows, save, tensorboard, with_decoder
from diabolo.errors import UserError, check_int, check_ints
from diabolo.measures.pca import LinearCode, fitting_images

NAME = "mse_at"


class Truncation(Callback):
    """Logs `test/mse_at/K` and `test/pca_mse_at/K`: the MSE of the test images, per pixel in [0, 1], from the first K
    numbers of their codes, and that of PCA with K components, fitted on the training images.

    The kept weights are measured. `pictures/mse_at/final.png` is the curve, `pictures/truncations/final.png` the
    first test images, in the first row, from ever more numbers, in a row per K.

    Args:
        sizes: the Ks; null for those that the bottleneck was trained on.
        images: test images in the picture.
        most_images: PCA is fitted on so many training images at most, spread evenly over them.

    Raises:
        UserError: the bottleneck has no first numbers, or the code not so many.
    """

    def __init__(self, sizes: Sequence[int] | None = None, images: int = 10, most_images: int = 60_000) -> None:
        self.sizes = sizes if sizes is None else sorted(set(check_ints("sizes", sizes)))
        self.images = check_int("images", images)
        self.most_images = check_int("most_images", most_images, 2)
        self.squared = torch.zeros(0)
        self.figures: dict[int, tuple[float, float]] = {}  # size: ours, PCA's

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        bottleneck: Any = with_decoder(pl_module).bottleneck
        if not hasattr(bottleneck, "truncate"):
            raise UserError(
                f"the first numbers of a code say nothing by themselves with {type(bottleneck).__name__}: choose"
                " bottleneck=nested, or drop the callback truncation."
            )
        self.kept = self.sizes or bottleneck.sizes
        if self.kept[-1] > bottleneck.size:
            raise UserError(f"`sizes` names {self.kept[-1]}, but `bottleneck.size` is {bottleneck.size}.")

    def on_test_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.squared = torch.zeros(len(self.kept) + 1, dtype=torch.float64, device=pl_module.device)  # last: numbers

    def on_test_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int, _: int = 0
    ) -> None:
        theirs = outputs["targets"]
        for place, ours in enumerate(self._truncated(pl_module, outputs["codes"])):
            self.squared[place] += (ours - theirs).square().sum(dtype=torch.float64)
        self.squared[-1] += theirs.numel()

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        *squared, numbers = trainer.strategy.reduce(self.squared, reduce_op="sum").tolist()
        data = data_of(trainer)
        training = data.images("train", fitting_images(data.count("train"), data.image_shape, self.most_images))
        linear = LinearCode(training, self.kept[-1]).mse_by_size(data.parts("test"))
        for size, total in zip(self.kept, squared, strict=True):
            self.figures[size] = total / numbers, float(linear[min(size, len(linear)) - 1])
        for size, (ours, theirs) in self.figures.items():
            figures = {f"test/mse_at/{size}": ours, f"test/pca_mse_at/{size}": theirs}
            pl_module.log_dict(figures, rank_zero_only=True)

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.is_global_zero or not trainer.global_step:  # an evaluation alone has made no step
            return
        data, writer = data_of(trainer), tensorboard(trainer)
        pixels = data.images("test", range(min(self.images, data.count("test")))).to(pl_module.device)
        with torch.no_grad():
            codes = pl_module.encode(pixels).float()  # type: ignore[operator]
            lines = rows([pixels.float() / 255, *self._truncated(pl_module, codes)])
        lines = labelled(lines, ["image", *(f"first {size}" for size in self.kept)])
        for name, picture in ((NAME, self._curve()), ("truncations", lines)):
            drawn = (picture * 255).round().byte()
            if writer is not None:
                writer.add_image(f"{name}/final", drawn, trainer.current_epoch)
            save(drawn, Path(trainer.default_root_dir) / "pictures" / name, None)

    def _truncated(self, module: Any, codes: Tensor) -> list[Tensor]:
        truncate = module.autoencoder.bottleneck.truncate
        return [module.decode(truncate(codes, size)) for size in self.kept]

    def _curve(self) -> Tensor:
        from matplotlib.figure import Figure
        from matplotlib.ticker import NullLocator, StrMethodFormatter

        figure = Figure(figsize=(8, 5), dpi=100, layout="constrained")
        axes = figure.subplots()
        for name, values in zip(("this run", "PCA"), zip(*self.figures.values(), strict=True), strict=True):
            axes.plot(self.kept, values, "o-" if name == "this run" else "s--", markersize=4, label=name)
        axes.set(xscale="log", yscale="log", xlabel="numbers of the code", ylabel="test MSE per pixel in [0, 1]")
        ticks = [size for size in (1, 2, 3, 5, 8, 12, 16, 24, 32, 48, 64, 96, 128) if size <= self.kept[-1]]
        axes.set_xticks(ticks, [str(tick) for tick in ticks])
        axes.xaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.yaxis.set_minor_formatter(StrMethodFormatter("{x:g}"))
        axes.set_title("Error against code size, from one nested run")
        axes.legend(frameon=False, loc="upper right")
        axes.grid(alpha=0.3, which="both")
        return plotted(figure)
