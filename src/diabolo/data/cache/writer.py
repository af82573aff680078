"""Writes an entry of the cache of decoded images: in parallel, in chunks, and going on where it was stopped."""

from __future__ import annotations

import errno
import json
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from diabolo.data.cache.entry import IMAGES, PIXELS, PROGRESS, Undecoded, to_disk, write_manifest
from diabolo.errors import printable

log = logging.getLogger(__name__)

CHUNK_IMAGES, CHUNK_BYTES = 64, 1 << 23  # at most of a chunk: what one process decodes and writes at once
NOTED = 2.0  # seconds of work that a kill may cost
SAID = 60.0  # seconds between two lines where there is no terminal


@dataclass(frozen=True)
class Known:
    """Images that another entry has decoded.

    Args:
        pixels: its file.
        rows: for each image its row there, or -1.
    """

    pixels: Path
    rows: Sequence[int]


class Chunk(NamedTuple):
    """A chunk that is written.

    Args:
        number: of the chunk.
        bad: for each of its images that cannot be read its place and why.
        failure: errno and words of what kept it from being written.
    """

    number: int
    bad: dict[str, str]
    failure: tuple[int, str] | None = None


def write(draft: Path, given: Undecoded, known: Known | None, check: Callable[[], None]) -> None:
    """Makes `draft` a whole entry, from what a process that was killed has left of it.

    Args:
        known: what need not be decoded again.
        check: called between chunks; where it raises, the draft stays as it is and the next call goes on with it.

    Raises:
        OSError: the draft cannot be written.
    """
    began = time.monotonic()
    draft.mkdir(exist_ok=True)
    about = {"settings": given.settings, "images": len(given.images)}
    if not (draft / PIXELS).is_file() or (draft / PIXELS).stat().st_size != given.bytes:
        (draft / PROGRESS).unlink(missing_ok=True)
    _allocate(draft / PIXELS, given.bytes)
    (draft / IMAGES).write_text("".join(f"{image}\n" for image in given.images), "utf-8")
    write_manifest(draft, about)
    chunks = _Chunks(draft / PIXELS, given, known)
    done = _read_progress(draft / PROGRESS, chunks)
    todo = [number for number in range(len(chunks)) if number not in done]
    if done:
        share = 100 * len(done) // len(chunks)
        log.info("Going on with decoding the images of %s: %d %% are done.", printable(given.of), share)
    before = len(chunks) - len(todo)
    with (
        _noting(draft, chunks.size) as note,
        _progress(given, before, chunks.size) as advance,
        closing(_written(chunks, todo)) as written,  # ends the processes, however it ends
    ):
        for chunk in written:
            if chunk.failure:
                raise OSError(*chunk.failure)
            done[chunk.number] = chunk.bad
            note(chunk)
            advance()
            check()
    bad = {place: why for chunk in sorted(done) for place, why in done[chunk].items()}
    write_manifest(draft, about | {"bad": bad})
    log.info(
        "Decoded %s images of %s in %.0f s; from now on they are read from %s.",
        f"{len(given.images):,}",
        printable(given.of),
        time.monotonic() - began,
        printable(draft.parent),
    )


def _allocate(path: Path, size: int) -> None:
    """Has the disk set all bytes aside, where it can, so that one too small says so now."""
    with path.open("ab") as file:
        if sys.platform in ("darwin", "win32"):
            file.truncate(size)
            return
        try:
            os.posix_fallocate(file.fileno(), 0, size)
        except OSError as failure:
            if failure.errno not in (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS):
                raise
            file.truncate(size)


class _Chunks(Dataset):
    """Asked for chunk n, decodes its images and writes them to their place."""

    def __init__(self, pixels: Path, given: Undecoded, known: Known | None) -> None:
        self.pixels, self.given, self.known = pixels, given, known
        self.size = max(1, min(CHUNK_IMAGES, CHUNK_BYTES // given.row))

    def __len__(self) -> int:
        return -(-len(self.given.images) // self.size)

    def __getitem__(self, number: int) -> Chunk:
        first = number * self.size
        bad: dict[str, str] = {}
        rows = []
        for place in range(first, min(first + self.size, len(self.given.images))):
            row = self._known(place)
            if row is None:
                image = self.given.decode(place)
                if isinstance(image, str):
                    bad[str(place)] = image
                    row = bytes(self.given.row)
                else:
                    row = _bytes(image, self.given)
            rows.append(row)
        try:
            with self.pixels.open("rb+") as file:
                file.seek(first * self.given.row)
                file.write(b"".join(rows))
        except OSError as failure:
            return Chunk(number, bad, (failure.errno or 0, failure.strerror or str(failure)))
        return Chunk(number, bad)

    def _known(self, place: int) -> bytes | None:
        if self.known is None or self.known.rows[place] < 0:
            return None
        with self.known.pixels.open("rb") as file:
            file.seek(self.known.rows[place] * self.given.row)
            return file.read(self.given.row)


def _bytes(image: Tensor, given: Undecoded) -> bytes:
    if image.shape != given.shape or image.dtype != given.dtype:
        raise TypeError(f"decoded as {image.dtype} of {tuple(image.shape)}, not {given.dtype} of {given.shape}")
    return image.contiguous().view(torch.uint8).numpy().tobytes()


def _written(chunks: _Chunks, todo: Sequence[int]) -> Generator[Chunk, None, None]:
    """The chunks of these numbers as they are done, by one process a core: Pillow and Python share a lock, and threads
    are no faster than one of them on small images."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    workers = min(cores, len(todo))
    loader = DataLoader(
        chunks,
        batch_size=None,
        sampler=todo,
        collate_fn=_as_it_is,
        num_workers=workers if workers > 1 else 0,
        worker_init_fn=_leave_ctrl_c,
        in_order=False,
        generator=torch.Generator(),  # else it would draw from the one that the weights are drawn from
    )
    yield from loader


def _as_it_is(chunk: Any) -> Any:
    return chunk


def _leave_ctrl_c(worker: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all processes; the first decides


@contextmanager
def _noting(draft: Path, size: int) -> Iterator[Callable[[Chunk], None]]:
    """A call that takes note of a chunk: every few seconds, and at the end, what is noted goes to the disk, the pixels
    first."""
    waiting: list[Chunk] = []
    last = time.monotonic()

    def store() -> None:
        with (draft / PIXELS).open("rb+") as file:
            os.fsync(file.fileno())
        with (draft / PROGRESS).open("a", encoding="utf-8") as file:
            file.writelines(json.dumps([chunk.number, size, chunk.bad]) + "\n" for chunk in waiting)
            to_disk(file.fileno(), file.flush)
        waiting.clear()

    def note(chunk: Chunk) -> None:
        nonlocal last
        waiting.append(chunk)
        if time.monotonic() - last > NOTED:
            store()
            last = time.monotonic()

    try:
        yield note
    finally:
        store()


def _read_progress(path: Path, chunks: _Chunks) -> dict[int, dict[str, str]]:
    """For each chunk that is done what is bad in it; a line that a kill has cut short counts for nothing."""
    done: dict[int, dict[str, str]] = {}
    lines: Iterable[str] = path.read_text("utf-8", "replace").splitlines() if path.is_file() else ()
    for line in lines:
        try:
            number, size, bad = json.loads(line)
        except (ValueError, TypeError):
            continue
        if size == chunks.size and number in range(len(chunks)) and isinstance(bad, dict):
            done[number] = bad
    return done


@contextmanager
def _progress(given: Undecoded, before: int, size: int) -> Iterator[Callable[[], None]]:
    """A call for each chunk: moves a bar on a terminal; elsewhere it writes a line now and then."""
    console = Console(quiet=bool(os.environ.get("DIABOLO_QUIET")))
    total = len(given.images)
    done = before * size
    said = time.monotonic()
    bar = Progress(
        TextColumn("decoding, once"), BarColumn(bar_width=24), MofNCompleteColumn(), TimeRemainingColumn(compact=True),
        TextColumn("left"), console=console, transient=True, auto_refresh=False, disable=not console.is_terminal,
    )  # fmt: skip
    task = bar.add_task("", total=total, completed=done)

    def advance() -> None:
        nonlocal done, said
        done = min(total, done + size)
        now = time.monotonic()
        if bar.disable and now - said > SAID:
            log.info("%s of %s images of %s are decoded.", f"{done:,}", f"{total:,}", printable(given.of))
            said = now
        elif not bar.disable and now - said > 0.1:
            bar.update(task, completed=done, refresh=True)
            said = now

    with bar:
        yield advance
