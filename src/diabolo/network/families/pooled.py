"""Convolution and pooling down, upsampling and convolution up."""

from collections.abc import Sequence
from itertools import pairwise

from torch import nn

from diabolo.errors import ConfigError, check_int
from diabolo.network.families.heads import from_code, plan, to_code
from diabolo.network.layers import norm_act
from diabolo.network.shapes import pooled_size
from diabolo.network.upsampling import Switched, enlarging, pooling


def _padding(kernel: int) -> int:
    """The padding that keeps the size under stride 1."""
    if check_int("kernel", kernel) % 2 == 0:
        raise ConfigError("kernel", kernel, "must be odd, so that a padded convolution keeps the size")
    return kernel // 2


class PooledEncoder(Switched):
    """N x C x H x W -> N x `out_features`: per entry of `channels` a convolution and a pooling by 2, then the head.

    Args:
        image_shape: (channels, height, width).
        out_features: numbers for the bottleneck.
        channels: feature maps of each stage, from the image inwards.
        kernel: side of the kernels in pixels, odd.
        pool: "max" or "average".
        head: from the last maps to the numbers; see `diabolo.network.families.heads`.
        hidden: widths of the linear layers of `head="mlp"`.
        activation, norm: after each convolution; see `diabolo.network.layers`.
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        out_features: int,
        channels: Sequence[int] = (16, 32, 64),
        kernel: int = 3,
        pool: str = "max",
        head: str = "linear",
        hidden: Sequence[int] = (256,),
        activation: str = "relu",
        norm: str = "none",
    ) -> None:
        widths, sizes = plan(image_shape, channels, head, out_features, pooled_size)
        super().__init__()
        for width, after in pairwise(widths):
            self.append(nn.Conv2d(width, after, kernel, padding=_padding(kernel)))  # N x channels x H x W
            self.extend(norm_act(after, norm, activation))
            self.append(pooling(pool))  # N x channels x ceil(H/2) x ceil(W/2)
        self.extend(to_code(head, (widths[-1], *sizes[-1]), out_features, hidden, norm, activation))  # N x out_features


class UpsampleDecoder(Switched):
    """N x `in_features` -> N x C x H x W: per stage an upsampling to the size the encoder met, and a convolution; with
    `upsample` "pixel_shuffle" the convolution first.

    Args:
        in_features: numbers in a code.
        image_shape: (channels, height, width).
        upsample: one of `diabolo.network.upsampling.MODES`.
        channels, kernel, head, hidden, activation, norm: as in `PooledEncoder`: `channels` is read from its end.
    """

    def __init__(
        self,
        in_features: int,
        image_shape: Sequence[int],
        channels: Sequence[int] = (16, 32, 64),
        kernel: int = 3,
        upsample: str = "nearest",
        head: str = "linear",
        hidden: Sequence[int] = (256,),
        activation: str = "relu",
        norm: str = "none",
    ) -> None:
        _padding(kernel)
        widths, sizes = plan(image_shape, channels, head, in_features, pooled_size)
        maps = (widths[-1], *sizes[-1])
        super().__init__(*from_code(head, in_features, maps, hidden, norm, activation))  # N x channels x h x w
        if head != "spatial":
            self.extend(norm_act(widths[-1], norm, activation))
        for (width, after), target in zip(pairwise(widths[::-1]), sizes[-2::-1], strict=True):
            self.extend(enlarging(width, after, target, upsample, kernel))  # N x channels x 2h x 2w
            if target != sizes[0]:
                self.extend(norm_act(after, norm, activation))
