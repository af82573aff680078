"""How far a sweep is: one live line on a terminal, a line for each job elsewhere, and failures as they happen."""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import TracebackType

from hydra.core.utils import JobReturn, JobStatus
from rich.live import Live
from rich.text import Text

from diabolo.runs.terminal import console


class Progress:
    """Counts what a pool's events tell; used as a context manager."""

    def __init__(self, names: Sequence[str], workers: int, threads: str) -> None:
        self.names = names
        self.workers = workers
        self.done = self.failed = 0
        self.began: float | None = None
        self.live: Live | None = None
        said = f"{workers} worker{'s' * (workers != 1)} with {threads} thread{'s' * (threads != '1')} each"
        if names:
            console.print(f"{len(names)} job{'s' * (len(names) != 1)} to run, {said}", soft_wrap=True, markup=False)

    def __enter__(self) -> Progress:
        if console.is_terminal:
            self.live = Live(
                get_renderable=lambda: Text(str(self)), console=console, refresh_per_second=2, transient=True
            )
            self.live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self.live is not None:
            self.live.stop()

    def started(self) -> None:
        """A job has been started; the first one starts the clock, so that it leaves out what is paid once."""
        self.began = self.began or time.monotonic()

    def ended(self, job: int, ended: JobReturn) -> None:
        if ended.status == JobStatus.COMPLETED:
            self.done += 1
        else:
            self.failed += 1
            reason = " ".join(str(ended._return_value).split())
            console.print(f"failed: {self.names[job]}: {reason}", soft_wrap=not console.is_terminal, markup=False)
        if self.live is None:
            console.print(str(self), soft_wrap=True, markup=False)

    def say_stopped(self, why: str) -> None:
        console.print(
            f"{why}: {self.done} of {len(self.names)} done; the same command goes on.", soft_wrap=True, markup=False
        )

    def __str__(self) -> str:
        ended = self.done + self.failed
        if self.began is None:
            return f"0 of {len(self.names)} done, starting"
        running = min(self.workers, len(self.names) - ended)  # a free worker takes the next at once
        counts = f"{self.done} of {len(self.names)} done, {running} running, {self.failed} failed"
        if not ended or ended == len(self.names):
            return counts
        seconds = (time.monotonic() - self.began) / ended * (len(self.names) - ended)
        return f"{counts}, {_duration(seconds)} left"


def _duration(seconds: float) -> str:
    """E.g. 40 s, 12 min, 3.5 h."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
