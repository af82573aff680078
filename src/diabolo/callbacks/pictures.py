"""What the drawing callbacks share: when to draw, how to lay images out, where pictures go."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from PIL import Image
from torch import Tensor

from diabolo.errors import UserError, check_choice, check_int
from diabolo.training.ema import averaged_weights
from diabolo.training.lightning_internals import datamodule_of, trainer_of

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

    from diabolo.data.datamodule import ImageData
    from diabolo.training.autoencoder_module import AutoencoderModule

SPLITS = ("train", "val", "test")
SMALLEST_TILE = 56  # pixels; smaller images are enlarged by a whole factor so that one can see them
LARGEST_TILE = 128  # pixels; larger images are averaged down, so that twelve of them fit on a screen
GAP = 2  # pixels between tiles


class Drawing(Callback):
    """Draws before the first epoch, after every `every_n_epochs`-th, after the last, and once more of the kept weights.

    Pictures go to TensorBoard's images, where the step is the number of finished epochs, and as PNG files to
    `pictures/<name>/` in the run folder. Drawing leaves the state of the random generators as it was.

    Args:
        split: whose images are drawn; "test" by default, since these are the same in all runs. Nothing is chosen by
            them.
        every_n_epochs: 0 draws the kept weights only.
    """

    name = "drawing"

    def __init__(self, split: str = "test", every_n_epochs: int = 1) -> None:
        self.split = check_choice("split", split, SPLITS)
        self.every_n_epochs = check_int("every_n_epochs", every_n_epochs, 0)

    def draw(self, module: AutoencoderModule, data: ImageData) -> Tensor:
        """The picture, C x H x W in [0, 1]."""
        raise NotImplementedError

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.current_epoch == 0 and trainer.global_step == 0 and self.every_n_epochs:
            self.show(trainer, pl_module, 0)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        epoch = trainer.current_epoch + 1
        if self.every_n_epochs and (epoch % self.every_n_epochs == 0 or epoch == trainer.max_epochs):
            self.show(trainer, pl_module, epoch)

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.show(trainer, pl_module, None)

    def show(self, trainer: Trainer, module: LightningModule, epoch: int | None) -> None:
        """Draws and files one picture; `epoch` is None for that of the kept weights."""
        if not trainer.is_global_zero or trainer.sanity_checking:
            return
        with asking(module):
            picture = (self.draw(module, data_of(trainer)) * 255).round().byte()  # type: ignore[arg-type]
        log_image(trainer, self.name, picture, epoch)


@contextmanager
def asking(module: LightningModule) -> Iterator[None]:
    """Evaluation mode, no gradients, during training the averaged weights where there are any (they are what is kept),
    and the random state put back afterwards."""
    training = module.training
    module.eval()
    random = torch.random.fork_rng([module.device] if module.device.type == "cuda" else [])
    try:
        with torch.no_grad(), random, averaged_weights(module, trainer_of(module)):
            yield
    finally:
        module.train(training)


def with_decoder(module: LightningModule) -> Any:
    """The network of a run that reconstructs; any other refuses in its own words.

    Raises:
        UserError: the run is a classifier.
    """
    return module.autoencoder


def data_of(trainer: Trainer) -> ImageData:
    """The datamodule of this trainer."""
    return datamodule_of(trainer)


def tensorboard(trainer: Trainer) -> SummaryWriter | None:
    """TensorBoard's writer, where the run has one."""
    for logger in trainer.loggers:
        if isinstance(logger, TensorBoardLogger):
            return logger.experiment
    return None


def log_image(trainer: Trainer, name: str, picture: Tensor, epoch: int | None) -> None:
    """Shows a C x H x W picture of bytes in TensorBoard and files it in the run folder; see `Drawing`."""
    if (writer := tensorboard(trainer)) is not None:
        tag, step = (name, epoch) if epoch is not None else (f"{name}/final", trainer.current_epoch)
        writer.add_image(tag, picture, step)
    save(picture, Path(trainer.default_root_dir) / "pictures" / name, epoch)


def chosen(data: ImageData, split: str, indices: Sequence[int], argument: str) -> Tensor:
    """The images at `indices` of a split, N x C x H x W uint8.

    Raises:
        UserError: an index that the split does not have.
    """
    if bad := [i for i in indices if not 0 <= i < data.count(split)]:
        raise UserError(f"`{argument}` names image {bad[0]}, but the {split} split has {data.count(split)} images.")
    return data.images(split, list(indices))


def rows(images: Iterable[Tensor], line: float = 1.0) -> Tensor:
    """A picture with one row per entry: N x C x H x W in [0, 1], clipped; enlarged where small, reduced where large.

    Returns C x H' x W'. Lines of the shade `line` (1 is white) stand between the tiles; grey and colour rows may be
    mixed.
    """
    strips = [strip.detach().float().clamp(0, 1).cpu() for strip in images]
    channels = max(strip.shape[1] for strip in strips)
    lines = []
    for strip in strips:
        strip = shrink(strip, LARGEST_TILE)
        height, width = strip.shape[-2:]
        factor = max(1, -(-SMALLEST_TILE // min(height, width)))
        tiles = strip.expand(-1, channels, -1, -1).repeat_interleave(factor, 2).repeat_interleave(factor, 3)
        padded = torch.nn.functional.pad(tiles, (0, GAP, 0, GAP), value=line)  # N x C x (H + gap) x (W + gap)
        lines.append(padded.permute(1, 2, 0, 3).reshape(channels, padded.shape[2], -1))  # C x (H + gap) x N(W + gap)
    widest = max(line.shape[2] for line in lines)
    lines = [torch.nn.functional.pad(line, (0, widest - line.shape[2]), value=1.0) for line in lines]
    return torch.cat(lines, 1)[:, :-GAP, :-GAP]


def shrink(images: Tensor, side: int) -> Tensor:
    """N x C x H x W images with the longer side brought down to `side`; smaller ones as they are."""
    height, width = images.shape[-2:]
    if max(height, width) <= side:
        return images
    scale = side / max(height, width)
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    return torch.nn.functional.interpolate(images.float(), size, mode="area")


def diverging(values: Tensor, limit: float) -> Tensor:
    """N x C x H x W signed values to N x 3 x H x W: blue at -limit, white at 0, red at +limit; colours are averaged."""
    level = (values.float().mean(1, keepdim=True) / limit).clamp(-1, 1)
    above, below = level.clamp(min=0), (-level).clamp(min=0)
    red, green, blue = 1 - below, 1 - above - below, 1 - above
    return torch.cat([red, green, blue], 1)


def save(picture: Tensor, folder: Path, epoch: int | None) -> None:
    """Writes a C x H x W picture of bytes as `epoch_0005.png`, or as `final.png` without an epoch."""
    folder.mkdir(parents=True, exist_ok=True)
    pixels = picture.permute(1, 2, 0).squeeze(2).numpy()
    name = "final" if epoch is None else f"epoch_{epoch:04d}"
    Image.fromarray(pixels).save(folder / f"{name}.png", compress_level=1)
