"""Strided convolutions down, transposed convolutions up."""

from collections.abc import Sequence
from itertools import pairwise

from torch import nn

from diabolo.errors import check_int
from diabolo.network.families.heads import from_code, plan, to_code
from diabolo.network.layers import norm_act
from diabolo.network.shapes import conv_size, output_padding

STRIDE = 2


class ConvEncoder(nn.Sequential):
    """N x C x H x W -> N x `out_features`: a convolution of stride 2 per entry of `channels`, then the head.

    Args:
        image_shape: (channels, height, width).
        out_features: numbers for the bottleneck.
        channels: feature maps of each stage, from the image inwards.
        kernel: side of the kernels in pixels, 2 or more.
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
        head: str = "linear",
        hidden: Sequence[int] = (256,),
        activation: str = "relu",
        norm: str = "none",
    ) -> None:
        padding = (check_int("kernel", kernel, 2) - 1) // 2
        widths, sizes = plan(image_shape, channels, head, out_features, lambda s: conv_size(s, kernel, STRIDE, padding))
        super().__init__()
        for width, after in pairwise(widths):
            self.append(nn.Conv2d(width, after, kernel, STRIDE, padding))  # N x channels x ceil(H/2) x ceil(W/2)
            self.extend(norm_act(after, norm, activation))
        self.extend(to_code(head, (widths[-1], *sizes[-1]), out_features, hidden, norm, activation))  # N x out_features


class ConvTransposeDecoder(nn.Sequential):
    """N x `in_features` -> N x C x H x W: the mirror of `ConvEncoder`, each stage restoring the size it met.

    Args:
        in_features: numbers in a code.
        image_shape: (channels, height, width).
        channels, kernel, head, hidden, activation, norm: as in `ConvEncoder`: `channels` is read from its end.
    """

    def __init__(
        self,
        in_features: int,
        image_shape: Sequence[int],
        channels: Sequence[int] = (16, 32, 64),
        kernel: int = 3,
        head: str = "linear",
        hidden: Sequence[int] = (256,),
        activation: str = "relu",
        norm: str = "none",
    ) -> None:
        padding = (check_int("kernel", kernel, 2) - 1) // 2
        widths, sizes = plan(image_shape, channels, head, in_features, lambda s: conv_size(s, kernel, STRIDE, padding))
        maps = (widths[-1], *sizes[-1])
        super().__init__(*from_code(head, in_features, maps, hidden, norm, activation))  # N x channels x h x w
        if head != "spatial":
            self.extend(norm_act(widths[-1], norm, activation))
        for (width, after), (size, target) in zip(pairwise(widths[::-1]), pairwise(sizes[::-1]), strict=True):
            rows, columns = (output_padding(s, t, kernel, STRIDE, padding) for s, t in zip(size, target, strict=True))
            # N x channels x h x w -> N x channels x 2h x 2w
            self.append(nn.ConvTranspose2d(width, after, kernel, STRIDE, padding, (rows, columns)))
            if target != sizes[0]:
                self.extend(norm_act(after, norm, activation))
