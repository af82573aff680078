"""Files that are whole or not there, whenever the process is killed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from diabolo.data.replacing import replace


@contextmanager
def whole(path: Path, sync: bool = True) -> Iterator[Path]:
    """A draft beside `path` to write to, which takes its place at the end; after an error the draft goes.

    What was there before stays until the new file is on the disk.

    Args:
        sync: whether to wait for the disk; without, a file of many may be lost when the power fails.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield draft
        if sync:
            with draft.open("rb+") as file:
                os.fsync(file.fileno())
        replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def write_whole(path: Path, content: str | bytes | memoryview) -> None:
    """Writes text, as UTF-8, or bytes."""
    with whole(path) as draft:
        draft.write_bytes(content.encode() if isinstance(content, str) else content)
