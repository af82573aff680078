"""A set of images in files, of which those that can be read are held in memory where they fit."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from math import prod
from pathlib import Path

import torch
from torch import Tensor

from diabolo.data.cache.entry import Undecoded
from diabolo.data.cache.store import cached
from diabolo.data.decoding import BROKEN, FITS, assumption, decode, try_decode, try_header
from diabolo.data.images import ImageSet, MappedImages, MemoryImages
from diabolo.data.pages import ImageFile, with_pages
from diabolo.data.pixels import TYPES
from diabolo.data.shape import DEPTHS, check_value_range
from diabolo.errors import UserError, check_choice, check_int, printable

log = logging.getLogger(__name__)

UNREADABLE = ("refuse", "skip")
NO_PIXELS = ("unreadable", "memory_limit", "cache_limit")  # what of `Reading` does not decide how an image is decoded
SMALL = 4 << 20  # bytes of files that are decoded in about a second: nothing to be kept for the next run


@dataclass(frozen=True)
class Reading:
    """How the files of images are read, whichever source finds them.

    Args:
        image_shape: (channels, height, width) that the images are brought to.
        fit: how: "crop" resizes the shorter side and cuts out the centre, "pad" resizes the longer side and adds black,
            "stretch" resizes both sides.
        unreadable: what happens to files that look like images and cannot be read: "refuse" raises an error, "skip"
            names them in a warning and goes on without them.
        memory_limit: bytes up to which the images are held in memory.
        depth: how pixels are stored, "uint8", "uint16" or "float32".
        value_range: the numbers in the files that are black and white; None for the whole range of 8 and 16 bits, and
            [0, 1] of floats.
        cache_limit: bytes of the disk that all decoded images together may take, where runs keep them for each other
            (`diabolo.data.cache.store`); 0 keeps none, and sets too large for memory are decoded batch by batch.

    Raises:
        ConfigError: a value that cannot be.
    """

    image_shape: tuple[int, ...]
    fit: str = "crop"
    unreadable: str = "refuse"
    memory_limit: int = 1 << 30
    depth: str = "uint8"
    value_range: tuple[float, float] | None = None
    cache_limit: int = 0

    def __post_init__(self) -> None:
        check_choice("fit", self.fit, FITS)
        check_choice("unreadable", self.unreadable, UNREADABLE)
        check_int("memory_limit", self.memory_limit, 0)
        check_int("cache_limit", self.cache_limit, 0)
        check_choice("data.depth", self.depth, DEPTHS)
        check_value_range("data.value_range", self.value_range)

    @property
    def bytes(self) -> int:
        """Of an image in memory."""
        return prod(self.image_shape) * TYPES[self.depth].itemsize

    @property
    def how(self) -> tuple[tuple[int, ...], str, str, tuple[float, float] | None]:
        """What `decode` is told."""
        return self.image_shape, self.fit, self.depth, self.value_range


def open_files(base: Path, paths: Sequence[Path], labels: Tensor, reading: Reading) -> ImageSet:
    """The readable images at `paths`: in memory where they fit, else from the cache, else decoded when asked for.

    Args:
        base: the folder that messages name.
        paths: N files; each page of a TIFF file is an image.
        labels: N int64, -1 for an image without a label.

    Raises:
        UserError: unreadable images that are refused, or no readable one.
    """
    files, labels = with_pages(paths, labels)
    in_memory = len(files) * reading.bytes <= reading.memory_limit
    if reading.value_range is None and (sentence := assumption(files[0])):
        log.info(sentence)
    found = _cached(base, files, labels, reading, in_memory)
    return found or _uncached(base, files, labels, reading, in_memory)


def _cached(
    base: Path, files: Sequence[ImageFile], labels: Tensor, reading: Reading, in_memory: bool
) -> ImageSet | None:
    """The images from the cache; None where they are not to be kept there, or cannot be."""
    if not reading.cache_limit:
        return None
    try:
        found = [os.stat(file) for file in files]
    except OSError:  # a link to nowhere, which decoding names
        return None
    if in_memory and sum(file.st_size for file in found) < SMALL:
        return None
    below = str(base)
    lines = [  # the time of a file's last change of any kind cannot be set: a file put back with its old time shows
        f"{known.st_size} {known.st_mtime_ns} {known.st_ctime_ns} {str(file).removeprefix(below)!r}"
        for file, known in zip(files, found, strict=True)
    ]
    how = {name: value for name, value in asdict(reading).items() if name not in NO_PIXELS}
    decode_one = _DecodeFile(tuple(files), reading)
    dtype = TYPES[reading.depth]
    undecoded = Undecoded(os.path.realpath(base), lines, how, reading.image_shape, decode_one, dtype)
    decoded = cached(undecoded, reading.cache_limit)
    if decoded is None:
        return None
    bad = [f"{printable(files[place])} ({why})" for place, why in sorted(decoded.bad.items())]
    good = torch.tensor([place for place in range(len(files)) if place not in decoded.bad], dtype=torch.int64)
    _refuse_or_warn(bad, reading.unreadable, base, bool(len(good)))
    images = MappedImages(decoded.pixels, labels[good], good)
    return MemoryImages(images.take(range(len(good))), images.labels) if in_memory else images


@dataclass(frozen=True)
class _DecodeFile:
    """Decodes file i, or says why it cannot; also in a process of its own."""

    files: tuple[ImageFile, ...]
    reading: Reading

    def __call__(self, i: int) -> Tensor | str:
        return try_decode(self.files[i], *self.reading.how)


def _uncached(base: Path, files: Sequence[ImageFile], labels: Tensor, reading: Reading, in_memory: bool) -> ImageSet:
    how, unreadable = reading.how, reading.unreadable
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
