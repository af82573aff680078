"""Sets of images that lie as the bytes of image files in something else: a table, a shard."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from diabolo.data.arrays.sets import ArrayLayout, axes_of
from diabolo.data.decoding import BROKEN, decode, to_shape
from diabolo.data.files import Reading
from diabolo.data.images import ImageSet, MemoryImages
from diabolo.data.pixels import TYPES
from diabolo.errors import UserError

log = logging.getLogger(__name__)

FETCHED = 1024  # images whose bytes are held at once while all are decoded


@dataclass
class EncodedImages:
    """An `ImageSet` whose images are fetched and decoded each time they are asked for.

    Args:
        fetch: gives the image at a row: the bytes of an image file, Pillow's image or an array. It can be
            pickled, and it works in a process that was forked.
        labels: N int64, -1 for an image without a label.
        rows: N int64, the row of each image.
        reading: how the images are read.
        where: what messages name.
        groups: N int64, for images that are best read group by group, as those of a shard; else None.

    Raises:
        UserError: when it is asked for, an image that cannot be read.
    """

    fetch: Callable[[int], Any]
    labels: Tensor
    rows: Tensor
    reading: Reading
    where: str
    groups: Tensor | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Tensor:
        row = int(self.rows[index])
        image = self.decoded(row)
        if isinstance(image, str):
            raise UserError(f"image {row} of {self.where} cannot be read ({image}).")
        return image

    def take(self, indices: Tensor | Sequence[int]) -> Tensor:
        images = [self[int(i)] for i in indices]
        return (
            torch.stack(images)
            if images
            else torch.empty(0, *self.reading.image_shape, dtype=TYPES[self.reading.depth])
        )

    def subset(self, indices: Tensor) -> EncodedImages:
        groups = None if self.groups is None else self.groups[indices]
        return EncodedImages(self.fetch, self.labels[indices], self.rows[indices], self.reading, self.where, groups)

    def decoded(self, row: int) -> Tensor | str:
        """The image at a row of what is fetched from, or why it cannot be read."""
        return self._decoded(self.fetched(row))

    def fetched(self, row: int) -> Any:
        """What stands for the image at a row; an exception that says why it cannot be had, which is not raised."""
        try:
            return self.fetch(row)
        except BROKEN as failure:
            return failure

    def decoded_in_turn(self) -> Iterator[Tensor | str]:
        """All images, as `decoded` gives them: fetched one by one, as libraries want it, and decoded by threads."""
        with ThreadPoolExecutor() as pool:
            for rows in self.rows.split(FETCHED):
                yield from pool.map(self._decoded, [self.fetched(row) for row in rows.tolist()])

    def _decoded(self, value: Any) -> Tensor | str:
        try:
            return str(value) if isinstance(value, Exception) else as_pixels(value, self.reading)
        except UnidentifiedImageError:
            return "not an image"
        except BROKEN as failure:
            return str(failure)


def as_pixels(value: Any, reading: Reading) -> Tensor:
    """What stands for an image in another's file, as C x H x W pixels.

    Raises:
        ValueError: it stands for none.
    """
    how = reading.image_shape, reading.fit, reading.depth, reading.value_range
    if isinstance(value, bytes):
        return decode(BytesIO(value), *how)
    if isinstance(value, Image.Image):
        return to_shape(value, *how)
    array = value.numpy() if isinstance(value, Tensor) else value
    if (
        isinstance(array, np.ndarray)
        and array.ndim in (2, 3)
        and (axes := axes_of((1, *array.shape), reading.image_shape))
    ):
        return ArrayLayout(axes, reading, "it").images(array[None])[0]
    raise ValueError(f"a {type(value).__name__} is no image")


def open_encoded(images: EncodedImages) -> ImageSet:
    """The images that can be read, decoded if they fit in memory.

    Raises:
        UserError: unreadable images that are refused, or no readable one.
    """
    reading = images.reading
    in_memory = len(images) * reading.bytes <= reading.memory_limit
    if not in_memory and reading.unreadable == "refuse":  # what is broken is found when its turn comes
        return images
    pixels, good, bad = [], [], []
    for place, decoded in enumerate(images.decoded_in_turn()):
        if isinstance(decoded, str):
            bad.append(f"image {int(images.rows[place])} ({decoded})")
            continue
        good.append(place)
        if in_memory:
            pixels.append(decoded)
    if bad:
        named = "; ".join(bad[:5]) + (f"; and {len(bad) - 5} more" if len(bad) > 5 else "")
        if reading.unreadable == "refuse" or not good:
            raise UserError(
                f"{len(bad)} of the images in {images.where} cannot be read: {named}. Remove them or set"
                " data.source.unreadable=skip."
            )
        log.warning("skipped %d unreadable images of %s: %s", len(bad), images.where, named)
    if in_memory:
        return MemoryImages(torch.stack(pixels), images.labels[good])
    return images.subset(torch.tensor(good))
