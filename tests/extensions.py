"""Parts of a user's own, named in a config by this module."""

from collections.abc import Sequence

import torch
from lightning import Callback
from torch import nn

from diabolo.callbacks import Drawing, rows
from diabolo.data.images import MemoryImages, Splits
from diabolo.data.pixels import from_unit, unit_interval
from diabolo.errors import UserError
from diabolo.training.learner import Learner


class Rates(Callback):
    """Notes the learning rate of every step."""

    seen: list[float] = []

    def on_train_batch_start(self, trainer, *_) -> None:
        self.seen.append(trainer.optimizers[0].param_groups[0]["lr"])


class Watching(nn.Module):
    """A squared error that notes the types it is given."""

    seen: set[tuple[torch.dtype, bool]] = set()

    def forward(self, reconstruction, images):
        loss = (reconstruction - images).square().mean()
        self.seen.update((x.dtype, torch.is_autocast_enabled("cpu")) for x in (reconstruction, images, loss))
        return loss


class Takes(Learner):
    def __init__(self, encoder: nn.Module, image_shape: list[int], more: int) -> None:
        super().__init__()
        self.encoder, self.image_shape, self.more = encoder, image_shape, more


class Rootless(nn.Module):
    """A loss of 0 whose gradient is 0 times infinity."""

    def forward(self, reconstruction, images):
        return (0 * (reconstruction - images)).sqrt().mean()


class Clumsy(Drawing):
    """Draws before the training and fails ever after."""

    name = "clumsy"

    def __init__(self, failure: str = "bug") -> None:
        super().__init__(every_n_epochs=1)
        self.failure = failure

    def draw(self, module, data):
        if not module.global_step and self.failure != "at once":
            return torch.rand(1, 8, 8)
        torch.rand(3)  # what it drew at random before it failed
        if self.failure == "sentence":
            raise UserError("there is nothing to draw.")
        return torch.ones(2, 8, 8)[:, :, 9]  # no such column


class Afterwards(Callback):
    """One of a user's own that writes something at the very end."""

    def on_test_end(self, trainer, pl_module) -> None:
        raise PermissionError(13, "Permission denied", "mine.txt")


class Measures(Callback):
    """One of a user's own that measures, and fails."""

    def on_test_epoch_end(self, trainer, pl_module) -> None:
        raise ZeroDivisionError("no image")


class AllChannels(Drawing):
    """Draws as one would who thinks of grey and colour only."""

    name = "all_channels"

    def draw(self, module, data):
        return rows([unit_interval(data.images("test", [0, 1]))])


def bands(root: str | None, image_shape: Sequence[int], depth: str = "uint8") -> Splits:
    """120 training and 40 test images of any number of channels: waves, another one in each channel, of two classes."""
    channels, height, width = image_shape
    draw = torch.Generator().manual_seed(0)
    rows, columns = torch.linspace(0, 6, height).view(-1, 1), torch.linspace(0, 6, width)
    labels = torch.arange(160) % 2
    speeds = torch.rand(160, channels, 1, 1, generator=draw) + labels.view(-1, 1, 1, 1)
    waves = (torch.sin(speeds * rows) + torch.cos(speeds * columns)) / 4 + 0.5  # N x C x H x W in [0, 1]
    images = MemoryImages(from_unit(waves, depth), labels)
    return Splits(images.subset(torch.arange(120)), images.subset(torch.arange(120, 160)))
