"""What a part of a network must have, and what it may have beside that.

A bottleneck stands between the encoder's last numbers and the code. Called with features, N x `in_features`, it
returns the code, N x `size`, and a penalty to be added to the loss, a scalar or None. In training it may return several
codes an image, those of all images one time after the other, whose losses the module brings together by their geometric
mean, or as importance weights (`WeighsDraws`); in evaluation it is one, and the same every time.

A penalty that any bottleneck can carry is called with the images, their code and the function that encodes images, and
returns a scalar. One that looks at something else defines `of_posterior` or `of_decoder` and is asked for that instead.

All else is optional. Who uses an ability asks by `isinstance` whether the part has it; a class that defines the method
has it, and need not derive from the protocol.
"""

from collections.abc import Callable
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
class HoldsToPrior(Protocol):
    """A penalty that holds the codes of all images together close to a distribution, from which one can draw."""

    def prior(self, count: int, size: int) -> Tensor:
        """Codes drawn from it, `count` x `size`, on the CPU."""
        ...


@runtime_checkable
class HasPosterior(Protocol):
    """A bottleneck whose codes are drawn from a Gaussian an image; in evaluation the code is its mean."""

    def posterior(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """N x `in_features` -> means and log variances, N x `size` float32 each."""
        ...


@runtime_checkable
class WeighsDraws(HasPosterior, Protocol):
    """A bottleneck that in training gives several codes an image as importance samples: its penalty has a number a
    code, log q(z|x) - log p(z) in nats."""

    draws: int  # codes an image


@runtime_checkable
class OfPosterior(Protocol):
    """A penalty on the Gaussians of a bottleneck that has them."""

    def of_posterior(self, code: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
        """A scalar; codes, means and log variances are N x `size`. In evaluation the code is the mean."""
        ...


@runtime_checkable
class OfDecoder(Protocol):
    """A penalty on how the decoder answers to codes."""

    def of_decoder(self, code: Tensor, decode: Callable[[Tensor], Tensor]) -> Tensor:
        """A scalar; `decode` takes codes, N x `size`, to images, N x C x H x W in the network's scale."""
        ...


@runtime_checkable
class CountsImages(Protocol):
    """A penalty that depends on how many training images there are."""

    training_images: Tensor  # a whole number, 0 before the training; kept with the weights


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
    """A decoder or bottleneck that uses the encoder's weights."""

    def tie(self, encoder: nn.Module) -> None:
        """Called once, when the autoencoder is put together."""
        ...
