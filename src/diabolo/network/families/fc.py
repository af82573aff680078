"""Fully connected encoder and decoder of any depth, and a decoder with the encoder's own weights."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from math import prod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from diabolo.errors import UserError, check_ints
from diabolo.network.layers import norm_act


class FCEncoder(nn.Sequential):
    """N x C x H x W -> N x `out_features`: flattened, one linear layer per entry of `hidden`, one more to the code.

    Args:
        image_shape: (channels, height, width).
        out_features: numbers for the bottleneck.
        hidden: widths of the layers between, from the image inwards; may be empty.
        activation, norm: after each of them; see `diabolo.network.layers`.
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        out_features: int,
        hidden: Sequence[int] = (256,),
        activation: str = "relu",
        norm: str = "none",
    ) -> None:
        widths = [prod(image_shape), *check_ints("hidden", hidden, empty=True)]
        super().__init__(nn.Flatten())  # N x CHW
        for width, after in pairwise(widths):
            self.extend([nn.Linear(width, after), *norm_act(after, norm, activation, spatial=False)])  # N x hidden
        self.append(nn.Linear(widths[-1], out_features))  # N x out_features


class FCDecoder(nn.Sequential):
    """N x `in_features` -> N x C x H x W: the mirror of `FCEncoder` with the same `hidden`.

    Args:
        in_features: numbers in a code.
        image_shape: (channels, height, width).
        hidden, activation, norm: as in `FCEncoder`: `hidden` is read from its end.
    """

    LINEAR: Callable[[int, int], nn.Module] = nn.Linear

    def __init__(
        self,
        in_features: int,
        image_shape: Sequence[int],
        hidden: Sequence[int] = (256,),
        activation: str = "relu",
        norm: str = "none",
    ) -> None:
        widths = [in_features, *reversed(check_ints("hidden", hidden, empty=True))]
        super().__init__()
        for width, after in pairwise(widths):
            self.extend([self.LINEAR(width, after), *norm_act(after, norm, activation, spatial=False)])  # N x hidden
        self.append(self.LINEAR(widths[-1], prod(image_shape)))  # N x CHW
        self.append(nn.Unflatten(1, tuple(image_shape)))  # N x C x H x W


class TiedLinear(nn.Module):
    """N x out of a linear layer -> N x its inputs, by that layer's transposed weights and a bias of its own."""

    source: tuple[nn.Linear]  # in a tuple, so that the weights stay the encoder's in the state dict

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.in_features, self.out_features = in_features, out_features
        self.bias = nn.Parameter(torch.zeros(out_features))

    def forward(self, values: Tensor) -> Tensor:
        return F.linear(values, self.source[0].weight.t(), self.bias)

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}"


class FCTiedDecoder(FCDecoder):
    """N x `in_features` -> N x C x H x W: `FCDecoder` with the transposed weights of the `FCEncoder` that it is tied
    to (Vincent et al., "Stacked Denoising Autoencoders", 2010, section 2.2)."""

    LINEAR = TiedLinear

    def tie(self, encoder: nn.Module) -> None:
        """Takes the weights of the encoder's linear layers, the last of them for the first layer here.

        Raises:
            UserError: the encoder has other layers.
        """
        tied = [layer for layer in self if isinstance(layer, TiedLinear)]
        sources = [layer for layer in encoder.modules() if isinstance(layer, nn.Linear)][::-1]
        wanted = [(layer.out_features, layer.in_features) for layer in tied]
        found = [(layer.in_features, layer.out_features) for layer in sources]
        if not isinstance(encoder, FCEncoder) or wanted != found:
            raise UserError(
                f"`decoder` (fc_tied) uses the encoder's weights: it needs encoder=fc with linear layers of"
                f" {wanted[::-1]} (inputs, outputs), but the encoder ({type(encoder).__name__}) has {found[::-1]}."
            )
        for layer, source in zip(tied, sources, strict=True):
            layer.source = (source,)
