"""Pictures of a run: when callbacks draw them, what they ask the model, where the pictures go."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, cast

import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from PIL import Image
from torch import Tensor

from diabolo.callbacks.layout import as_bytes
from diabolo.data.subsets import evenly_spaced
from diabolo.errors import UserError, check_choice, check_int
from diabolo.network.protocols import CanFindNearest
from diabolo.training.ema import averaged_weights
from diabolo.training.lightning_internals import datamodule_of, trainer_of

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

    from diabolo.data.datamodule import ImageData
    from diabolo.training.autoencoder_module import AutoencoderModule, Labels

SPLITS = ("train", "val", "test")


class Drawing(Callback):
    """Draws before the first epoch, after every `every_n_epochs`-th, after the last, and once more with the best
    weights. A subclass sets `name` and defines `draw`.

    Pictures go to TensorBoard's images, where the step is the number of finished epochs, and as PNG files to
    `pictures/<name>/` in the run folder. Drawing leaves the state of the random generators as it was.

    Args:
        split: whose images are drawn: train, val or test. "test" by default, since its images are the same in all runs;
            nothing is chosen by them.
        every_n_epochs: 0 draws with the best weights only.

    Raises:
        ConfigError: no such split, or a negative number of epochs.
    """

    name = "drawing"

    def __init__(self, split: str = "test", every_n_epochs: int = 5) -> None:
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
        """Draws one picture and logs it; `epoch` is None for that of the best weights."""
        if not trainer.is_global_zero or trainer.sanity_checking:
            return
        with asking(module):
            picture = self.draw(cast("AutoencoderModule", module), data_of(trainer))
        log_image(trainer, self.name, picture, epoch)


@contextmanager
def asking(module: LightningModule) -> Iterator[None]:
    """Within it the model can be asked: evaluation mode, no gradients, and during training the averaged weights, if any
    are kept. Afterwards mode, weights and random state are as they were."""
    training = module.training
    module.eval()
    device = module.device
    random = torch.random.fork_rng([] if device.type == "cpu" else [device], device_type=device.type)
    try:
        with torch.no_grad(), random, averaged_weights(module, trainer_of(module)):
            yield
    finally:
        module.train(training)


def reconstructing(module: LightningModule) -> AutoencoderModule:
    """The module of a run that reconstructs images, for callbacks that need reconstructions.

    Raises:
        UserError: the run is a classifier.
    """
    _ = module.autoencoder  # a classifier refuses in its own words
    return cast("AutoencoderModule", module)


def data_of(trainer: Trainer) -> ImageData:
    """The datamodule of this trainer."""
    return datamodule_of(trainer)


def tensorboard(trainer: Trainer) -> SummaryWriter | None:
    """TensorBoard's writer, if the run has one."""
    for logger in trainer.loggers:
        if isinstance(logger, TensorBoardLogger):
            return logger.experiment
    return None


def log_image(trainer: Trainer, name: str, picture: Tensor, epoch: int | None) -> None:
    """Puts a C x H x W picture in [0, 1] into TensorBoard and into the run folder; see `Drawing`. Of channels that are
    neither grey nor colour it shows those that `data.shown_channels` names.

    `epoch` is the number of finished epochs, None for a picture of the best weights.
    """
    pixels = as_bytes(picture if len(picture) in (1, 3) else data_of(trainer).shown(picture))
    if (writer := tensorboard(trainer)) is not None:
        tag, step = (name, epoch) if epoch is not None else (f"{name}/final", trainer.current_epoch)
        writer.add_image(tag, pixels, step)
    folder = Path(trainer.default_root_dir) / "pictures" / name
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / ("final.png" if epoch is None else f"epoch_{epoch:04d}.png")
    Image.fromarray(pixels.permute(1, 2, 0).squeeze(2).numpy()).save(file, compress_level=1)


def after_training(trainer: Trainer) -> bool:
    """Whether this process should draw or write files at the end of a test: the first process of a run that has
    trained. An evaluation alone leaves the run folder as it is."""
    return trainer.is_global_zero and trainer.global_step > 0


def encoded(module: AutoencoderModule, data: ImageData, split: str, count: int, spread: bool = False) -> Tensor:
    """The codes of the first `count` images of a split, or of as many that are spread evenly over it: N x size float32
    on the CPU."""
    count = min(count, data.count(split))
    parts = (evenly_spaced(data.count(split), count) if spread else torch.arange(count)).split(data.eval_batch_size)
    labels = data.labels(split)
    return torch.cat(
        [module.encode(data.images(split, part).to(module.device), labels[part]).float().cpu() for part in parts]
    )


def decode(module: AutoencoderModule, codes: Tensor, labels: Labels = None) -> Tensor:
    """Images of codes that no image was encoded to: N x size -> N x C x H x W in the scale of [0, 1], not clipped. A
    bottleneck that cannot give every code is asked for the nearest one that it can give."""
    bottleneck = module.autoencoder.bottleneck
    if isinstance(bottleneck, CanFindNearest):
        codes = bottleneck.nearest(codes)
    return module.decode(codes, labels)


def in_turn(module: AutoencoderModule, count: int) -> Tensor | None:
    """Labels for `count` random codes, each as often; None where the network asks for none."""
    condition = module.autoencoder.condition
    return None if condition is None else torch.arange(count) % condition.classes


def traversals(
    module: AutoencoderModule, code: Tensor, low: Tensor, high: Tensor, steps: int, label: Labels = None
) -> tuple[list[Tensor], Tensor]:
    """One code, 1 x size, with each unit varied by itself from `low` to `high`, size each.

    Returns:
        For each unit its `steps` decoded images, N x C x H x W, and how much it changes the output, size: the root of
        the variance over the row, averaged over the pixels, in the units of [0, 1].
    """
    lines = []
    for unit in range(code.shape[1]):
        varied = code.repeat(steps, 1)
        varied[:, unit] = torch.linspace(0, 1, steps, device=code.device) * (high - low)[unit] + low[unit]
        lines.append(decode(module, varied, label))
    return lines, torch.stack([line.var(0, unbiased=False).mean().sqrt() for line in lines])


def images_at(data: ImageData, split: str, indices: Sequence[int], argument: str) -> Tensor:
    """The images at `indices` of a split, N x C x H x W, as stored.

    Raises:
        UserError: an index that the split does not have; the sentence names the callback's `argument`.
    """
    if bad := [i for i in indices if not 0 <= i < data.count(split)]:
        raise UserError(f"`{argument}` names image {bad[0]}, but the {split} split has {data.count(split)} images.")
    return data.images(split, list(indices))
