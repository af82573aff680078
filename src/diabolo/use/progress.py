"""How far a command is: a bar on a terminal, a line now and then elsewhere, both on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

BETWEEN_LINES = 10.0  # seconds


@contextmanager
def progress(doing: str, total: int) -> Iterator[Callable[[int], None]]:
    """Within, the function that it yields is told how many images more are done."""
    if sys.stderr.isatty():
        columns = (TextColumn(doing), BarColumn(bar_width=24), MofNCompleteColumn(), TimeRemainingColumn(compact=True))
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(doing, total=total)
            yield lambda count: bar.advance(task, count)
        return
    done, said = 0, time.monotonic()

    def advance(count: int) -> None:
        nonlocal done, said
        done += count
        if done < total and (now := time.monotonic()) - said > BETWEEN_LINES:
            said = now
            print(f"{doing}: {done:,} of {total:,}", file=sys.stderr)

    yield advance
