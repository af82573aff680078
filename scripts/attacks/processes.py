"""Processes of their own, found again by a mark in their environment."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

Started = subprocess.Popen[str]
MARK = "DIABOLO_ATTACK"  # in the environment of every process that is started here
PATIENCE = 10  # seconds after which nothing of a command that has ended may run any more


def start(
    arguments: Sequence[str], place: Path, environment: Mapping[str, str], **wanted: Any
) -> subprocess.Popen[str]:
    """Starts `diabolo` in a process, session and group of its own; what it prints goes to the file `said`."""
    line = [sys.executable, "-m", "diabolo", *arguments]
    with (place / "said").open("ab") as said:
        given: dict[str, Any] = {"stdout": said, "stderr": said, "start_new_session": True} | wanted
        return subprocess.Popen(line, cwd=place, env={**environment, MARK: str(place)}, text=True, **given)


def ended(process: Started, seconds: float = 90) -> int | None:
    """The exit code, once it has ended; None where its time is up, and then it is killed."""
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return None


def until(happened: Callable[[], Any], seconds: float) -> Any:
    """Waits until something happens, and returns it; what is false where the time is up."""
    end = time.monotonic() + seconds
    while not (found := happened()) and time.monotonic() < end:
        time.sleep(0.02)
    return found


def started(place: Path) -> list[int]:
    """The living processes that were started for `place`."""
    mark, found = f"{MARK}={place}\0".encode(), []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (process / "environ").read_bytes():
                found.append(int(process.name))
        except OSError:
            continue
    return sorted(found)


def parts(place: Path, parent: int) -> dict[str, list[int]]:
    """The processes of a sweep by what they are: the parent, the fork server, its workers."""
    found: dict[str, list[int]] = {"parent": [parent], "server": [], "worker": []}
    for pid in started(place):
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes()
            above = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, IndexError):
            continue
        if b"forkserver" in words:
            found["server" if above == parent else "worker"].append(pid)
    return found


def left(place: Path) -> list[str]:
    """What still runs for `place` when nothing should, after some patience; it is ended."""
    until(lambda: not started(place), PATIENCE)
    pids = started(place)
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    return [f"{len(pids)} processes are left after {PATIENCE} s"] if pids else []
