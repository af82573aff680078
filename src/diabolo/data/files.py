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

from diabolo.data.cache import cached
from diabolo.data.cache_entry import Undecoded
from diabolo.data.decoding import BROKEN, FITS, decode, try_decode, try_header
from diabolo.data.images import ImageSet, MappedImages, MemoryImages
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
        cache_limit: bytes of the disk that all decoded images together may take, where runs keep them for each other
            (`diabolo.data.cache`); 0 keeps none, and sets too large for memory are decoded batch by batch.

    Raises:
        ConfigError: a value that cannot be.
    """

    image_shape: tuple[int, ...]
    fit: str = "crop"
    unreadable: str = "refuse"
    memory_limit: int = 1 << 30
    cache_limit: int = 0

    def __post_init__(self) -> None:
        check_choice("fit", self.fit, FITS)
        check_choice("unreadable", self.unreadable, UNREADABLE)
        check_int("memory_limit", self.memory_limit, 0)
        check_int("cache_limit", self.cache_limit, 0)


def open_files(base: Path, paths: Sequence[Path], labels: Tensor, reading: Reading) -> ImageSet:
    """The readable images at `paths`: in memory where they fit, else from the cache, else decoded when asked for.

    Args:
        base: the folder that messages name.
        paths: N files.
        labels: N int64, -1 for an image without a label.

    Raises:
        UserError: unreadable images that are refused, or no readable one.
    """
    in_memory = len(paths) * prod(reading.image_shape) <= reading.memory_limit
    found = _cached(base, paths, labels, reading, in_memory)
    return found or _uncached(base, paths, labels, reading, in_memory)


def _cached(base: Path, paths: Sequence[Path], labels: Tensor, reading: Reading, in_memory: bool) -> ImageSet | None:
    """The images from the cache; None where they are not to be kept there, or cannot be."""
    if not reading.cache_limit:
        return None
    try:
        found = [os.stat(path) for path in paths]
    except OSError:  # a link to nowhere, which decoding names
        return None
    if in_memory and sum(file.st_size for file in found) < SMALL:
        return None
    below = str(base)
    lines = [  # the time of a file's last change of any kind cannot be set: a file put back with its old time shows
        f"{file.st_size} {file.st_mtime_ns} {file.st_ctime_ns} {str(path).removeprefix(below)!r}"
        for path, file in zip(paths, found, strict=True)
    ]
    how = {name: value for name, value in asdict(reading).items() if name not in NO_PIXELS}
    decode_one = _DecodeFile(tuple(paths), reading)
    undecoded = Undecoded(os.path.realpath(base), lines, how, reading.image_shape, decode_one)
    decoded = cached(undecoded, reading.cache_limit)
    if decoded is None:
        return None
    bad = [f"{printable(paths[place])} ({why})" for place, why in sorted(decoded.bad.items())]
    good = torch.tensor([place for place in range(len(paths)) if place not in decoded.bad], dtype=torch.int64)
    _refuse_or_warn(bad, reading.unreadable, base, bool(len(good)))
    images = MappedImages(decoded.pixels, labels[good], good)
    return MemoryImages(images.take(range(len(good))), images.labels) if in_memory else images


@dataclass(frozen=True)
class _DecodeFile:
    """Decodes file i, or says why it cannot; also in a process of its own."""

    paths: tuple[Path, ...]
    reading: Reading

    def __call__(self, i: int) -> Tensor | str:
        return try_decode(self.paths[i], self.reading.image_shape, self.reading.fit)


def _uncached(base: Path, paths: Sequence[Path], labels: Tensor, reading: Reading, in_memory: bool) -> ImageSet:
    image_shape, fit, unreadable = reading.image_shape, reading.fit, reading.unreadable
    with ThreadPoolExecutor() as pool:
        if in_memory or unreadable == "skip":
            decoded: Iterable[Tensor | str] = pool.map(lambda p: try_decode(p, image_shape, fit), paths)
        else:  # too many to decode twice: look at the headers; a broken body is found when its turn comes
            decoded = pool.map(try_header, paths)
        images = []
        good: list[int] = []
        bad: list[str] = []
        for place, result in enumerate(decoded):
            if isinstance(result, str):
                bad.append(f"{printable(paths[place])} ({result})")
            else:
                good.append(place)
                if in_memory:
                    images.append(result)
    _refuse_or_warn(bad, unreadable, base, bool(good))
    if in_memory:
        return MemoryImages(torch.stack(images), labels[good])
    return FileImages([paths[place] for place in good], labels[good], image_shape, fit)


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
        paths: N files.
        labels: N int64, -1 for an image without a label.
        image_shape: (channels, height, width) that the images are brought to.
        fit: how, as in `Reading`.

    Raises:
        UserError: when it is asked for, an image that cannot be read.
    """

    def __init__(self, paths: Sequence[Path], labels: Tensor, image_shape: tuple[int, ...], fit: str) -> None:
        self.paths = list(paths)
        self.labels = labels
        self.image_shape = image_shape
        self.fit = fit

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Tensor:
        path = self.paths[index]
        try:
            return decode(path, self.image_shape, self.fit)
        except BROKEN as failure:
            raise UserError(
                f"{printable(path)} cannot be read ({failure}); remove it or set data.source.unreadable=skip."
            ) from None

    def take(self, indices: Tensor | Sequence[int]) -> Tensor:
        return torch.stack([self[int(i)] for i in indices])

    def subset(self, indices: Tensor) -> FileImages:
        return FileImages([self.paths[int(i)] for i in indices], self.labels[indices], self.image_shape, self.fit)
