"""What is said where a run folder cannot be written."""

from __future__ import annotations

import io
import os
from pathlib import Path
from traceback import walk_tb

from diabolo.errors import UserError


def unwritable(path: Path, failure: OSError) -> UserError:
    """The sentence for a run folder that cannot be written, with the file where that is known."""
    file = being_written(failure)
    name = f"; the file was {os.path.relpath(file, path)!r}" if file and Path(file).is_relative_to(path) else ""
    return UserError(
        f"the run folder {str(path)!r} cannot be written ({failure.strerror or failure}); free some space or choose"
        f" another place with hydra.run.dir={name}."
    )


def being_written(failure: OSError) -> str | None:
    """The file that a failure to write was about. Python names it for files that cannot be opened; for one that cannot
    grow, be it a logger's, written in a thread of its own, it is the file that is open where the failure arose."""
    if isinstance(failure.filename, str):
        return failure.filename
    frames = [frame for frame, _ in walk_tb(failure.__traceback__)]
    for frame in reversed(frames):
        for value in frame.f_locals.values():
            name = getattr(value, "name", None)
            read = getattr(value, "mode", "w") in ("r", "rb")
            if isinstance(value, io.IOBase) and isinstance(name, str | bytes | os.PathLike) and not read:
                return os.fsdecode(name)
    return None
