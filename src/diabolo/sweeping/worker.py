"""A process of the pool, which does one job after the other, and the fork server that it is forked from.

Windows has no fork, and on macOS what Apple's libraries have begun does not survive one: there each process is a new
one, which imports for itself what is heavy, once for all its jobs.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import cloudpickle

from diabolo.sweeping.orphan import PARENT
from diabolo.training.signals import STOPPING, interrupt

NO_THREADS = {"JE_ARROW_MALLOC_CONF": "background_thread:false"}  # of pyarrow, which scikit-learn draws in with pandas
GRACE = 30  # seconds that a process has to end (an orphaned one: for a checkpoint) before it is killed


def context() -> Any:
    """How processes are started here: forked from a server, or as new ones."""
    if sys.platform != "darwin":
        with suppress(ValueError):
            return multiprocessing.get_context("forkserver")
    return multiprocessing.get_context("spawn")


CONTEXT = context()
FORKS = CONTEXT.get_start_method() == "forkserver"


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
    """A process, the pipe that takes jobs there and brings results, and one through which it is asked to stop.

    Args:
        work, preload: as in `Pool`.
        environment: variables that the process has in its environment.
    """

    def __init__(self, work: bytes, environment: Mapping[str, str], preload: Sequence[str] = ()) -> None:
        self.environment = environment
        self.job: int | None = None
        self.fit = True  # for another job
        self.pipe, jobs = CONTEXT.Pipe()
        asked, self.asking = CONTEXT.Pipe(duplex=False)
        serving = (jobs, asked, work, os.environ | environment, () if FORKS else preload)
        self.process = CONTEXT.Process(target=_serve, args=serving, name="diabolo worker")
        start_server(environment, preload)
        try:
            self._start()
        except (EOFError, ConnectionError):  # the server was killed a moment ago and is still counted as alive
            time.sleep(0.5)
            start_server(environment, preload)
            self._start()
        jobs.close()
        asked.close()
        self.ends: set[Any] = {self.pipe, self.process.sentinel}  # ready when there is a result or an end

    def _start(self) -> None:
        with _environment({} if FORKS else self.environment):  # libraries read theirs when they are loaded
            self.process.start()

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

    def ask(self) -> None:
        """Asks the process to stop, as SIGTERM does; Windows would end it at once by that."""
        with suppress(OSError):  # it has ended
            self.asking.send_bytes(b"stop")

    def dismiss(self) -> None:
        """Has an idle process end by itself, which cleans up what it shares with its own children."""
        self.pipe.close()

    def end(self) -> None:
        """Waits for the process, which ends when its pipe is closed, and ends what it has left running."""
        self.pipe.close()
        self.process.join(GRACE)
        self.process.kill()
        self.process.join()
        self.asking.close()
        if hasattr(os, "killpg"):
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGTERM)


def start_server(environment: Mapping[str, str], preload: Sequence[str]) -> None:
    """Starts the fork server where none runs, and does not wait for it: its imports take seconds.

    Args:
        environment, preload: as in `Pool`.
    """
    if not FORKS:
        return
    from multiprocessing import forkserver, resource_tracker

    CONTEXT.set_forkserver_preload(["diabolo.sweeping.orphan", *preload])
    resource_tracker.ensure_running()  # the server needs it, and its start unblocks the signals
    own = {PARENT: str(os.getpid()), "PYTHONSAFEPATH": "1"}  # the current folder may hold one called diabolo
    with _environment({**environment, **NO_THREADS, **own}), _stop_signals_blocked():
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
def _stop_signals_blocked() -> Iterator[None]:
    """What is started within never gets these signals: the fork server has to outlive those to the whole group."""
    if sys.platform == "win32":
        raise NotImplementedError
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(jobs: Any, asked: Any, work: bytes, environment: Mapping[str, str], preload: Sequence[str]) -> None:
    """What a process does: the jobs that come through the pipe, until it is closed or the process is not fit.

    Args:
        jobs: brings jobs and takes results.
        asked: brings a message for each time that the process is asked to stop.
        preload: modules to import first.
    """
    if sys.platform != "win32" and hasattr(os, "setpgrp"):
        os.setpgrp()  # Ctrl-C goes to the parent alone, which asks once; and with it go this process's own children
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform != "win32" and FORKS:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
    os.environ.clear()
    os.environ.update(environment)
    threading.Thread(target=_heed, args=[asked], daemon=True).start()
    for module in preload:
        import_module(module)
    do = cloudpickle.loads(work)
    fit = True
    while fit:
        try:
            job = cloudpickle.loads(jobs.recv_bytes())
        except EOFError:
            return
        result, fit = do(job)
        with suppress(BrokenPipeError):  # the pool waits no longer
            jobs.send_bytes(cloudpickle.dumps((result, fit)))


def _heed(asked: Any) -> None:
    """Has this process's handler of SIGTERM called for each message, and when the parent has died: then twice if need
    be, before the process is ended."""
    with suppress(EOFError, OSError):  # the parent has closed its end, or died
        while True:
            asked.recv_bytes()
            interrupt(signal.SIGTERM)
    for _ in range(2):
        interrupt(signal.SIGTERM)
        time.sleep(GRACE)
    sys.stderr.flush()
    os._exit(128 + signal.SIGTERM)
