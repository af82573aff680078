"""What a restoration is worth: classical methods on the same corrupted test images, beside the run's own figures."""

from __future__ import annotations

from math import prod
from typing import Any

import torch
import torch.nn.functional as F
from lightning import Callback, LightningModule, Trainer
from torch import Tensor
from torchmetrics import MeanMetric

from diabolo.callbacks.captions import labelled
from diabolo.callbacks.pictures import data_of, log_image, rows, tensorboard, with_decoder
from diabolo.errors import UserError, check_int
from diabolo.measures.metrics import Yardstick
from diabolo.measures.ridge import LARGEST, LinearMap

Figures = dict[str, dict[str, float]]  # method -> metric -> value
OWN = ""  # the name of the run itself among the methods
MEDIANS = (3, 5)  # sides of the median filters that are tried


class Restoration(Callback):
    """Logs `test/METHOD_mse`, `_mae`, `_psnr` and `_ssim` of methods that see what the network sees; the network's own
    are `test/mse` and so on. One method is common to all uses: `linear`, the affine map with the least squared error on
    the training images (`diabolo.measures.ridge`), where an image has up to 4,096 numbers.

    A table of them goes to TensorBoard's texts, and a picture of the first test images to `pictures/NAME/final.png`: a
    named row each for the clean images, the methods in their order and the run's restorations (`ours`).

    Args:
        images: how many are drawn.
        most_images: so many of the training images at most for the linear map, spread evenly over them; 0 for no map.

    Raises:
        UserError: the run has no corruption, or not the one that is measured here.
    """

    name = "restoration"

    def __init__(self, images: int = 10, most_images: int = 60_000) -> None:
        self.images = check_int("images", images)
        self.most_images = check_int("most_images", most_images, 0)
        self.linear: LinearMap | None = None

    def methods(self, module: Any, images: Tensor, given: Tensor, ours: Tensor) -> dict[str, Tensor]:
        """What the methods make of the corrupted images `given`, each N x C x H x W float32 in [0, 1].

        `images` are the clean ones as bytes, `ours` the run's restorations.
        """
        raise NotImplementedError

    def figures(self) -> Figures:
        """What has been measured, by method."""
        return {
            name: {metric: float(value) for metric, value in yardstick.compute().items()}
            for name, yardstick in self.yardsticks.items()
        }

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        with_decoder(pl_module)
        if pl_module.corruption is None:
            raise UserError(f"callbacks.{self.name} measures restorations: choose a corruption=NAME.")

    def on_test_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.yardsticks: dict[str, Yardstick] = {}
        self.shown: dict[str, Tensor] = {}
        data = data_of(trainer)
        if self.most_images and prod(data.image_shape) <= LARGEST and self.linear is None:
            count = data.count("train")
            places = torch.linspace(0, count - 1, min(count, self.most_images), dtype=torch.float64).round().long()
            parts = (data.images("train", part).to(pl_module.device) for part in places.split(data.eval_batch_size))
            self.linear = LinearMap((pl_module.corrupted(part), part.float() / 255) for part in parts)  # type: ignore[operator]

    def on_test_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int, _: int = 0
    ) -> None:
        clean, given = batch[0].float() / 255, pl_module.corrupted(batch[0])  # type: ignore[operator]
        restored = self.methods(pl_module, batch[0], given, outputs["reconstructions"])
        if self.linear is not None:
            restored["linear"] = self.linear(given)
        for name, images in restored.items():
            yardstick = self.yardsticks.setdefault(name, Yardstick().to(pl_module.device))
            yardstick.update(images, clean)
        if not batch_idx:
            strips = {"clean": clean, **restored, "ours": outputs["reconstructions"]}
            self.shown = {name.replace("_", " "): strip[: self.images].cpu() for name, strip in strips.items()}

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        figures = self.figures()
        logged = {
            f"test/{name}_{metric}".replace("/_", "/"): value
            for name, own in figures.items()
            for metric, value in own.items()
        }
        pl_module.log_dict(logged, rank_zero_only=True)
        self.measured = figures

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.is_global_zero or not trainer.global_step:  # an evaluation alone has made no step
            return
        picture = labelled(rows(self.shown.values()), list(self.shown))
        log_image(trainer, self.name, (picture * 255).round().byte(), None)
        if (writer := tensorboard(trainer)) is not None:
            own = {name: float(trainer.callback_metrics[f"test/{name}"]) for name in ("mse", "mae", "psnr", "ssim")}
            own |= self.measured.pop(OWN, {})
            writer.add_text(self.name, _table(self.measured | {"this run": own}), trainer.current_epoch)


class Denoising(Restoration):
    """Against the noisy images themselves (`noisy`) and median filters of 3x3 and 5x5 pixels (`median_3`, `median_5`;
    `median` is the better of them on these very images, `test/median_side` says which). For any corruption."""

    name = "denoising"

    def methods(self, module: Any, images: Tensor, given: Tensor, ours: Tensor) -> dict[str, Tensor]:
        return {"noisy": given} | {f"median_{side}": median_filter(given, side) for side in MEDIANS}

    def figures(self) -> Figures:
        measured = super().figures()
        best = min(MEDIANS, key=lambda side: measured[f"median_{side}"]["mse"])
        return measured | {"median": measured[f"median_{best}"] | {"side": best}}


class SuperResolution(Restoration):
    """Against nearest, bilinear and bicubic interpolation of the small images (`nearest`, which is what the network
    sees, `bilinear` and `bicubic`, which is clipped to [0, 1]). For corruption=downsample."""

    name = "super_resolution"

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        with_decoder(pl_module)
        if not hasattr(pl_module.corruption, "reduce"):
            raise UserError("callbacks.super_resolution measures interpolations: choose corruption=downsample.")

    def methods(self, module: Any, images: Tensor, given: Tensor, ours: Tensor) -> dict[str, Tensor]:
        small = module.corruption.reduce(images)
        size = list(given.shape[2:])
        return {
            "nearest": given,
            "bilinear": F.interpolate(small, size=size, mode="bilinear"),
            "bicubic": F.interpolate(small, size=size, mode="bicubic").clamp(0, 1),
        }


class Inpainting(Restoration):
    """Against the block as it is (`filled`) and filled with the mean training image (`mean_fill`); `pasted` is the
    run's restoration within the block and what was given around it. For corruption=block.

    Also logs the errors within the block and outside it: `test/inside_mse` and `test/outside_mse` of the run's own
    restoration, `test/mean_fill_inside_mse` and so on of the methods.
    """

    name = "inpainting"

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        with_decoder(pl_module)
        if not hasattr(pl_module.corruption, "mask"):
            raise UserError("callbacks.inpainting measures what is filled in: choose corruption=block.")

    def on_test_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_test_epoch_start(trainer, pl_module)
        self.errors: dict[tuple[str, str], MeanMetric] = {}
        data = data_of(trainer)
        total = sum(part.sum(0, dtype=torch.float64) for part in data.parts("train"))
        self.mean = (total / (255 * data.count("train"))).float().to(pl_module.device)  # type: ignore[union-attr]

    def methods(self, module: Any, images: Tensor, given: Tensor, ours: Tensor) -> dict[str, Tensor]:
        inside = module.corruption.mask(images)
        restored = {
            "filled": given,
            "mean_fill": torch.where(inside, self.mean, given),
            "pasted": torch.where(inside, ours, given),
        }
        for name, strip in (restored | {OWN: ours} | ({"linear": self.linear(given)} if self.linear else {})).items():
            wrong = (strip - images.float() / 255).square().mean(1, keepdim=True)  # N x 1 x H x W
            for place, there in (("inside", inside), ("outside", ~inside)):
                mean = self.errors.setdefault((name, place), MeanMetric().to(module.device))
                mean.update(wrong, there.float())
        return restored

    def figures(self) -> Figures:
        measured = super().figures()
        for (name, place), mean in self.errors.items():
            measured.setdefault(name, {})[f"{place}_mse"] = float(mean.compute())
        return measured


def median_filter(images: Tensor, side: int) -> Tensor:
    """Each value's median over the `side` x `side` pixels around it in its channel; the border is reflected without
    repeating the edge. `side` is odd. N x C x H x W -> N x C x H x W."""
    count, channels, height, width = images.shape
    padded = F.pad(images, [side // 2] * 4, mode="reflect")
    around = F.unfold(padded.flatten(0, 1)[:, None], side)  # NC x side^2 x HW
    return around.median(1).values.view(count, channels, height, width)


def _table(figures: Figures) -> str:
    """The figures as a table in Markdown."""
    metrics = list(dict.fromkeys(metric for own in figures.values() for metric in own))
    lines = [["", *metrics], ["---"] * (len(metrics) + 1)]
    for name, own in figures.items():
        lines.append([name, *(f"{own[metric]:.4g}" if metric in own else "" for metric in metrics)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
