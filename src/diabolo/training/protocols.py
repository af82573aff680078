"""What the training asks of batches, corruptions, augmentations and callbacks."""

from typing import Protocol, runtime_checkable

from lightning import LightningModule, Trainer
from torch import Tensor

from diabolo.data.chance import Chance

Batch = tuple[Tensor, Tensor]  # images (as stored or floats in [0, 1], N x C x H x W) and labels (N, -1 where unknown)


@runtime_checkable
class AfterStep(Protocol):
    """A callback that is called after every optimiser step.

    Lightning's own `on_train_batch_end` comes once a block of steps (`data.block`), with the loss of the last.
    """

    def on_step_end(self, trainer: Trainer, module: LightningModule, loss: Tensor) -> None:
        """`trainer.global_step` counts the steps so far, this one included; `loss` is its scalar, detached and still on
        its device: reading it has a GPU waited for."""
        ...


@runtime_checkable
class SeesFeatures(Protocol):
    """A callback that looks at images through the classifier of another run."""

    features: str  # the folder of that run

    def see_by(self, classifier: LightningModule) -> None:
        """Called once, with the trained `ClassifierModule` of that run."""
        ...


class Corrupts(Protocol):
    """A corruption: N x C x H x W images, as stored or floats in [0, 1], to float32 in [0, 1]. See
    `diabolo.data.corruptions`."""

    def __call__(self, images: Tensor) -> Tensor:
        """The images, corrupted anew."""
        ...

    def fixed(self, images: Tensor) -> Tensor:
        """The images, each corrupted as ever."""
        ...


class Augments(Protocol):
    """An augmentation: N x C x H x W training images, as stored or floats in [0, 1], to float32 in [0, 1], by the
    numbers of `chance`. See `diabolo.data.augmentation`."""

    def __call__(self, images: Tensor, chance: Chance) -> Tensor: ...
