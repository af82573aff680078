"""An entry of the cache of decoded images: what decides its name, what lies in its folder, and reading it."""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import PIL
import torch
from torch import Tensor

from diabolo.data.replacing import replace

if sys.platform != "win32":  # Windows itself removes no file that is mapped
    import fcntl

DECODING = f"2, Pillow {PIL.__version__}"  # raise the number when `diabolo.data.decoding` comes to give other pixels
MANIFEST, PIXELS, IMAGES, PROGRESS = "manifest.json", "pixels", "images.txt", "progress.jsonl"
DRAFT = ".draft"  # the end of the name of an entry that is being written
TRIED = 10  # so many of those that could not be read are tried again: it may have been the disk or the network


@dataclass(frozen=True)
class Undecoded:
    """N images that do not come as an array.

    Args:
        of: where they lie, as people are told.
        images: for each image a line that changes when the image does: path, size and times of its file.
        how: the settings that decide the pixels.
        shape: (channels, height, width) of each decoded image.
        decode: gives image i, C x H x W of `dtype`, or says why it cannot be read. Processes of their own call it.
        dtype: of the pixels.
    """

    of: str
    images: Sequence[str]
    how: Mapping[str, Any]
    shape: tuple[int, ...]
    decode: Callable[[int], Tensor | str]
    dtype: torch.dtype = torch.uint8

    @property
    def row(self) -> int:
        """Bytes of a decoded image."""
        return prod(self.shape) * self.dtype.itemsize

    @property
    def bytes(self) -> int:
        """Of all decoded images."""
        return len(self.images) * self.row

    @cached_property
    def settings(self) -> dict[str, Any]:
        """All that decides the pixels but the images themselves, as JSON gives it back."""
        more = {"of": self.of, "shape": self.shape, "dtype": str(self.dtype), "decoding": DECODING}
        return json.loads(json.dumps({**self.how, **more}, default=str))

    @cached_property
    def name(self) -> str:
        """Of the entry: the last part of `of`, as far as every file system takes it, and the hash."""
        digest = hashlib.sha256(json.dumps(self.settings, sort_keys=True).encode())
        digest.update("\n".join(["", *self.images]).encode("utf-8", "surrogateescape"))
        readable = re.sub(r"\W+", "-", Path(self.of).name, flags=re.ASCII).strip("-")[:24]
        return f"{readable or 'images'}-{digest.hexdigest()[:16]}"


@dataclass(frozen=True)
class Decoded:
    """An entry in use: it is not removed while its pixels are held.

    Args:
        pixels: N x C x H x W, mapped from the file.
        bad: for each image that cannot be read its place and why; its pixels are 0.
    """

    pixels: Tensor
    bad: Mapping[int, str]


def opened(root: Path, given: Undecoded) -> Decoded | None:
    """The whole entry, held; None where there is none or it is damaged."""
    path = root / given.name
    manifest = read_manifest(path)
    if manifest is None or "bad" not in manifest or manifest["settings"] != given.settings:
        return None
    try:
        pixels = mapped(path, given)
    except FileNotFoundError:
        return None
    with suppress(OSError):  # a cache that may only be read
        os.utime(path / MANIFEST)
    bad = {int(place): why for place, why in manifest["bad"].items()}
    if pixels is None or any(isinstance(given.decode(place), Tensor) for place in list(bad)[:TRIED]):
        return None
    return Decoded(pixels, bad)


def mapped(path: Path, given: Undecoded, images: int | None = None) -> Tensor | None:
    """The pixels, held as long as the tensor lives: mapping a file keeps it open, and with it the lock. None where the
    file has another length. What is written to the tensor stays in this process."""
    shape = (len(given.images) if images is None else images, *given.shape)
    with (path / PIXELS).open("rb") as file:
        if os.fstat(file.fileno()).st_size != prod(shape) * given.dtype.itemsize:
            return None
        locked(file, exclusive=False)
        flat = np.memmap(file, np.uint8, "c")
    return torch.from_numpy(flat).view(given.dtype).view(shape)


def locked(file: BinaryIO, exclusive: bool) -> bool:
    """Whether the file could be locked: a shared lock waits, an exclusive one is refused while anyone reads."""
    try:
        if sys.platform != "win32":
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB if exclusive else fcntl.LOCK_SH)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks; what is mapped stays readable when its name is gone
        pass
    return True


def read_manifest(entry: Path) -> dict[str, Any] | None:
    """`settings` and `images` (how many) of an entry or draft, of a whole one also `bad`; None where there is no
    manifest or it is damaged."""
    try:
        kept = json.loads((entry / MANIFEST).read_bytes())
        return kept["about"] if kept["sha256"] == _digest(kept["about"]) else None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def write_manifest(entry: Path, about: Mapping[str, Any]) -> None:
    beside = entry / f".{MANIFEST}"
    with beside.open("w", encoding="utf-8") as file:
        json.dump({"about": about, "sha256": _digest(about)}, file, indent=1)
        to_disk(file.fileno(), file.flush)
    replace(beside, entry / MANIFEST)


def _digest(about: Any) -> str:
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()


def to_disk(descriptor: int, flush: Callable[[], None]) -> None:
    flush()
    os.fsync(descriptor)
