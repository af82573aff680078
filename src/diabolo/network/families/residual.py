"""Residual convolutional encoder and decoder, for colour images of 32 to 128 pixels."""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from diabolo.errors import check_int
from diabolo.network.families.heads import from_code, plan, to_code
from diabolo.network.layers import norm_act
from diabolo.network.shapes import conv_size
from diabolo.network.upsampling import Switched, enlarging


class ResidualBlock(nn.Module):
    """x + f(x) with f = (norm, activation, 3x3 convolution) twice (He et al., "Identity mappings in deep residual
    networks", 2016, figure 1b). N x `channels` x H x W in and out.

    Args:
        channels: of the maps.
        activation, norm: before each convolution; see `diabolo.network.layers`.
        inner: maps between the two convolutions, of which the second then is 1x1 (van den Oord et al., "Neural
            Discrete Representation Learning", 2017, section 4.1); by default as many as `channels`, and both are 3x3.
    """

    def __init__(self, channels: int, activation: str, norm: str, inner: int | None = None) -> None:
        super().__init__()
        between = inner or channels
        self.residual = nn.Sequential(
            *norm_act(channels, norm, activation),
            nn.Conv2d(channels, between, 3, padding=1),
            *norm_act(between, norm, activation),
            nn.Conv2d(between, channels, 1) if inner else nn.Conv2d(channels, channels, 3, padding=1),
        )

    def forward(self, maps: Tensor) -> Tensor:
        return maps + self.residual(maps)


class ResidualEncoder(nn.Sequential):
    """N x C x H x W -> N x `out_features`: per entry of `channels` a strided convolution and `blocks` residual ones.

    Args:
        image_shape: (channels, height, width).
        out_features: numbers for the bottleneck.
        channels: feature maps of each stage, from the image inwards.
        blocks: residual blocks a stage.
        head: from the last maps to the numbers; see `diabolo.network.families.heads`.
        hidden: widths of the linear layers of `head="mlp"`.
        activation, norm: see `diabolo.network.layers`.
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        out_features: int,
        channels: Sequence[int] = (32, 64, 128),
        blocks: int = 1,
        head: str = "linear",
        hidden: Sequence[int] = (256,),
        activation: str = "silu",
        norm: str = "group",
    ) -> None:
        check_int("blocks", blocks, 0)
        widths, sizes = plan(image_shape, channels, head, out_features, lambda s: conv_size(s, 3, 2, 1))
        super().__init__()
        for width, after in pairwise(widths):
            self.append(nn.Conv2d(width, after, 3, 2, 1))  # N x channels x ceil(H/2) x ceil(W/2)
            self.extend(ResidualBlock(after, activation, norm) for _ in range(blocks))
        if head != "spatial":
            self.extend(norm_act(widths[-1], norm, activation))
        self.extend(to_code(head, (widths[-1], *sizes[-1]), out_features, hidden, norm, activation))  # N x out_features


class ResidualDecoder(Switched):
    """N x `in_features` -> N x C x H x W: per stage `blocks` residual ones, an upsampling and a convolution.

    Args:
        in_features: numbers in a code.
        image_shape: (channels, height, width).
        upsample: one of `diabolo.network.upsampling.MODES`.
        channels, blocks, head, hidden, activation, norm: as in `ResidualEncoder`: `channels` is read from its end.
    """

    def __init__(
        self,
        in_features: int,
        image_shape: Sequence[int],
        channels: Sequence[int] = (32, 64, 128),
        blocks: int = 1,
        upsample: str = "nearest",
        head: str = "linear",
        hidden: Sequence[int] = (256,),
        activation: str = "silu",
        norm: str = "group",
    ) -> None:
        check_int("blocks", blocks, 0)
        widths, sizes = plan(image_shape, channels, head, in_features, lambda s: conv_size(s, 3, 2, 1))
        maps = (widths[-1], *sizes[-1])
        super().__init__(*from_code(head, in_features, maps, hidden, norm, activation))  # N x channels x h x w
        for (width, after), target in zip(pairwise(widths[::-1]), sizes[-2::-1], strict=True):
            self.extend(ResidualBlock(width, activation, norm) for _ in range(blocks))  # N x channels x h x w
            self.extend(norm_act(width, norm, activation))
            self.extend(enlarging(width, after, target, upsample, 3))  # N x channels x 2h x 2w
