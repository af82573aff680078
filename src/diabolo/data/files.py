"""A set of images in files, of which those that can be read are held in memory where they fit."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import prod
from pathlib import Path

import torch
from torch import Tensor

from diabolo.data.decoding import BROKEN, FITS, assumption, decode, try_decode, try_header
from diabolo.data.images import ImageSet, MemoryImages
from diabolo.data.pages import ImageFile, with_pages
from diabolo.data.pixels import TYPES
from diabolo.data.shape import DEPTHS, check_value_range
from diabolo.errors import UserError, check_choice, check_int, printable

log = logging.getLogger(__name__)

UNREADABLE = ("refuse", "skip")


@dataclass(frozen=True)
class Reading:
    """How the files of images are read, whichever source finds them.

    Args:
        image_shape: (channels, height, width) that the images are brought to.
        fit: how: "crop" resizes the shorter side and cuts out the centre, "pad" resizes the longer side and adds black,
            "stretch" resizes both sides.
        unreadable: what happens to files that look like images and cannot be read: "refuse" raises an error, "skip"
            names them in a warning and goes on without them.
        memory_limit: bytes up to which the images are held in memory; larger sets are decoded batch by batch.
        depth: how pixels are stored, "uint8", "uint16" or "float32".
        value_range: the numbers in the files that are black and white; None for the whole range of 8 and 16 bits, and
            [0, 1] of floats.

    Raises:
        ConfigError: a value that cannot be.
    """

    image_shape: tuple[int, ...]
    fit: str = "crop"
    unreadable: str = "refuse"
    memory_limit: int = 1 << 30
    depth: str = "uint8"
    value_range: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        check_choice("fit", self.fit, FITS)
        check_choice("unreadable", self.unreadable, UNREADABLE)
        check_int("memory_limit", self.memory_limit, 0)
        check_choice("data.depth", self.depth, DEPTHS)
        check_value_range("data.value_range", self.value_range)

    @property
    def bytes(self) -> int:
        """Of an image in memory."""
        return prod(self.image_shape) * TYPES[self.depth].itemsize


def open_files(base: Path, paths: Sequence[Path], labels: Tensor, reading: Reading) -> ImageSet:
    """The readable images at `paths`: decoded if they fit in memory.

    Args:
        base: the folder that messages name.
        paths: N files; each page of a TIFF file is an image.
        labels: N int64, -1 for an image without a label.

    Raises:
        UserError: unreadable images that are refused, or no readable one.
    """
    how, unreadable = (reading.image_shape, reading.fit, reading.depth, reading.value_range), reading.unreadable
    files, labels = with_pages(paths, labels)
    in_memory = len(files) * reading.bytes <= reading.memory_limit
    if reading.value_range is None and (sentence := assumption(files[0])):
        log.info(sentence)
    with ThreadPoolExecutor() as pool:
        if in_memory or unreadable == "skip":
            decoded: Iterable[Tensor | str] = pool.map(lambda p: try_decode(p, *how), files)
        else:  # too many to decode twice: look at the headers; a broken body is found when its turn comes
            decoded = pool.map(try_header, files)
        images = []
        good: list[int] = []
        bad: list[str] = []
        for place, result in enumerate(decoded):
            if isinstance(result, str):
                bad.append(f"{printable(files[place])} ({result})")
            else:
                good.append(place)
                if in_memory:
                    images.append(result)
    _refuse_or_warn(bad, unreadable, base, bool(good))
    if in_memory:
        return MemoryImages(torch.stack(images), labels[good])
    return FileImages([files[place] for place in good], labels[good], *how)


def _refuse_or_warn(bad: list[str], unreadable: str, base: Path, any_good: bool) -> None:
    if not bad:
        return
    named = "; ".join(bad[:5]) + (f"; and {len(bad) - 5} more" if len(bad) > 5 else "")
    if unreadable == "refuse" or not any_good:
        raise UserError(f"{len(bad)} of the images in {printable(base)!r} cannot be read: {named}. Remove them or set"
                          " data.source.unreadable=skip.")  # fmt: skip
    log.warning("skipped %d unreadable images: %s", len(bad), named)


class FileImages:
    """An `ImageSet` whose images are decoded each time they are asked for.

    Args:
        paths: N files, or pages of files.
        labels: N int64, -1 for an image without a label.
        image_shape: (channels, height, width) that the images are brought to.
        fit, depth, value_range: as in `Reading`.

    Raises:
        UserError: when it is asked for, an image that cannot be read.
    """

    def __init__(
        self,
        paths: Sequence[ImageFile],
        labels: Tensor,
        image_shape: tuple[int, ...],
        fit: str,
        depth: str = "uint8",
        value_range: tuple[float, float] | None = None,
    ) -> None:
        self.paths = list(paths)
        self.labels = labels
        self.how = image_shape, fit, depth, value_range

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Tensor:
        path = self.paths[index]
        try:
            return decode(path, *self.how)
        except BROKEN as failure:
            raise UserError(
                f"{printable(path)} cannot be read ({failure}); remove it or set data.source.unreadable=skip."
            ) from None

    def take(self, indices: Tensor | Sequence[int]) -> Tensor:
        return torch.stack([self[int(i)] for i in indices])

    def subset(self, indices: Tensor) -> FileImages:
        return FileImages([self.paths[int(i)] for i in indices], self.labels[indices], *self.how)
