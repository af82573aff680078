"""What a part of a network must have, and what it may have beside that.

A bottleneck stands between the encoder's last numbers and the code. Called with features, N x `in_features`, it
returns the code, N x `size`, and a penalty to be added to the loss, a scalar or None. In training it may return several
codes an image, those of all images one time after the other, whose losses the module brings together by their geometric
mean; in evaluation it is one, and the same every time.

All else is optional. Who uses an ability asks by `isinstance` whether the part has it; a class that defines the method
has it, and need not derive from the protocol.
"""

from typing import Protocol, runtime_checkable

from torch import Tensor, nn

from diabolo.errors import UserError


@runtime_checkable
class Bottleneck(Protocol):
    """What every bottleneck has."""

    size: int  # numbers in the code
    in_features: int  # numbers that it asks of the encoder


def size_of(bottleneck: nn.Module) -> int:
    """Numbers in the code.

    Raises:
        UserError: the module is no bottleneck.
    """
    if not isinstance(bottleneck, Bottleneck):
        raise UserError(f"bottleneck: {type(bottleneck).__name__} must have `size` and `in_features`.")
    return bottleneck.size


@runtime_checkable
class HasDiagnostics(Protocol):
    """A bottleneck or penalty with figures of the code over a whole split."""

    def diagnostics(self, values: Tensor) -> dict[str, Tensor]:
        """From N x `in_features` float32 (a bottleneck) or codes, N x `size` (a penalty): numbers, which are logged as
        `code/NAME`, and vectors with a number a unit, which are drawn."""
        ...


@runtime_checkable
class CanSample(Protocol):
    """A bottleneck with a prior."""

    def sample(self, count: int) -> Tensor:
        """Codes drawn from the prior, `count` x `size`."""
        ...


@runtime_checkable
class CanFindNearest(Protocol):
    """A bottleneck that cannot give every code."""

    def nearest(self, codes: Tensor) -> Tensor:
        """The nearest codes that it can give: N x `size` in and out."""
        ...


@runtime_checkable
class CanTruncate(Protocol):
    """A bottleneck whose codes are codes, too, where only their first numbers are known."""

    sizes: list[int]  # how many it was trained to know, rising

    def truncate(self, codes: Tensor, known: Tensor | int) -> Tensor:
        """N x `size` codes of which only the first `known` numbers are, one count for all or one a code (N)."""
        ...


@runtime_checkable
class FollowsEpochs(Protocol):
    """A bottleneck that changes from epoch to epoch."""

    def start_epoch(self, epoch: int) -> None:
        """Called before every epoch of the training, counted from 0."""
        ...


@runtime_checkable
class TiesWeights(Protocol):
    """A decoder that uses the encoder's weights."""

    def tie(self, encoder: nn.Module) -> None:
        """Called once, when the autoencoder is put together."""
        ...
