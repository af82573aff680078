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

from diabolo.data.arrays.files import Array, Stored, reading
from diabolo.data.decoding import MODES, to_shape
from diabolo.data.files import Reading
from diabolo.data.images import ImageSet, MappedImages, MemoryImages, fit_shape
from diabolo.data.pixels import TYPES, to_depth, unit_interval
from diabolo.errors import printable

AXES = ("NHW", "NHWC", "NCHW")
CHUNK = 1 << 24  # numbers read and converted at once


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
        (shape[1] in MODES, shape[3] in MODES),
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
        reading: the shape and depth that they are brought to, and how.
        where: the file and the array, for messages.
    """

    axes: str
    reading: Reading
    where: str

    def view(self, values: np.ndarray) -> Tensor | None:
        """`values` as N x C x H x W without a copy, where they are whole numbers stored so already; else None."""
        if values.dtype != self.reading.depth or values.dtype.kind != "u" or self.reading.value_range is not None:
            return None
        pixels = self._channels_first(values)
        return torch.from_numpy(pixels) if pixels.shape[1:] == self.reading.image_shape else None

    def images(self, values: np.ndarray) -> Tensor:
        """N x C x H x W, as stored.

        Raises:
            UserError: numbers that are not finite or outside of the range.
        """
        how = self.reading
        values = np.ascontiguousarray(self._channels_first(np.asarray(values)))
        pixels = to_depth(values, how.depth, how.value_range, self.where)
        if pixels.shape[1:] == how.image_shape:
            return pixels
        return torch.stack([self._fitted(one) for one in pixels])

    def _fitted(self, pixels: Tensor) -> Tensor:
        """An image brought to the shape by Pillow, as those in files are: as a whole, or channel by channel."""
        (channels, *sides), how = self.reading.image_shape, self.reading
        if how.depth == "uint8" and len(pixels) in MODES and channels in MODES:
            bands = pixels[0] if len(pixels) == 1 else pixels.permute(1, 2, 0)
            return to_shape(Image.fromarray(bands.contiguous().numpy()), how.image_shape, how.fit)
        drawn = pixels if how.depth == "uint8" else unit_interval(pixels)
        fitted = [to_shape(Image.fromarray(one.numpy()), (1, *sides), how.fit, how.depth) for one in drawn]
        return fit_shape(torch.cat(fitted)[None], how.image_shape)[0]

    def _channels_first(self, values: np.ndarray) -> np.ndarray:
        if self.axes == "NHW":
            return values.reshape(len(values), 1, *values.shape[1:])
        return values.transpose(0, 3, 1, 2) if self.axes == "NHWC" else values


def where_of(stored: Stored) -> str:
    """The file and the array, for messages."""
    return f"{printable(stored.file)} ({stored.name})"


def open_images(stored: Stored, labels: Tensor, layout: ArrayLayout) -> ImageSet:
    """The images of an array: in memory where they fit, else mapped where they lie ready in the file, else read and
    converted when they are asked for.

    Raises:
        UserError: a file that cannot be read, or numbers that are no pixels.
    """
    with reading(stored.file):
        array = stored.open()
        if stored.shape[0] * layout.reading.bytes <= layout.reading.memory_limit:
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
            return torch.empty(0, *self.layout.reading.image_shape, dtype=TYPES[self.layout.reading.depth])
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
