"""What a restoration is worth: classical methods on the same corrupted test images, beside the run's own metrics."""

from __future__ import annotations

from math import prod
from typing import Any

import torch
import torch.nn.functional as F
from lightning import Callback, LightningModule, Trainer
from torch import Tensor
from torchmetrics import MeanMetric

from diabolo.callbacks.layout import labelled, rows
from diabolo.callbacks.pictures import after_training, data_of, log_image, reconstructing, tensorboard
from diabolo.data.pixels import brightest, unit_interval
from diabolo.data.protocols import Masks, Reduces
from diabolo.data.subsets import evenly_spaced
from diabolo.errors import UserError, check_int
from diabolo.measures.metric_names import YARDSTICK
from diabolo.measures.ridge import LARGEST, LinearMap
from diabolo.measures.yardstick import Yardstick

Figures = dict[str, dict[str, float]]  # method -> metric -> value
OWN = ""  # the name of the run itself among the methods
MEDIANS = (3, 5)  # sides of the median filters that are tried


class Restoration(Callback):
    """Logs `test/METHOD_mse`, `_mae`, `_psnr` and `_ssim` of methods that see what the network sees; the network's own
    are `test/mse` and so on. A subclass sets `name` and defines `methods`.

    One method is common to all of them: `linear`, the affine map with the least squared error on the training images
    (`diabolo.measures.ridge`), if an image has no more than 4,096 numbers.

    A table of them goes to TensorBoard's texts, and a picture of the first test images to `pictures/NAME/final.png`: a
    labelled row each for the clean images, the methods in their order and the run's restorations (`this run`).

    Args:
        images: how many are drawn, from the start of the test split.
        most_images: the most training images for the linear map, spread evenly over them; 0 for no map.

    Raises:
        UserError: the run has no corruption, or another one than is measured here.
    """

    name = "restoration"

    def __init__(self, images: int = 10, most_images: int = 60_000) -> None:
        self.images = check_int("images", images)
        self.most_images = check_int("most_images", most_images, 0)
        self.linear: LinearMap | None = None

    def methods(self, module: Any, images: Tensor, corrupted: Tensor, restored: Tensor) -> dict[str, Tensor]:
        """The restorations by each method, N x C x H x W float32 in the scale of [0, 1].

        Args:
            images: the clean images, N x C x H x W, as stored.
            corrupted: what the network saw of them, N x C x H x W float32 in [0, 1].
            restored: what the network made of that, N x C x H x W float32 in the scale of [0, 1].
        """
        raise NotImplementedError

    def figures(self) -> Figures:
        """What has been measured, by method."""
        return {
            name: {metric: float(value) for metric, value in yardstick.compute().items()}
            for name, yardstick in self.yardsticks.items()
        }

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if reconstructing(pl_module).corruption is None:
            raise UserError(f"callbacks.{self.name} measures restorations: choose a corruption=NAME.")

    def on_test_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.yardsticks: dict[str, Yardstick] = {}
        self.shown: dict[str, Tensor] = {}
        data, module = data_of(trainer), reconstructing(pl_module)
        if self.most_images and prod(data.image_shape) <= LARGEST and self.linear is None:
            places = evenly_spaced(data.count("train"), self.most_images)
            parts = (data.images("train", part).to(module.device) for part in places.split(data.eval_batch_size))
            self.linear = LinearMap((module.corrupted(part), unit_interval(part)) for part in parts)

    def on_test_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int, _: int = 0
    ) -> None:
        clean, corrupted = unit_interval(batch[0]), reconstructing(pl_module).corrupted(batch[0])
        restored = self.methods(pl_module, batch[0], corrupted, outputs["reconstructions"])
        if self.linear is not None:
            restored["linear"] = self.linear(corrupted)
        for name, images in restored.items():
            further = reconstructing(pl_module).metrics
            yardstick = self.yardsticks.setdefault(name, Yardstick(further).to(pl_module.device))
            yardstick.update(images, clean)
        if not batch_idx:
            strips = {"clean": clean, **restored, "this run": outputs["reconstructions"]}
            shown = data_of(trainer).shown
            self.shown = {name.replace("_", " "): shown(strip[: self.images]).cpu() for name, strip in strips.items()}

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.measured = self.figures()
        for name, own in self.measured.items():
            prefix = f"test/{name}_" if name != OWN else "test/"
            pl_module.log_dict({f"{prefix}{metric}": value for metric, value in own.items()}, rank_zero_only=True)

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not after_training(trainer):
            return
        log_image(trainer, self.name, labelled(rows(self.shown.values()), list(self.shown)), None)
        if (writer := tensorboard(trainer)) is not None:
            names = (*YARDSTICK, *reconstructing(pl_module).metrics)
            own = {name: float(trainer.callback_metrics[f"test/{name}"]) for name in names}
            own |= self.measured.pop(OWN, {})
            writer.add_text(self.name, _table(self.measured | {"this run": own}), trainer.current_epoch)


class Denoising(Restoration):
    """Beside the noisy images themselves (`noisy`) and median filters of 3x3 and 5x5 pixels (`median_3`, `median_5`;
    `median` is the better of the two on these very images, `test/median_side` says which). For any corruption.

    Args:
        images, most_images: as in `Restoration`.
    """

    name = "denoising"

    def methods(self, module: Any, images: Tensor, corrupted: Tensor, restored: Tensor) -> dict[str, Tensor]:
        return {"noisy": corrupted} | {f"median_{side}": median_filter(corrupted, side) for side in MEDIANS}

    def figures(self) -> Figures:
        measured = super().figures()
        best = min(MEDIANS, key=lambda side: measured[f"median_{side}"]["mse"])
        return measured | {"median": measured[f"median_{best}"] | {"side": best}}


class SuperResolution(Restoration):
    """Beside nearest, bilinear and bicubic interpolation of the small images (`nearest`, which is what the network
    sees, `bilinear` and `bicubic`, which is clipped to [0, 1]). For corruption=downsample.

    Args:
        images, most_images: as in `Restoration`.
    """

    name = "super_resolution"

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if not isinstance(reconstructing(pl_module).corruption, Reduces):
            raise UserError("callbacks.super_resolution measures interpolations: choose corruption=downsample.")

    def methods(self, module: Any, images: Tensor, corrupted: Tensor, restored: Tensor) -> dict[str, Tensor]:
        small = module.corruption.reduce(images)
        size = list(corrupted.shape[2:])
        return {
            "nearest": corrupted,
            "bilinear": F.interpolate(small, size=size, mode="bilinear"),
            "bicubic": F.interpolate(small, size=size, mode="bicubic").clamp(0, 1),
        }


class Inpainting(Restoration):
    """Beside the block as it is (`filled`) and filled with the mean training image (`mean_fill`); `pasted` is the run's
    restoration inside the block and the corrupted image around it. For corruption=block.

    Also logs the errors inside the block and outside it: `test/inside_mse` and `test/outside_mse` of the run's own
    restoration, `test/mean_fill_inside_mse` and so on of the methods.

    Args:
        images, most_images: as in `Restoration`.
    """

    name = "inpainting"

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if not isinstance(reconstructing(pl_module).corruption, Masks):
            raise UserError("callbacks.inpainting measures what is filled in: choose corruption=block.")

    def on_test_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_test_epoch_start(trainer, pl_module)
        self.errors: dict[tuple[str, str], MeanMetric] = {}
        data = data_of(trainer)
        total = torch.zeros(data.image_shape, dtype=torch.float64)
        for part in data.parts("train"):
            total += part.sum(0, dtype=torch.float64)
        white = brightest(data.images("train", [0]))
        self.mean_image = (total / (white * data.count("train"))).float().to(pl_module.device)  # C x H x W in [0, 1]

    def methods(self, module: Any, images: Tensor, corrupted: Tensor, restored: Tensor) -> dict[str, Tensor]:
        inside = module.corruption.mask(images)
        methods = {
            "filled": corrupted,
            "mean_fill": torch.where(inside, self.mean_image, corrupted),
            "pasted": torch.where(inside, restored, corrupted),
        }
        linear = {"linear": self.linear(corrupted)} if self.linear else {}
        for name, images_of in (methods | {OWN: restored} | linear).items():
            error = (images_of - unit_interval(images)).square().mean(1, keepdim=True)  # N x 1 x H x W
            for place, there in (("inside", inside), ("outside", ~inside)):
                mean = self.errors.setdefault((name, place), MeanMetric().to(module.device))
                mean.update(error, there.float())
        return methods

    def figures(self) -> Figures:
        measured = super().figures()
        for (name, place), mean in self.errors.items():
            measured.setdefault(name, {})[f"{place}_mse"] = float(mean.compute())
        return measured


def median_filter(images: Tensor, side: int) -> Tensor:
    """The median of the `side` x `side` pixels around each pixel, in its channel: N x C x H x W -> N x C x H x W.

    The border is reflected without repeating the edge; `side` is odd.
    """
    count, channels, height, width = images.shape
    padded = F.pad(images, [side // 2] * 4, mode="reflect")
    around = F.unfold(padded.flatten(0, 1)[:, None], side)  # NC x side^2 x HW
    return around.median(1).values.view(count, channels, height, width)


def _table(figures: Figures) -> str:
    """A table in Markdown, a line for each method and a column for each metric."""
    metrics = list(dict.fromkeys(metric for own in figures.values() for metric in own))
    lines = [["", *metrics], ["---"] * (len(metrics) + 1)]
    for name, own in figures.items():
        lines.append([name, *(f"{own[metric]:.4g}" if metric in own else "" for metric in metrics)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
