"""Processes that a test starts, and those that a process has started, from Linux' /proc."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def all_ended() -> Iterator[list[subprocess.Popen]]:
    """A list of processes, of which none outlives the context."""
    started: list[subprocess.Popen] = []
    yield started
    for one in started:
        if one.poll() is None:
            one.kill()
        one.communicate()


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def gone(pids: list[int], within: float = 60) -> None:
    deadline = time.monotonic() + within
    while any(Path(f"/proc/{pid}").exists() for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.01)
