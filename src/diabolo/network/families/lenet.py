"""LeNet-5 without its classifier, and its mirror.

LeCun et al., "Gradient-based learning applied to document recognition" (1998), in the form in which it is taught: tanh,
average pooling, the first convolution padded to keep the size and that of the second stage not. On maps smaller than
the kernel the kernel shrinks to the map, so that images from 8x8 up pass.

`kernel` is one number, or for each stage the kernels of its convolutions, one after the other before the pooling, as
[[3, 3], [5, 3]]. All are padded to keep the size but the first one of each stage after the first.
"""

from collections.abc import Sequence
from itertools import pairwise
from math import prod
from typing import NamedTuple

from torch import nn

from diabolo.errors import ConfigError, UserError, check_choice, check_int, check_ints
from diabolo.network.layers import norm_act
from diabolo.network.shapes import Size, conv_size, pooled_size
from diabolo.network.upsampling import MODES, Switched, pooling


class _Stage(NamedTuple):
    """One stage: the kernel and the padding of each of its convolutions, the size after them and after the pooling."""

    convolutions: list[tuple[Size, Size]]
    after: Size
    pooled: Size


def _plan(
    image_shape: Sequence[int], channels: Sequence[int], kernel: int | Sequence[Sequence[int]]
) -> tuple[list[int], list[_Stage]]:
    """The channels of the image and of the maps after each stage, and the stages; the same for both halves.

    Raises:
        UserError: the image is too small for the stages.
    """
    maps = [image_shape[0], *check_ints("channels", channels)]
    stages: list[_Stage] = []
    size: Size = (image_shape[1], image_shape[2])
    for stage, kernels in enumerate(_kernels(kernel, len(maps) - 1)):
        if min(size) < 2:
            height, width = image_shape[1:]
            raise UserError(
                f"an image of {height}x{width} is too small for {len(maps) - 1} LeNet stages: it is down to"
                f" {size[0]}x{size[1]} after {stage}; use at most {stage} `model.channels` or larger images."
            )
        convolutions = []
        for place, side in enumerate(kernels):
            window, padding = (side, side), (side // 2, side // 2)
            if stage and not place:  # the one that is not padded: it goes as far as the map does
                window, padding = (min(side, size[0]), min(side, size[1])), (0, 0)
            size = (conv_size(size[0], window[0], 1, padding[0]), conv_size(size[1], window[1], 1, padding[1]))
            convolutions.append((window, padding))
        pooled = (pooled_size(size[0]), pooled_size(size[1]))
        stages.append(_Stage(convolutions, size, pooled))
        size = pooled
    return maps, stages


def _kernels(kernel: int | Sequence[Sequence[int]], stages: int) -> list[list[int]]:
    """The sides of the kernels of each stage."""
    if not isinstance(kernel, Sequence) or isinstance(kernel, str):
        kernels = [[check_int("kernel", kernel)]] * stages
    elif len(kernel) != stages:
        raise ConfigError("kernel", kernel, f"must be one number or a list for each of the {stages} `channels`")
    else:
        kernels = [check_ints(f"kernel[{stage}]", of) for stage, of in enumerate(kernel)]
    if any(side % 2 == 0 for of in kernels for side in of):
        raise ConfigError("kernel", kernel, "must be odd, so that a padded convolution keeps the size")
    return kernels


class LeNetEncoder(Switched):
    """N x C x H x W -> N x `out_features`. For 28x28: 6x14x14, 16x5x5, 400, 120, 84, the code.

    Args:
        image_shape: (channels, height, width).
        out_features: numbers for the bottleneck.
        channels: feature maps of each stage, from the image inwards.
        hidden: widths of the linear layers before the last; may be empty.
        kernel: side of the kernels in pixels, odd; or a list of them for each stage, as above.
        pool: "max" or "average".
        activation, norm: after each layer but the last; see `diabolo.network.layers`.
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        out_features: int,
        channels: Sequence[int] = (6, 16),
        hidden: Sequence[int] = (120, 84),
        kernel: int | Sequence[Sequence[int]] = 5,
        pool: str = "average",
        activation: str = "tanh",
        norm: str = "none",
    ) -> None:
        maps, stages = _plan(image_shape, channels, kernel)
        size = stages[-1].pooled
        widths = [maps[-1] * prod(size), *check_ints("hidden", hidden, empty=True), out_features]
        super().__init__()
        for (width, after), stage in zip(pairwise(maps), stages, strict=True):
            for window, padding in stage.convolutions:
                self.append(nn.Conv2d(width, after, window, padding=padding))  # N x channels x (H, then H - 4)
                self.extend(norm_act(after, norm, activation))
                width = after
            self.append(pooling(pool))  # N x channels x ceil(H/2) x ceil(W/2)
        self.append(nn.Flatten())
        for width, after in pairwise(widths[:-1]):
            self.extend([nn.Linear(width, after), *norm_act(after, norm, activation, spatial=False)])  # N x hidden
        self.append(nn.Linear(widths[-2], widths[-1]))  # N x out_features


class LeNetDecoder(Switched):
    """N x `in_features` -> N x C x H x W: `LeNetEncoder` read backwards; transposed convolutions for convolutions,
    upsampling for pooling (with "pixel_shuffle" a 3x3 convolution makes the four times as many channels).

    Args:
        in_features: numbers in a code.
        image_shape: (channels, height, width).
        upsample: one of `diabolo.network.upsampling.MODES`.
        channels, hidden, kernel, activation, norm: as in `LeNetEncoder`: the lists are read from their ends.
    """

    def __init__(
        self,
        in_features: int,
        image_shape: Sequence[int],
        channels: Sequence[int] = (6, 16),
        hidden: Sequence[int] = (120, 84),
        kernel: int | Sequence[Sequence[int]] = 5,
        upsample: str = "nearest",
        activation: str = "tanh",
        norm: str = "none",
    ) -> None:
        maps, stages = _plan(image_shape, channels, kernel)
        size = stages[-1].pooled
        widths = [in_features, *reversed(check_ints("hidden", hidden, empty=True)), maps[-1] * prod(size)]
        super().__init__()
        for width, after in pairwise(widths):
            self.extend([nn.Linear(width, after), *norm_act(after, norm, activation, spatial=False)])  # N x hidden
        self.append(nn.Unflatten(1, (maps[-1], *size)))
        for (width, after), stage in zip(pairwise(maps[::-1]), stages[::-1], strict=True):
            if upsample == "pixel_shuffle":
                self.append(nn.Conv2d(width, 4 * width, 3, padding=1))  # N x 4 channels x h x w
            self.append(MODES[check_choice("upsample", upsample, MODES)](stage.after))  # N x channels x 2h x 2w
            *inner, outer = stage.convolutions[::-1]
            for window, padding in inner:
                self.append(nn.ConvTranspose2d(width, width, window, padding=padding))  # N x channels x 2h x 2w
                self.extend(norm_act(width, norm, activation))
            window, padding = outer
            self.append(nn.ConvTranspose2d(width, after, window, padding=padding))  # N x channels x (2h + 4, then 2h)
            if stage is not stages[0]:
                self.extend(norm_act(after, norm, activation))
