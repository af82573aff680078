"""Sets of images that lie in arrays, brought to the shape that a network takes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from diabolo.data.array_files import Array, Stored, reading
from diabolo.data.decoding import to_shape
from diabolo.data.images import ImageSet, MappedImages, MemoryImages
from diabolo.errors import ConfigError, UserError, printable

AXES = ("NHW", "NHWC", "NCHW")
CHUNK = 1 << 24  # numbers read and converted at once
DRAWABLE = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}  # channels that Pillow brings to other sides


def axes_of(shape: Sequence[int], image_shape: Sequence[int]) -> str | None:
    """Which axes an array of images has, told by the shape that is asked for; None where it could be two ways.

    Args:
        shape: (N, H, W), (N, H, W, C) or (N, C, H, W).
        image_shape: (C, H, W) that is asked for.
    """
    if len(shape) == 3:
        return "NHW"
    if len(shape) != 4:
        return None
    channels, *sides = image_shape
    rules = (
        (tuple(shape[1:]) == (channels, *sides), tuple(shape[1:]) == (*sides, channels)),
        (shape[1] == channels, shape[3] == channels),
        (shape[1] in DRAWABLE, shape[3] in DRAWABLE),
    )
    for first, last in rules:
        if first != last:
            return "NCHW" if first else "NHWC"
    return None


@dataclass(frozen=True)
class ArrayLayout:
    """How the numbers of an array become images.

    Args:
        axes: "NHW", "NHWC" or "NCHW".
        image_shape: (C, H, W) that the images are brought to.
        fit: how, as in `Reading`.
        value_range: the numbers that are black and white; None for all that whole numbers of the array's type can be,
            and for [0, 1] of others.
        where: the file and the array, for messages.
    """

    axes: str
    image_shape: tuple[int, ...]
    fit: str
    value_range: tuple[float, float] | None
    where: str

    def view(self, values: np.ndarray) -> Tensor | None:
        """`values` as N x C x H x W without a copy, where they are such images already; else None."""
        if values.dtype != np.uint8 or self.value_range not in (None, (0, 255)):
            return None
        pixels = self._channels_first(values)
        return torch.from_numpy(pixels) if pixels.shape[1:] == self.image_shape else None

    def images(self, values: np.ndarray) -> Tensor:
        """N x C x H x W uint8.

        Raises:
            UserError: numbers that are not finite or outside of the range.
        """
        pixels = self._channels_first(to_bytes(np.asarray(values), self.value_range, self.where))
        if pixels.shape[1:] == self.image_shape:
            return torch.from_numpy(np.ascontiguousarray(pixels))
        if (mode := DRAWABLE.get(pixels.shape[1])) is None:
            raise UserError(
                f"{self.where} holds images of {pixels.shape[1]} x {pixels.shape[2]} x {pixels.shape[3]} (channels,"
                f" height, width), which cannot be brought to `data.image_shape` (= {list(self.image_shape)})."
            )
        drawn = (np.ascontiguousarray(image[0] if mode == "L" else image.transpose(1, 2, 0)) for image in pixels)
        return torch.stack([to_shape(Image.fromarray(one), self.image_shape, self.fit) for one in drawn])

    def _channels_first(self, values: np.ndarray) -> np.ndarray:
        if self.axes == "NHW":
            return values.reshape(len(values), 1, *values.shape[1:])
        return values.transpose(0, 3, 1, 2) if self.axes == "NHWC" else values


def to_bytes(values: np.ndarray, value_range: tuple[float, float] | None, where: str) -> np.ndarray:
    """Numbers of a declared range scaled to 0..255; never by what the array happens to hold.

    Raises:
        UserError: numbers that are not finite or outside of the range.
    """
    if values.dtype == np.uint8 and value_range in (None, (0, 255)):
        return values
    if value_range is not None:
        low, high = value_range
    elif values.dtype.kind in "iu" and values.dtype.itemsize <= 2:
        low, high = 0, np.iinfo(values.dtype).max
    elif values.dtype.kind in "bf":
        low, high = 0, 1
    else:
        raise UserError(f"{where} holds {values.dtype} numbers: say which are black and white by"
                        " data.source.value_range=[BLACK,WHITE].")  # fmt: skip
    scaled = values.astype(np.float64)
    if not np.isfinite(scaled).all():
        raise UserError(f"{where} holds pixels that are no finite numbers.")
    if len(scaled) and (scaled.min() < low or scaled.max() > high):
        raise UserError(
            f"{where} holds pixels from {scaled.min():g} to {scaled.max():g}, outside of [{low:g}, {high:g}]: say which"
            " are black and white by data.source.value_range=[BLACK,WHITE]."
        )
    scaled -= low
    scaled *= 255 / (high - low)
    return scaled.round().astype(np.uint8)


def check_range(value_range: Sequence[float] | None) -> tuple[float, float] | None:
    """`value_range` as two numbers.

    Raises:
        ConfigError: it is no pair of numbers of which the first is smaller.
    """
    if value_range is None:
        return None
    good = not isinstance(value_range, str) and len(value_range) == 2
    if not good or not all(isinstance(v, int | float) for v in value_range) or not value_range[0] < value_range[1]:
        raise ConfigError("value_range", value_range, "must be [BLACK,WHITE], two numbers, the smaller one first")
    return value_range[0], value_range[1]


def where_of(stored: Stored) -> str:
    """The file and the array, for messages."""
    return f"{printable(stored.file)} ({stored.name})"


def open_images(stored: Stored, labels: Tensor, layout: ArrayLayout, memory_limit: int) -> ImageSet:
    """The images of an array: in memory where they fit, else mapped where they lie ready in the file, else read and
    converted when they are asked for.

    Raises:
        UserError: a file that cannot be read, or numbers that are no pixels.
    """
    with reading(stored.file):
        array = stored.open()
        if stored.shape[0] * prod(layout.image_shape) <= memory_limit:
            part = max(1, CHUNK // max(1, prod(stored.shape[1:])))
            parts = [layout.images(array[start : start + part]) for start in range(0, stored.shape[0], part)]
            return MemoryImages(torch.cat(parts), labels)
        if stored.mapped and (pixels := layout.view(np.asarray(array))) is not None:
            return MappedImages(pixels, labels, torch.arange(len(labels)))
    return ArrayImages(stored, labels, torch.arange(len(labels)), layout)


@dataclass
class ArrayImages:
    """An `ImageSet` in a file, of which images are read and converted when they are asked for.

    Args:
        stored: the array in its file, opened in each process.
        labels: N int64, -1 for an image without a label.
        rows: N int64, the place in the array of each image.
        layout: how its numbers become images.

    Raises:
        UserError: when it is asked for, an image that cannot be read or whose numbers are no pixels.
    """

    stored: Stored
    labels: Tensor
    rows: Tensor
    layout: ArrayLayout
    _opened: tuple[int, Array] | None = field(default=None, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Tensor:
        row = int(self.rows[index])
        with reading(self.stored.file):
            return self.layout.images(self._array()[row : row + 1])[0]

    def take(self, indices: Tensor | Sequence[int]) -> Tensor:
        wanted, back = self.rows[torch.as_tensor(indices)].unique(return_inverse=True)  # sorted, as HDF5 wants them
        if not len(wanted):
            return torch.empty(0, *self.layout.image_shape, dtype=torch.uint8)
        with reading(self.stored.file):
            return self.layout.images(self._array()[wanted.numpy()])[back]

    def subset(self, indices: Tensor) -> ArrayImages:
        return ArrayImages(self.stored, self.labels[indices], self.rows[indices], self.layout)

    def _array(self) -> Array:
        if self._opened is None or self._opened[0] != os.getpid():  # HDF5's handles do not survive a fork
            self._opened = (os.getpid(), self.stored.open())
        return self._opened[1]

    def __getstate__(self) -> dict[str, object]:
        return {**vars(self), "_opened": None}
