"""LeNet-5 without its classifier, and its mirror.

LeCun et al., "Gradient-based learning applied to document recognition" (1998), in the form in which it is taught: tanh,
average pooling, the first convolution padded to keep the size. On maps smaller than the kernel the kernel shrinks to
the map, so that images from 8x8 up pass.
"""

from collections.abc import Sequence
from itertools import pairwise
from math import prod

from torch import nn

from diabolo.errors import ConfigError, choice, whole, wholes
from diabolo.families.pooled import POOLS
from diabolo.layers import finish
from diabolo.shapes import Size, conv_size, pooled_size
from diabolo.upsampling import MODES, Switched


def _stages(image: Size, count: int, kernel: int) -> list[tuple[Size, Size, Size, Size]]:
    """Per stage: the kernel and its padding per axis, the size after the convolution and the size after the pooling."""
    stages: list[tuple[Size, Size, Size, Size]] = []
    size = image
    for stage in range(count):
        if min(size) < 2:
            raise ConfigError(
                f"an image of {image[0]}x{image[1]} is too small for {count} LeNet stages: it is down to"
                f" {size[0]}x{size[1]} after {stage}; use at most {stage} `model.channels` or larger images."
            )
        window = (kernel, kernel) if stage == 0 else (min(kernel, size[0]), min(kernel, size[1]))
        padding = (kernel // 2, kernel // 2) if stage == 0 else (0, 0)
        after = (conv_size(size[0], window[0], 1, padding[0]), conv_size(size[1], window[1], 1, padding[1]))
        size = (pooled_size(after[0]), pooled_size(after[1]))
        stages.append((window, padding, after, size))
    return stages


def _kernel(kernel: int) -> int:
    if whole("kernel", kernel) % 2 == 0:
        raise ConfigError(f"`kernel` (= {kernel}) must be odd, so that the first convolution keeps the size.")
    return kernel


class LeNetEncoder(Switched):
    """N x C x H x W -> N x `out_features`. For 28x28: 6x14x14, 16x5x5, 400, 120, 84, the code."""

    def __init__(
        self,
        image_shape: Sequence[int],
        out_features: int,
        channels: Sequence[int] = (6, 16),
        hidden: Sequence[int] = (120, 84),
        kernel: int = 5,
        pool: str = "average",
        activation: str = "tanh",
        norm: str = "none",
    ) -> None:
        maps = [image_shape[0], *wholes("channels", channels)]
        stages = _stages((image_shape[1], image_shape[2]), len(maps) - 1, _kernel(kernel))
        size = stages[-1][3]
        widths = [maps[-1] * prod(size), *wholes("hidden", hidden, empty=True), out_features]
        super().__init__()
        for (width, after), (window, padding, _, _) in zip(pairwise(maps), stages, strict=True):
            self.append(nn.Conv2d(width, after, window, padding=padding))  # N x channels x (H, then H - 4)
            self.extend(finish(after, norm, activation))
            self.append(POOLS[choice("pool", pool, POOLS)](2, ceil_mode=True))  # N x channels x ceil(H/2) x ceil(W/2)
        self.append(nn.Flatten())
        for width, after in pairwise(widths[:-1]):
            self.extend([nn.Linear(width, after), *finish(after, norm, activation, spatial=False)])  # N x hidden
        self.append(nn.Linear(widths[-2], widths[-1]))  # N x out_features


class LeNetDecoder(Switched):
    """N x `in_features` -> N x C x H x W: `LeNetEncoder` read backwards; transposed convolutions for convolutions,
    upsampling for pooling (with "pixel_shuffle" a 3x3 convolution makes the four times as many channels)."""

    def __init__(
        self,
        in_features: int,
        image_shape: Sequence[int],
        channels: Sequence[int] = (6, 16),
        hidden: Sequence[int] = (120, 84),
        kernel: int = 5,
        upsample: str = "nearest",
        activation: str = "tanh",
        norm: str = "none",
    ) -> None:
        maps = [image_shape[0], *wholes("channels", channels)]
        stages = _stages((image_shape[1], image_shape[2]), len(maps) - 1, _kernel(kernel))
        size = stages[-1][3]
        widths = [in_features, *reversed(wholes("hidden", hidden, empty=True)), maps[-1] * prod(size)]
        super().__init__()
        for width, after in pairwise(widths):
            self.extend([nn.Linear(width, after), *finish(after, norm, activation, spatial=False)])  # N x hidden
        self.append(nn.Unflatten(1, (maps[-1], *size)))
        for (width, after), (window, padding, target, pooled) in zip(pairwise(maps[::-1]), stages[::-1], strict=True):
            if upsample == "pixel_shuffle":
                self.append(nn.Conv2d(width, 4 * width, 3, padding=1))  # N x 4 channels x h x w
            self.append(MODES[choice("upsample", upsample, MODES)](target))  # N x channels x 2h x 2w
            self.append(nn.ConvTranspose2d(width, after, window, padding=padding))  # N x channels x (2h + 4, then 2h)
            if pooled != stages[0][3]:
                self.extend(finish(after, norm, activation))
