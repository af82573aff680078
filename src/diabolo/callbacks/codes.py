"""What the code looks like: histograms, dead units, a constant output, the embedding projector."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, cast

import torch
import torch.nn.functional as F
from lightning import Callback, LightningModule, Trainer
from torch import Tensor

from diabolo.callbacks.layout import shrink
from diabolo.callbacks.pictures import SPLITS, asking, data_of, encoded, tensorboard
from diabolo.callbacks.sparing import sparing
from diabolo.data.pixels import unit_interval
from diabolo.errors import check_choice, check_int

if TYPE_CHECKING:
    from diabolo.training.autoencoder_module import AutoencoderModule

log = logging.getLogger(__name__)

THUMBNAIL = 48  # pixels; the projector takes a sheet of at most 8,192 pixels a side
DEAD = 1e-4  # a unit is dead if it varies less than this part of the most varying unit
FLOAT_NOISE = 1e-6  # ... or less than this part of its own magnitude
CONSTANT = 1e-3  # the output is constant if it varies less than this part of the images' own variation


def dead_units(codes: Tensor) -> int:
    """How many units say nothing about the image, since they hardly vary over the N images: codes N x size."""
    deviation, magnitude = codes.double().std(0), codes.double().abs().mean(0)
    floor = torch.maximum(DEAD * deviation.max(), FLOAT_NOISE * magnitude.clamp(min=1))
    return int((deviation <= floor).sum())


def is_constant(reconstructions: Tensor, images: Tensor) -> bool:
    """Whether the output is the same for all images, up to `CONSTANT` of their variation; both N x C x H x W."""
    return bool(reconstructions.double().std(0).mean() <= CONSTANT * images.double().std(0).mean())


class Codes(Callback):
    """Logs `code/dead_units`, a count, and `output/constant`, 0 or 1, after each epoch and for the best weights, and
    histograms of the codes.

    Warns when the output has been the same for every image, or units of the code dead, for `patience` epochs in a row:
    many networks begin with the mean image and leave it soon.

    Args:
        images: how many from the start of the split are looked at.
        patience: epochs in a row after which to warn.
        histogram_every_n_epochs: 0 for none.
        split: train, val or test.

    Raises:
        ConfigError: a number or a split that is none.
    """

    def __init__(
        self, images: int = 512, patience: int = 3, histogram_every_n_epochs: int = 5, split: str = "test"
    ) -> None:
        self.images = check_int("images", images, 2)
        self.patience = check_int("patience", patience)
        self.histogram_every_n_epochs = check_int("histogram_every_n_epochs", histogram_every_n_epochs, 0)
        self.split = check_choice("split", split, SPLITS)
        self.faulty_epochs = 0

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        codes, fault = self._look(trainer, pl_module)
        self.faulty_epochs = self.faulty_epochs + 1 if fault else 0
        epoch = trainer.current_epoch + 1
        if self.faulty_epochs == self.patience and trainer.is_global_zero:
            log.warning("warning: %s (for %d epochs, up to epoch %d)", fault, self.patience, epoch)
        every, writer = self.histogram_every_n_epochs, tensorboard(trainer)
        if writer is not None and trainer.is_global_zero and every and epoch % every == 0:
            with sparing(trainer, "codes"):
                writer.add_histogram("code/values", codes, epoch)
                writer.add_histogram("code/deviation_of_units", codes.std(0), epoch)

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._look(trainer, pl_module)

    def _look(self, trainer: Trainer, module: LightningModule) -> tuple[Tensor, str]:
        """The codes, and what is wrong with them or with the output, if anything; logs both metrics."""
        data = data_of(trainer)
        split = self.split if data.count(self.split) > 1 else "train"
        pixels = data.images(split, range(min(self.images, data.count(split))))
        labels = data.labels(split)[: len(pixels)]
        with asking(module):
            parts = zip(*(every.split(data.eval_batch_size) for every in (pixels, labels)), strict=True)
            asked = [self._ask(cast("AutoencoderModule", module), *part) for part in parts]
        codes, reconstructions = (torch.cat(parts) for parts in zip(*asked, strict=True))
        dead, constant = dead_units(codes), is_constant(reconstructions, unit_interval(pixels))
        module.log_dict({"code/dead_units": float(dead), "output/constant": float(constant)}, rank_zero_only=True)
        if constant:
            return codes, "the output is the same for every image, the network ignores its input"
        return codes, f"{dead} of {codes.shape[1]} code units are dead, the same for every image" if dead else ""

    @staticmethod
    def _ask(module: AutoencoderModule, pixels: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        codes = module.encode(module.corrupted(pixels.to(module.device)), labels).float()
        return codes.cpu(), module.decode(codes, labels).cpu()


class Projector(Callback):
    """Shows the codes of the best weights in TensorBoard's projector, with thumbnails and labels.

    Args:
        images: how many from the start of the split; one takes about .2 ms.
        split: train, val or test.
    """

    def __init__(self, images: int = 500, split: str = "test") -> None:
        self.images = check_int("images", images, 1)
        self.split = check_choice("split", split, SPLITS)

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        writer, data = tensorboard(trainer), data_of(trainer)
        if writer is None or not trainer.is_global_zero:
            return
        chosen = range(min(self.images, data.count(self.split)))
        pixels = data.images(self.split, chosen)
        with asking(pl_module):
            codes = encoded(cast("AutoencoderModule", pl_module), data, self.split, self.images)
        labels = [str(int(label)) for label in data.labels(self.split)[list(chosen)]]
        thumbnails = at_least_square(shrink(data.shown(unit_interval(pixels)), THUMBNAIL))
        writer.add_embedding(codes, labels, thumbnails.expand(-1, 3, -1, -1), trainer.current_epoch, "code")


def at_least_square(images: Tensor) -> Tensor:
    """N x C x H x W images in [0, 1], taller ones with white on both sides: TensorBoard's sheet of thumbnails has room
    for square and wide ones only."""
    missing = max(0, images.shape[2] - images.shape[3])
    return F.pad(images, (missing // 2, missing - missing // 2), value=1.0)
