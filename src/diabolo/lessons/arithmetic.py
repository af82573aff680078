"""The size formulas of `diabolo.network.shapes` worked out: what a layer does to a side of an image, in numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from torch import nn

from diabolo.errors import UserError, check_choice, check_int, did_you_mean
from diabolo.network.shapes import conv_size, pooled_size, transposed_size
from diabolo.network.upsampling import PixelShuffle, ToSize, Unpool


class Worked(NamedTuple):
    """A size formula, worked out for one side."""

    result: int
    numbers: str  # the formula with its numbers
    letters: str  # ... and in letters: k kernel, s stride, p padding, d dilation, op output padding


def conv(size: int, kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1) -> Worked:
    """A convolution."""
    result = conv_size(size, kernel, stride, padding, dilation)
    numbers = f"floor(({size} + 2*{padding} - {_reach(kernel, dilation)}) / {stride}) + 1 = {result}"
    return Worked(result, numbers, "floor((in + 2p - (d(k - 1) + 1)) / s) + 1")


def transposed(
    size: int, kernel: int, stride: int = 1, padding: int = 0, output_padding: int = 0, dilation: int = 1
) -> Worked:
    """A transposed convolution."""
    result = transposed_size(size, kernel, stride, padding, output_padding, dilation)
    reach = _reach(kernel, dilation)
    numbers = f"({size} - 1)*{stride} - 2*{padding} + {reach} + {output_padding} = {result}"
    return Worked(result, numbers, "(in - 1)s - 2p + (d(k - 1) + 1) + op")


def pool(size: int, kernel: int, stride: int | None = None, padding: int = 0, ceil: int = 0) -> Worked:
    """A pooling; with `ceil` = 1 the pixels that are left over at the border get a window of their own, if it begins
    inside the image."""
    stride = stride or kernel
    if ceil and stride == kernel and not padding:
        result = pooled_size(size, kernel)
        return Worked(result, f"ceil({size} / {kernel}) = {result}", "ceil(in / k)")
    way, rest = ("ceil", stride - 1) if ceil else ("floor", 0)
    result = (size + 2 * padding - kernel + rest) // stride + 1
    numbers = f"{way}(({size} + 2*{padding} - {kernel}) / {stride}) + 1 = {result}"
    if ceil and (result - 1) * stride >= size + padding:
        result -= 1
        numbers += f", less 1 that would begin beyond the border = {result}"
    return Worked(result, numbers, f"{way}((in + 2p - k) / s) + 1")


def upsample(size: int, to: int) -> Worked:
    """An upsampling to an explicit size."""
    return Worked(to, f"{size} to {to}, as the encoder had it", "to the size that the encoder had there")


def unpool(size: int, to: int) -> Worked:
    """A max-pooling reversed."""
    return Worked(to, f"{size} to {to}, each value where its maximum stood", upsample(size, to).letters)


def shuffle(size: int, to: int) -> Worked:
    """A pixel shuffle by two, cropped."""
    crop = 2 * size - to
    return Worked(to, f"2*{size}{f' - {crop}' if crop else ''} = {to}", "2 in, less what is cropped")


def of_layer(layer: nn.Module, axis: int, size: int, target: int) -> Worked | None:
    """The size formula of a layer worked out for one axis; None if there is none, or if it does not give `target`.

    Args:
        axis: 0 for rows, 1 for columns.
        size: of the axis before the layer.
        target: of the axis after it.
    """

    def of(name: str) -> int:  # a layer's setting for the axis; it may be one number for both axes
        value = getattr(layer, name)
        return int(value[axis] if isinstance(value, tuple | list) else value)

    worked = None
    if isinstance(layer, ToSize):
        how = unpool if isinstance(layer, Unpool) else shuffle if isinstance(layer, PixelShuffle) else upsample
        worked = how(size, target)
    elif isinstance(layer, nn.MaxPool2d | nn.AvgPool2d) and getattr(layer, "dilation", 1) == 1:
        worked = pool(size, of("kernel_size"), of("stride"), of("padding"), int(layer.ceil_mode))
    elif isinstance(layer, nn.ConvTranspose2d):
        settings = [of(name) for name in ("kernel_size", "stride", "padding", "output_padding", "dilation")]
        worked = transposed(size, *settings)
    elif isinstance(layer, nn.Conv2d) and not isinstance(layer.padding, str):
        worked = conv(size, *(of(name) for name in ("kernel_size", "stride", "padding", "dilation")))
    return worked if worked is not None and worked.result == target else None


def weights(layer: nn.Module) -> str:
    """The number of parameters of a linear or convolutional layer, worked out; "" for other layers."""
    if isinstance(layer, nn.Linear):
        factors, biases = [layer.in_features, layer.out_features], layer.out_features
    elif isinstance(layer, nn.Conv2d | nn.ConvTranspose2d) and layer.groups == 1:
        factors, biases = [layer.in_channels, layer.out_channels, *layer.kernel_size], layer.out_channels
    else:
        return ""
    total = sum(parameter.numel() for parameter in layer.parameters())
    return "*".join(map(str, factors)) + (f" + {biases}" if layer.bias is not None else "") + f" = {total:,}"


LAYERS: Mapping[str, Callable[..., Worked]] = {
    "conv": conv,
    "transposed": transposed,
    "pool": pool,
    "upsample": upsample,
}
SETTINGS = {
    "conv": {"kernel": 1, "stride": 1, "padding": 0, "dilation": 1},
    "transposed": {"kernel": 1, "stride": 1, "padding": 0, "output_padding": 0, "dilation": 1},
    "pool": {"kernel": 1, "stride": 1, "padding": 0, "ceil": 0},
    "upsample": {"to": 1},
}  # of each kind of layer, with their smallest possible values


def free_layer(text: str, before: int | None = None) -> tuple[str, Worked]:
    """A layer given as text, in words and with its size worked out.

    Args:
        text: KIND:NAME=NUMBER,..., such as "conv:in=64,kernel=5".
        before: the side before the layer, if the text has no `in`.

    Raises:
        UserError: an unknown kind or setting, a value that is no such number, or a layer that leaves nothing.
    """
    kind, _, rest = text.partition(":")
    known = SETTINGS[check_choice("--layer", kind, LAYERS)]
    settings: dict[str, Any] = {"in": before} if before is not None else {}
    for pair in filter(None, rest.split(",")):
        name, equals, value = pair.partition("=")
        if not equals or name not in {"in", *known}:
            raise UserError(
                f"`--layer` {text!r}: {pair!r} is no setting of {kind}; write NAME=NUMBER for"
                f" {', '.join(['in', *known])}{did_you_mean(name, ['in', *known])}."
            )
        number = int(value) if value.isdecimal() else value
        settings[name] = check_int(f"--layer {kind}:{name}", number, known.get(name, 1))
    needed = ["in", *(name for name in known if name in ("kernel", "to"))]
    if missing := [name for name in needed if name not in settings]:
        raise UserError(f"`--layer` {text!r} needs {missing[0]}=NUMBER, as in {_example(kind)}.")
    size = settings.pop("in")
    worked = LAYERS[kind](size, **settings)
    if worked.result < 1:
        raise UserError(f"`--layer` {text!r} leaves nothing of a side of {size}: {worked.numbers}.")
    return (
        f"{kind} {' '.join(f'{name} {value}' for name, value in settings.items())}: {size} to {worked.result}",
        worked,
    )


def _example(kind: str) -> str:
    return f"{kind}:in=64,{'to=128' if kind == 'upsample' else 'kernel=5'}"


def _reach(kernel: int, dilation: int) -> str:
    return str(kernel) if dilation == 1 else f"({dilation}*({kernel} - 1) + 1)"
