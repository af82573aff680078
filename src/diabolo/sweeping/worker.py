"""A process of the pool, which does one job after the other, and the fork server that it is forked from."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection, wait
from typing import Any

import cloudpickle

from diabolo.sweeping.orphan import PARENT

FORKED = multiprocessing.get_context("forkserver")
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
GRACE = 30  # seconds that a process has to end (an orphaned one: for a checkpoint) before it is killed


@dataclass
class Died:
    """Stands for the result of a job whose process ended without one."""

    code: int | None

    def __str__(self) -> str:
        if self.code is None or self.code >= 0:
            return f"its process ended with exit code {self.code}"
        name = signal.Signals(-self.code).name
        return f"its process was ended by {name}{' (out of memory?)' if name == 'SIGKILL' else ''}"


class Worker:
    """A process, and the pipe that takes jobs there and brings results."""

    def __init__(self, work: bytes, environment: Mapping[str, str]) -> None:
        self.environment = environment
        self.job: int | None = None
        self.fit = True  # for another job
        self.pipe, theirs = FORKED.Pipe()
        serving = (theirs, work, os.environ | environment)
        self.process = FORKED.Process(target=_serve, args=serving, name="diabolo worker")
        try:
            self.process.start()
        except (EOFError, ConnectionError):  # the server was killed a moment ago and is still counted as alive
            time.sleep(0.5)
            start_server(environment)
            self.process.start()
        theirs.close()
        self.ends: set[Connection | int] = {self.pipe, self.process.sentinel}  # ready when there is a result or an end

    @property
    def busy(self) -> bool:
        return self.job is not None

    def give(self, number: int, job: Any) -> None:
        self.job = number
        with suppress(OSError):  # it has died; `take` finds out
            self.pipe.send_bytes(cloudpickle.dumps(job))

    def take(self) -> tuple[int, Any]:
        """The number of the job that has ended, and its result, or `Died`."""
        assert self.job is not None
        number, self.job, self.fit = self.job, None, False
        with suppress(EOFError, OSError):  # it ended without an answer, or while it wrote one
            if self.pipe.poll():  # else it is dead, and a child of it holds the pipe open
                result, self.fit = cloudpickle.loads(self.pipe.recv_bytes())
                return number, result
        self.process.join(GRACE)
        return number, Died(self.process.exitcode)

    def end(self) -> None:
        """Waits for the process, which ends when its pipe is closed, and ends what it has left running."""
        self.pipe.close()
        self.process.join(GRACE)
        self.process.kill()
        self.process.join()
        assert self.process.pid
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGTERM)


def start_server(environment: Mapping[str, str], preload: Sequence[str] | None = None) -> None:
    """Starts the fork server where none runs, and does not wait for it: its imports take seconds.

    Args:
        environment, preload: as in `Pool`.
    """
    if preload is not None:
        FORKED.set_forkserver_preload(["diabolo.sweeping.orphan", *preload])
    resource_tracker.ensure_running()  # the server needs it, and its start unblocks the signals
    with _environment({**environment, PARENT: str(os.getpid())}), _blocked(STOP_SIGNALS):
        forkserver.ensure_running()


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """For what is started within, `values` stand in the environment."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def _blocked(signals: Iterable[signal.Signals]) -> Iterator[None]:
    """What is started within never gets these signals: the fork server has to outlive those to the whole group."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(pipe: Connection, work: bytes, environment: Mapping[str, str]) -> None:
    """What a process does: the jobs that come through the pipe, until it is closed or the process is not fit."""
    os.setpgrp()  # Ctrl-C goes to the parent alone, which asks once; and with it go this process's own children
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
    os.environ.clear()
    os.environ.update(environment)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    do = cloudpickle.loads(work)
    fit = True
    while fit:
        try:
            job = cloudpickle.loads(pipe.recv_bytes())
        except EOFError:
            return
        result, fit = do(job)
        with suppress(BrokenPipeError):  # the pool waits no longer
            pipe.send_bytes(cloudpickle.dumps((result, fit)))


def _end_with_parent() -> None:
    """Asks this process to stop when its parent has died, twice if need be, and then ends it."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    for _ in range(2):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(GRACE)
    sys.stderr.flush()
    os._exit(128 + signal.SIGTERM)
