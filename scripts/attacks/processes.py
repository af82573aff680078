"""Processes of their own, each with a session, by which all that they start is found."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from attacks.commands import run_here

PATIENCE = 10  # seconds after which nothing of a command that has ended may run any more


class Process(Protocol):
    """What is asked of a process, whether it was forked or started afresh."""

    pid: int

    def poll(self) -> int | None: ...

    def wait(self, timeout: float | None = None) -> int: ...


class Forked:
    """`diabolo` in a process that is forked from this one, and so has imported all from its first moment."""

    def __init__(self, arguments: Sequence[str], place: Path, environment: Mapping[str, str]) -> None:
        self.code: int | None = None
        with (place / "said").open("ab") as said:
            self.pid = os.fork()
            if self.pid == 0:
                os.setsid()
                os.environ.update(environment)
                run_here(arguments, place, said.fileno())

    def poll(self) -> int | None:
        if self.code is None and (ended := os.waitpid(self.pid, os.WNOHANG)) != (0, 0):
            self.code = os.waitstatus_to_exitcode(ended[1])
        return self.code

    def wait(self, timeout: float | None = None) -> int:
        until(lambda: self.poll() is not None, 1e9 if timeout is None else timeout)
        if self.code is None:
            raise subprocess.TimeoutExpired("diabolo", timeout or 0)
        return self.code


def start(
    arguments: Sequence[str], place: Path, environment: Mapping[str, str], **wanted: Any
) -> subprocess.Popen[str]:
    """Starts `diabolo` afresh; what it prints goes to the file `said`."""
    line = [sys.executable, "-m", "diabolo", *arguments]
    with (place / "said").open("ab") as said:
        given: dict[str, Any] = {"stdout": said, "stderr": said, "start_new_session": True} | wanted
        return subprocess.Popen(line, cwd=place, env=environment, text=True, **given)


def ended(process: Process, seconds: float = 300) -> int | None:
    """The exit code, once it has ended; None where its time is up, and then it is killed."""
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        return None


def until(happened: Callable[[], Any], seconds: float) -> Any:
    """Waits until something happens, and returns it; what is false where the time is up."""
    end = time.monotonic() + seconds
    while not (found := happened()) and time.monotonic() < end:
        time.sleep(0.02)
    return found


def started(session: int) -> dict[int, int]:
    """The living processes of a session, and the parent of each."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            state, parent, _, its_session = (process / "stat").read_text().rpartition(")")[2].split()[:4]
        except OSError:
            continue
        if int(its_session) == session and state != "Z":
            found[int(process.name)] = int(parent)
    return found


def parts(parent: int) -> dict[str, list[int]]:
    """The processes of a sweep by what they are: the parent, the fork server, its workers."""
    found: dict[str, list[int]] = {"parent": [parent], "server": [], "worker": []}
    for pid, above in started(parent).items():
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            continue
        if b"forkserver" in words:
            found["server" if above == parent else "worker"].append(pid)
    return found


def left(session: int) -> list[str]:
    """What of a session still runs when nothing should, after some patience; it is ended."""
    until(lambda: not started(session), PATIENCE)
    pids = started(session)
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    return [f"{len(pids)} processes are left after {PATIENCE} s"] if pids else []
