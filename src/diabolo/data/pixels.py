"""The scale of pixels: as they are stored, [0, 1] outside, normalised inside the network.

Stored pixels fill the range of their type: 0 to 255, 0 to 65,535, or floats in [0, 1]. This file alone knows these
numbers: `to_depth` is the way in, `unit_interval` the way out.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from diabolo.errors import ConfigError, UserError, figure

TYPES = {"uint8": torch.uint8, "uint16": torch.uint16, "float32": torch.float32}  # by `data.depth`
BRIGHTEST = {torch.uint8: 255, torch.uint16: 65535}  # how white is stored; as 1 in floats

Range = Sequence[float]  # two numbers: what is black and what is white


def brightest(images: Tensor) -> int:
    """The number by which white is stored in images of this type."""
    return BRIGHTEST.get(images.dtype, 1)


def unit_interval(images: Tensor) -> Tensor:
    """Stored pixels as float32 in [0, 1]; floats are in that range already and come back as they are."""
    full = brightest(images)
    return images.float() if full == 1 else images.float().div_(full)


def to_depth(values: np.ndarray | Tensor, depth: str, value_range: Range | None = None, where: str = "it") -> Tensor:
    """Pixels of any type as they are stored: `value_range` is spread over the range of `depth`.

    Args:
        values: of any shape.
        depth: "uint8", "uint16" or "float32".
        value_range: the values that are black and white; None for the whole range of whole numbers of 8 and 16 bits (of
            signed ones, from 0), and [0, 1] for floats.
        where: the file they come from, for the message.

    Returns:
        A tensor of the same shape; the values themselves where they are stored so already.

    Raises:
        UserError: values that are no numbers or outside of the range, or whole numbers of more than 16 bits whose range
            is not declared.
    """
    if isinstance(values, Tensor) and values.dtype == TYPES[depth] == torch.uint8 and value_range is None:
        return values
    array = np.asarray(values)
    try:
        if value_range is None and array.dtype in (np.uint8, np.uint16):
            stored = torch.from_numpy(array.astype(array.dtype.newbyteorder("="), copy=False))
            return stored if stored.dtype == TYPES[depth] else from_unit(unit_interval(stored), depth)
        return from_unit(torch.from_numpy(to_unit_range(array, value_range)), depth)
    except ValueError as failure:
        raise UserError(f"{where} cannot be used: {failure}.") from None


def from_unit(values: Tensor, depth: str) -> Tensor:
    """Floats in [0, 1] as they are stored; whole numbers are rounded."""
    dtype = TYPES[depth]
    return values.float() if dtype == torch.float32 else (values * BRIGHTEST[dtype]).round().to(dtype)


def to_unit_range(values: np.ndarray, value_range: Range | None = None) -> np.ndarray:
    """Values with black at 0 and white at 1, float64.

    Raises:
        ValueError: values that are no numbers, outside of the range, or of a type whose range has to be declared.
    """
    low, high = range_of(values.dtype) if value_range is None else value_range
    if not values.size:
        return values.astype(np.float64)
    if not np.isfinite(values).all():
        raise ValueError("it holds pixels that are no finite numbers")
    least, most = values.min().item(), values.max().item()
    if least < low or most > high:
        said = f"it holds values from {figure(least)} to {figure(most)}, outside of {figure(low)} to {figure(high)}"
        raise ValueError(f"{said}: data.value_range=[LOW,HIGH] declares another range")
    return (values.astype(np.float64) - low) / (high - low)


def range_of(dtype: np.dtype) -> tuple[float, float]:
    """What is black and what is white in values of this type, where nothing is declared.

    Raises:
        ValueError: whole numbers of more than 16 bits, whose range nobody uses.
    """
    if dtype.kind in "fb":
        return 0, 1
    if dtype.kind in "ui" and dtype.itemsize <= 2:
        return 0, int(np.iinfo(dtype).max)
    raise ValueError(f"it holds {dtype}, whose range has to be declared by data.value_range=[LOW,HIGH]")


class PixelScale(nn.Module):
    """x -> (x - mean) / std for each channel, and back; without `mean` and `std` the network sees [0, 1] itself.

    Args:
        mean, std: in the units of [0, 1]: one number for all channels, one for each, or None for 0 and 1.
        channels: of the images.

    Raises:
        ConfigError: no numbers, not as many as channels, or a `std` that is not above 0.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, mean: float | Sequence[float] | None = None, std: float | Sequence[float] | None = None, channels: int = 1
    ) -> None:
        super().__init__()
        self.normalises = mean is not None or std is not None
        for name, value, neutral in (("mean", mean, 0.0), ("std", std, 1.0)):
            values = torch.tensor(neutral if value is None else _numbers(name, value)).flatten()
            if len(values) not in (1, channels):
                raise ConfigError(f"data.{name}", value, f"must be one number or one for each of {channels} channels")
            if name == "std" and not bool((values > 0).all()):
                raise ConfigError("data.std", value, "must be above 0")
            self.register_buffer(name, values.view(-1, 1, 1), persistent=False)

    def to_network(self, images: Tensor) -> Tensor:
        """N x C x H x W, as stored or floats in [0, 1], to float32 in the network's scale."""
        pixels = unit_interval(images)
        return pixels.sub(self.mean).div_(self.std) if self.normalises else pixels

    def to_unit(self, images: Tensor) -> Tensor:
        """N x C x H x W in the network's scale to float32 in the scale of [0, 1], not clipped."""
        return images.float() * self.std + self.mean if self.normalises else images.float()


def _numbers(name: str, value: float | Sequence[float]) -> list[float]:
    try:
        return [float(number) for number in (value if isinstance(value, Sequence) else [value])]
    except (TypeError, ValueError):
        raise ConfigError(f"data.{name}", value, "must be a number or a list of numbers") from None
