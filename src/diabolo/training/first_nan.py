"""Where the first NaN of a backward pass comes from, in one sentence, as torch's anomaly mode finds it."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from diabolo.errors import Diverged

RETURNED_NAN = re.compile(r"Function '(\w+)' returned nan values")
FRAME = re.compile(r'^ *File "(?P<file>.+)", line (?P<line>\d+), in .+\n(?P<code>.+)$', re.MULTILINE)
LIBRARIES = ("site-packages", "dist-packages")


@contextmanager
def first_nan_named() -> Iterator[None]:
    """Anomaly mode (`trainer.detect_anomaly`) warns with the traceback of the forward pass, which goes to the log as
    ever, and raises a RuntimeError, of which this makes a sentence.

    Raises:
        Diverged: an operation's backward pass gave NaN; with the operation and the line that computed it.
    """
    said: list[str] = []
    show = warnings.showwarning

    def note(message: Warning | str, *rest: Any, **more: Any) -> None:
        said.append(str(message))
        show(message, *rest, **more)

    warnings.showwarning = note
    try:
        yield
    except RuntimeError as failure:
        found = RETURNED_NAN.search(str(failure))
        if found is None:
            raise
        traceback = next((text for text in reversed(said) if found[1] in text), "")
        raise Diverged(
            f"the gradient is NaN after {found[1]}{_line(traceback)}; run.log has the traceback."
        ) from failure
    finally:
        warnings.showwarning = show


def _line(traceback: str) -> str:
    """The last line of a traceback that is no library's: " of `y = x.sqrt()` (mine.py, line 12)"."""
    frames = [match for match in FRAME.finditer(traceback) if not set(LIBRARIES) & set(Path(match["file"]).parts)]
    if not frames:
        return ""
    last = frames[-1]
    return f", the backward pass of `{last['code'].strip()[:100]}` ({Path(last['file']).name}, line {last['line']})"
