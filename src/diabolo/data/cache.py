"""Decoded images on the disk, for all runs and workers: what does not come as an array is decoded once.

An entry is a folder in the cache: `pixels` has the rows of all images and is mapped into memory, `manifest.json` says
how they were decoded and which could not be, `images.txt` which files they come from. Its name holds a hash of all that
decides its pixels, sizes and times of the files among it: changed files or another setting are another entry, so that
none is ever out of date. A draft, `NAME.draft`, is filled by `cache_writer` and becomes an entry by one renaming.

Locks are the system's own and end with their process: one on `.NAME.lock` for who writes or removes an entry, a shared
one on `pixels` for who reads it.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import PIL
import torch
from filelock import FileLock, Timeout
from torch import Tensor

from diabolo.data.cache_writer import DRAFT, IMAGES, MANIFEST, PIXELS, PROGRESS, Known, read_manifest, write
from diabolo.data.interrupts import Interrupts
from diabolo.errors import UserError, printable

try:
    import fcntl
except ImportError:  # Windows, which itself removes no file that is mapped
    fcntl = None  # type: ignore[assignment]

log = logging.getLogger(__name__)

DECODING = f"1, Pillow {PIL.__version__}"  # raise the number when `diabolo.data.decoding` comes to give other pixels
FREE = 1 << 29  # bytes of the disk that are left to others
TRIED = 10  # so many of those that could not be read are tried again: it may have been the disk or the network
NAME = re.compile(r"[\w-]+-[0-9a-f]{16}(\.draft)?", re.ASCII)  # nothing else in the folder is touched


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


@dataclass(frozen=True)
class Entry:
    """What there is to know of an entry or a draft.

    Args:
        name: of its folder in the cache.
        of: where the images lie that were decoded; "?" where the manifest is damaged.
        images: how many.
        bytes: that it takes on the disk.
        last_used: seconds since 1970.
        whole: false for a draft, which a process is writing or was stopped at, and for what is damaged.
    """

    name: str
    of: str
    images: int
    bytes: int
    last_used: float
    whole: bool


def cache_folder() -> Path:
    """Where decoded images lie: `DIABOLO_CACHE`, else the folder `diabolo` in `XDG_CACHE_HOME` or in `~/.cache`."""
    if own := os.environ.get("DIABOLO_CACHE"):
        return Path(own).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "diabolo"


def cached(given: Undecoded, limit: int) -> Decoded | None:
    """The images from the cache. What is not there is decoded into it; what another process is writing is waited for.

    Args:
        limit: bytes that all entries together may take; for a new one, those used longest ago are removed.

    Returns None where they cannot be kept, which a warning says: the limit or the disk is too small for them, or the
    folder cannot be written to.
    """
    root = cache_folder()
    draft = root / (given.name + DRAFT)
    try:
        if (entry := _opened(root, given)) is not None:
            return entry
        with Interrupts() as interrupts, _alone(root, given, interrupts.check):
            if (entry := _opened(root, given)) is None:
                shutil.rmtree(root / given.name, ignore_errors=True)  # what is there is damaged
                _make_room(root, given, limit)
                with _like(root, given) as known:
                    write(draft, given, known, interrupts.check)
                os.replace(draft, root / given.name)
                (root / given.name / PROGRESS).unlink(missing_ok=True)
                entry = _opened(root, given)
            return entry
    except _NoRoom as small:
        reason = str(small)
    except OSError as failure:
        shutil.rmtree(draft, ignore_errors=True)  # on a full disk, what is written is given back
        reason = f"{printable(root)} cannot be written to: {failure.strerror or failure}. Point DIABOLO_CACHE elsewhere"
    log.warning("The decoded images of %s are not kept for the next time. %s.", printable(given.of), reason)
    return None


def caches() -> list[Entry]:
    """All entries and drafts of the cache, the last used first."""
    root = cache_folder()
    found = []
    for path in sorted(root.iterdir()) if root.is_dir() else []:
        if NAME.fullmatch(path.name) and path.is_dir():
            with suppress(FileNotFoundError):  # removed meanwhile
                found.append(_entry(path))
    return sorted(found, key=lambda entry: entry.last_used, reverse=True)


def remove(entry: Entry) -> None:
    """Removes an entry or a draft from the cache.

    Raises:
        UserError: a process uses it or is writing it, or the folder cannot be written to.
    """
    try:
        removed = _removed(cache_folder() / entry.name)
    except OSError as failure:
        raise UserError(f"{printable(cache_folder() / entry.name)} cannot be removed ({failure.strerror}).") from None
    if not removed:
        raise UserError(f"{entry.name} is in use: wait for the runs on {printable(entry.of)} to end.")


class _NoRoom(Exception):
    """The limit or the disk is too small; the message is a sentence without its full stop."""


def _opened(root: Path, given: Undecoded) -> Decoded | None:
    """The whole entry, held; None where there is none or it is damaged."""
    path = root / given.name
    manifest = read_manifest(path)
    if manifest is None or "bad" not in manifest or manifest["settings"] != given.settings:
        return None
    try:
        pixels = _mapped(path, given)
    except FileNotFoundError:
        return None
    with suppress(OSError):  # a cache that may only be read
        os.utime(path / MANIFEST)
    bad = {int(place): why for place, why in manifest["bad"].items()}
    if pixels is None or any(isinstance(given.decode(place), Tensor) for place in list(bad)[:TRIED]):
        return None
    return Decoded(pixels, bad)


def _mapped(path: Path, given: Undecoded, images: int | None = None) -> Tensor | None:
    """The pixels, held as long as the tensor lives: mapping a file keeps it open, and with it the lock. None where the
    file has another length. What is written to the tensor stays in this process."""
    shape = (len(given.images) if images is None else images, *given.shape)
    with (path / PIXELS).open("rb") as file:
        if os.fstat(file.fileno()).st_size != prod(shape) * given.dtype.itemsize:
            return None
        _locked(file, exclusive=False)
        flat = np.memmap(file, np.uint8, "c")
    return torch.from_numpy(flat).view(given.dtype).view(shape)


def _locked(file: BinaryIO, exclusive: bool) -> bool:
    """Whether the file could be locked: a shared lock waits, an exclusive one is refused while anyone reads."""
    try:
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB if exclusive else fcntl.LOCK_SH)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks; what is mapped stays readable when its name is gone
        pass
    return True


@contextmanager
def _alone(root: Path, given: Undecoded, check: Callable[[], None]) -> Iterator[None]:
    """As the only process that writes the entry."""
    root.mkdir(parents=True, exist_ok=True)
    lock = FileLock(_lock_of(root / given.name))
    waits = False
    while not lock.is_locked:
        try:
            lock.acquire(timeout=0.2)
        except Timeout:
            if not waits:
                log.info("Another process is decoding the images of %s: waiting for it.", printable(given.of))
            waits = True
            check()
    try:
        yield
    finally:
        lock.release()


def _lock_of(path: Path) -> Path:
    return path.with_name(f".{path.name.removesuffix(DRAFT)}.lock")


def _make_room(root: Path, given: Undecoded, limit: int) -> None:
    """Removes entries, those used longest ago first, until the limit and the disk have room for another one.

    Raises:
        _NoRoom: there is not enough even so; then none is removed that need not be.
    """
    size = given.bytes
    if size > limit:
        raise _NoRoom(f"They take {_gib(size)}: raise `data.source.cache_limit` (= {limit})")
    others = [entry for entry in caches() if entry.name != given.name + DRAFT]
    held = sum(entry.bytes for entry in others)
    draft = root / (given.name + DRAFT) / PIXELS
    more = size - (draft.stat().st_blocks * 512 if draft.is_file() else 0)  # bytes that the disk has yet to give
    free = shutil.disk_usage(root).free - FREE
    if more <= free + held:
        while others and (held + size > limit or more > free):
            oldest = others.pop()
            if _removed(root / oldest.name):
                log.info("Removed the decoded images of %s, used longest ago.", printable(oldest.of))
                held, free = held - oldest.bytes, free + oldest.bytes
    if more > free:
        raise _NoRoom(
            f"They take {_gib(size)}, and the disk of {printable(root)} has {_gib(max(free, 0))} to spare: free some,"
            " or point DIABOLO_CACHE at a larger disk"
        )
    if held + size > limit:
        raise _NoRoom(
            f"They take {_gib(size)}, and of `data.source.cache_limit` (= {limit}) other runs are using {_gib(held)}:"
            " raise it"
        )


def _removed(path: Path) -> bool:
    """Removes an entry or draft; false if someone reads or writes it."""
    try:
        with FileLock(_lock_of(path), blocking=False):
            gone = path.with_name(f".{path.name}.removed")
            shutil.rmtree(gone, ignore_errors=True)
            try:
                with (path / PIXELS).open("rb+") as file:
                    if not _locked(file, exclusive=True):
                        return False
                    os.replace(path, gone)  # so that nobody opens one that is half removed
            except FileNotFoundError:  # damaged
                os.replace(path, gone)
            shutil.rmtree(gone)
            return True
    except Timeout:
        return False


def _entry(path: Path) -> Entry:
    manifest = read_manifest(path)
    files = {file.name: file.stat() for file in path.iterdir()}
    used = max((files[name].st_mtime for name in (MANIFEST, PROGRESS) if name in files), default=path.stat().st_mtime)
    size = sum(file.st_size for file in files.values())
    if manifest is None:
        return Entry(path.name, "?", 0, size, used, whole=False)
    whole = "bad" in manifest and not path.name.endswith(DRAFT)
    return Entry(path.name, manifest["settings"]["of"], manifest["images"], size, used, whole)


@contextmanager
def _like(root: Path, given: Undecoded) -> Iterator[Known | None]:
    """What the last used entry of the same folder and settings knows of the images: one file that has changed, been
    added or removed does not cost decoding all others again."""
    for entry in caches():
        path = root / entry.name
        manifest = read_manifest(path) if entry.whole and entry.of == given.of else None
        if manifest is None or manifest["settings"] != given.settings:
            continue
        with suppress(OSError, ValueError):
            lines = (path / IMAGES).read_text("utf-8").splitlines()
            rows = {line: row for row, line in enumerate(lines) if str(row) not in manifest["bad"]}
            if (held := _mapped(path, given, manifest["images"])) is not None and len(lines) == manifest["images"]:
                yield Known(path / PIXELS, [rows.get(image, -1) for image in given.images])
                del held
                return
    yield None


def _gib(size: float) -> str:
    return f"{size / 2**30:.1f} GiB"
