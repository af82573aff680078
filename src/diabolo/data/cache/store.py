"""Decoded images on the disk, for all runs and workers: what does not come as an array is decoded once.

An entry is a folder in the cache: `pixels` has the rows of all images and is mapped into memory, `manifest.json` says
how they were decoded and which could not be, `images.txt` which files they come from. Its name holds a hash of all that
decides its pixels, sizes and times of the files among it: changed files or another setting are another entry, so that
none is ever out of date. A draft, `NAME.draft`, is filled by `writer.py` and becomes an entry by one renaming.

Locks are the system's own and end with their process: one on `.NAME.lock` for who writes or removes an entry, a shared
one on `pixels` for who reads it.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from diabolo.data.cache.entry import (
    DRAFT,
    IMAGES,
    MANIFEST,
    PIXELS,
    PROGRESS,
    Decoded,
    Undecoded,
    locked,
    mapped,
    opened,
    read_manifest,
)
from diabolo.data.cache.interrupts import Interrupts
from diabolo.data.cache.writer import Known, write
from diabolo.data.replacing import IN_USE, replace
from diabolo.errors import UserError, printable

log = logging.getLogger(__name__)

FREE = 1 << 29  # bytes of the disk that are left to others
NAME = re.compile(r"[\w-]+-[0-9a-f]{16}(\.draft)?", re.ASCII)  # nothing else in the folder is touched


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
        if (entry := opened(root, given)) is not None:
            return entry
        with Interrupts() as interrupts, _alone(root, given, interrupts.check):
            if (entry := opened(root, given)) is None:
                shutil.rmtree(root / given.name, ignore_errors=True)  # what is there is damaged
                _make_room(root, given, limit)
                with _like(root, given) as known:
                    write(draft, given, known, interrupts.check)
                replace(draft, root / given.name)
                (root / given.name / PROGRESS).unlink(missing_ok=True)
                entry = opened(root, given)
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
    given_already = getattr(draft.stat(), "st_blocks", 0) * 512 if draft.is_file() else 0
    more = size - given_already  # bytes that the disk has yet to give
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
            with _held(path / PIXELS) as unused:
                if not unused:
                    return False
                os.replace(path, gone)  # so that nobody opens one that is half removed
            shutil.rmtree(gone)
            return True
    except Timeout:
        return False
    except PermissionError:
        if not IN_USE:
            raise
        return False


@contextmanager
def _held(pixels: Path) -> Iterator[bool]:
    """Whether nobody reads the pixels; nobody begins to within. Windows itself says so when their folder is renamed."""
    try:
        file = None if IN_USE else pixels.open("rb+")
    except FileNotFoundError:  # damaged
        file = None
    with file or nullcontext():
        yield file is None or locked(file, exclusive=True)


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
            if (held := mapped(path, given, manifest["images"])) is not None and len(lines) == manifest["images"]:
                yield Known(path / PIXELS, [rows.get(image, -1) for image in given.images])
                del held
                return
    yield None


def _gib(size: float) -> str:
    return f"{size / 2**30:.1f} GiB"
