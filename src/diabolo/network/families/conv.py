"""Strided convolutions down, transposed convolutions up."""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from torch import nn

from diabolo.errors import ConfigError, check_int, check_ints
from diabolo.network.families.heads import from_code, plan, to_code
from diabolo.network.families.residual import ResidualBlock
from diabolo.network.layers import norm_act
from diabolo.network.shapes import conv_size, output_padding

STRIDE = 2
INNER = 4  # the residual layers of a stack have a quarter of the maps inside


class ConvEncoder(nn.Sequential):
    """N x C x H x W -> N x `out_features`: a convolution per entry of `channels`, the stack, then the head.

    Args:
        image_shape: (channels, height, width).
        out_features: numbers for the bottleneck.
        channels: feature maps of each stage, from the image inwards.
        kernel: side of the kernels in pixels, 2 or more: one number, or a list with one a stage.
        head: from the last maps to the numbers; see `diabolo.network.families.heads`.
        hidden: widths of the linear layers of `head="mlp"`.
        activation, norm: after each convolution; see `diabolo.network.layers`.
        strides: a list with one a stage, such as [2, 1, 2]; None: 2 each. `head="spatial"` has a stage more.
        stack: residual layers between the last stage and the head, with `inner` = a quarter of the maps; see
            `diabolo.network.ResidualBlock`.
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        out_features: int,
        channels: Sequence[int] = (16, 32, 64),
        kernel: int | Sequence[int] = 3,
        head: str = "linear",
        hidden: Sequence[int] = (256,),
        activation: str = "relu",
        norm: str = "none",
        strides: Sequence[int] | None = None,
        stack: int = 0,
    ) -> None:
        stages = _stages(channels, kernel, strides, head)
        widths, sizes = plan(image_shape, channels, head, out_features, [stage.after for stage in stages])
        super().__init__()
        for (width, after), stage in zip(pairwise(widths), stages, strict=True):
            self.append(nn.Conv2d(width, after, *stage))  # N x channels x H/stride x W/stride
            self.extend(norm_act(after, norm, activation))
        if check_int("stack", stack, 0):
            self.extend(_stack(widths[-1], stack, norm, activation))
            self.extend(norm_act(widths[-1], norm, activation))
        self.extend(to_code(head, (widths[-1], *sizes[-1]), out_features, hidden, norm, activation))  # N x out_features


class ConvTransposeDecoder(nn.Sequential):
    """N x `in_features` -> N x C x H x W: the mirror of `ConvEncoder`, each stage restoring the size it met.

    Args:
        in_features: numbers in a code.
        image_shape: (channels, height, width).
        channels, kernel, head, hidden, activation, norm, strides, stack: as in `ConvEncoder`: lists are read from their
            end. A transposed convolution of stride 1 is a convolution with its kernel turned round.
    """

    def __init__(
        self,
        in_features: int,
        image_shape: Sequence[int],
        channels: Sequence[int] = (16, 32, 64),
        kernel: int | Sequence[int] = 3,
        head: str = "linear",
        hidden: Sequence[int] = (256,),
        activation: str = "relu",
        norm: str = "none",
        strides: Sequence[int] | None = None,
        stack: int = 0,
    ) -> None:
        stages = _stages(channels, kernel, strides, head)
        widths, sizes = plan(image_shape, channels, head, in_features, [stage.after for stage in stages])
        maps = (widths[-1], *sizes[-1])
        super().__init__(*from_code(head, in_features, maps, hidden, norm, activation))  # N x channels x h x w
        self.extend(_stack(widths[-1], check_int("stack", stack, 0), norm, activation))
        if head != "spatial":
            self.extend(norm_act(widths[-1], norm, activation))
        for i in reversed(range(len(stages))):
            rows, columns = (output_padding(*ends, *stages[i]) for ends in zip(sizes[i + 1], sizes[i], strict=True))
            # N x channels x h x w -> N x channels x stride h x stride w
            self.append(nn.ConvTranspose2d(widths[i + 1], widths[i], *stages[i], (rows, columns)))
            if i:
                self.extend(norm_act(widths[i], norm, activation))


class Stage(NamedTuple):
    """What a convolution does to the sides of its maps, in pixels."""

    kernel: int
    stride: int
    padding: int

    def after(self, side: int) -> int:
        """The side of what the convolution gives."""
        return conv_size(side, *self)


def _stages(
    channels: Sequence[int], kernel: int | Sequence[int], strides: Sequence[int] | None, head: str
) -> list[Stage]:
    """The stages from the image inwards; "spatial" has one more, which makes the code.

    Raises:
        ConfigError: kernels or strides are not as many.
    """
    count = len(check_ints("channels", channels)) + (head == "spatial")
    one = isinstance(kernel, str) or not isinstance(kernel, Sequence)
    kernels = [check_int("kernel", kernel, 2)] * count if one else check_ints("kernel", kernel, minimum=2)
    steps = [STRIDE] * count if strides is None else check_ints("strides", strides)
    for name, given, value in (("kernel", kernels, kernel), ("strides", steps, strides)):
        if len(given) != count:
            raise ConfigError(name, value, f"must have {count} entries, one a stage (model.channels, model.head)")
    return [Stage(side, step, (side - 1) // 2) for side, step in zip(kernels, steps, strict=True)]


def _stack(width: int, layers: int, norm: str, activation: str) -> list[nn.Module]:
    """Residual layers on maps of `width` channels."""
    return [ResidualBlock(width, activation, norm, inner=max(1, width // INNER)) for _ in range(layers)]
