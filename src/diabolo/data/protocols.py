"""What a corruption may be able to do beside corrupting, by which callbacks know what to measure."""

from typing import Protocol, runtime_checkable

from torch import Tensor


@runtime_checkable
class Reduces(Protocol):
    """A corruption by fewer pixels."""

    def reduce(self, images: Tensor) -> Tensor:
        """The small images: N x C x H x W -> N x C x H / factor x W / factor, float32 in [0, 1]."""
        ...


@runtime_checkable
class Masks(Protocol):
    """A corruption that leaves most pixels as they are."""

    def mask(self, images: Tensor) -> Tensor:
        """Which pixels it changes: N x C x H x W -> N x 1 x H x W, bool."""
        ...
