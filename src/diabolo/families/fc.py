"""Fully connected encoder and decoder of any depth."""

from collections.abc import Sequence
from itertools import pairwise
from math import prod

from torch import nn

from diabolo.errors import wholes
from diabolo.layers import finish


class FCEncoder(nn.Sequential):
    """N x C x H x W -> N x `out_features`: flattened, one linear layer per entry of `hidden`, one more to the code."""

    def __init__(
        self,
        image_shape: Sequence[int],
        out_features: int,
        hidden: Sequence[int] = (256,),
        activation: str = "relu",
        norm: str = "none",
    ) -> None:
        widths = [prod(image_shape), *wholes("hidden", hidden, empty=True)]
        super().__init__(nn.Flatten())  # N x CHW
        for width, after in pairwise(widths):
            self.extend([nn.Linear(width, after), *finish(after, norm, activation, spatial=False)])  # N x hidden
        self.append(nn.Linear(widths[-1], out_features))  # N x out_features


class FCDecoder(nn.Sequential):
    """N x `in_features` -> N x C x H x W: the mirror of `FCEncoder` with the same `hidden`."""

    def __init__(
        self,
        in_features: int,
        image_shape: Sequence[int],
        hidden: Sequence[int] = (256,),
        activation: str = "relu",
        norm: str = "none",
    ) -> None:
        widths = [in_features, *reversed(wholes("hidden", hidden, empty=True))]
        super().__init__()
        for width, after in pairwise(widths):
            self.extend([nn.Linear(width, after), *finish(after, norm, activation, spatial=False)])  # N x hidden
        self.append(nn.Linear(widths[-1], prod(image_shape)))  # N x CHW
        self.append(nn.Unflatten(1, tuple(image_shape)))  # N x C x H x W
