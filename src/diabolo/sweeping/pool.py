"""Does jobs side by side, each in a process of its own. Nothing here knows Hydra.

All processes are forked from one, multiprocessing's fork server, which has imported what is heavy and has done nothing
with it: each starts within milliseconds and shares those pages of memory with the others. When a process ends, all that
it held is free again, on the GPU too; when it is killed, that costs its own job.

Why no pool of a library: loky, like concurrent.futures, gives all jobs up when one worker dies; pebble kills a worker
3 seconds after it was asked to stop, too soon for a checkpoint, and has one initialiser for all workers, where each
place here has its own threads and GPU.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection, wait
from types import FrameType
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


@dataclass
class Started:
    job: int


@dataclass
class Ended:
    job: int
    result: Any  # what the work returned, or Died


class Stopped(Exception):
    """A signal stopped the pool; its processes have ended."""

    def __init__(self, signum: int) -> None:
        super().__init__(f"stopped by {signal.Signals(signum).name}")
        self.exit_code = 128 + signum


class Pool:
    """Does `work` on jobs, each in a process of its own, at most as many at a time as there are environments.

    Args:
        work: called with a job, in the job's process; what it returns is sent back.
        environments: one for each place in the pool: variables that a process in this place has in its environment.
            Libraries in `preload` that read them when they are loaded (OpenMP) see those of the first place.
        preload: modules that the fork server imports. They may start no thread and must leave CUDA alone. There is one
            fork server in a program: what it imports is decided by the first pool that starts a process.
    """

    def __init__(
        self, work: Callable[[Any], Any], environments: Sequence[Mapping[str, str]], preload: Sequence[str] = ()
    ) -> None:
        FORKED.set_forkserver_preload(["diabolo.sweeping.orphan", *preload])
        self.work = cloudpickle.dumps(work)
        self.environments = list(environments)
        self.running: list[_RunningJob] = []
        self.signals: list[int] = []  # those that have come

    def run(self, jobs: Iterable[Any]) -> Iterator[Started | Ended]:
        """Does the jobs, each as soon as a place is free, and yields what happens.

        SIGINT, SIGTERM and SIGHUP are handed on to the processes as SIGTERM: a second one too, and the third kills.

        Raises:
            Stopped: by such a signal, once the processes have ended.
        """
        waiting = deque(enumerate(jobs))
        free = deque(self.environments)
        with self._signals_noted() as signalled:
            try:
                while self.running or (waiting and not self.signals):
                    while waiting and free and not self.signals:
                        number, given = waiting.popleft()
                        self.running.append(_RunningJob(number, self.work, given, free.popleft()))
                        yield Started(number)
                    for job in self._ready(signalled):
                        result = job.end()
                        self.running.remove(job)
                        free.append(job.environment)
                        yield Ended(job.number, result)
            finally:
                for job in self.running:
                    job.process.terminate()
                for job in self.running:
                    job.end()
        if self.signals:
            raise Stopped(self.signals[0])

    def _ready(self, signalled: Connection) -> list[_RunningJob]:
        """Waits until something happens; hands a signal on, and returns the jobs that have answered or ended."""
        ends = [end for job in self.running for end in job.ends]
        ready = wait([signalled, *ends])
        if signalled in ready:
            signalled.recv_bytes()
            for job in self.running:
                if len(self.signals) < 3:
                    job.process.terminate()
                else:
                    job.process.kill()
        return [job for job in self.running if not job.ends.isdisjoint(ready)]

    @contextmanager
    def _signals_noted(self) -> Iterator[Connection]:
        """Within, stop signals are noted in `signals`, and each sends a message through the connection."""
        signalled, sender = FORKED.Pipe(duplex=False)

        def note(signum: int, _: FrameType | None) -> None:
            self.signals.append(signum)
            sender.send_bytes(b"signal")

        handlers = {}
        if threading.current_thread() is threading.main_thread():
            noted = [s for s in STOP_SIGNALS if s != signal.SIGHUP or signal.getsignal(s) != signal.SIG_IGN]  # nohup
            handlers = {signum: signal.signal(signum, note) for signum in noted}
        try:
            yield signalled
        finally:
            for signum, handler in handlers.items():
                signal.signal(signum, handler)
            signalled.close()
            sender.close()


class _RunningJob:
    """The process of one job, and the pipe that brings the result."""

    def __init__(self, number: int, work: bytes, given: Any, environment: Mapping[str, str]) -> None:
        self.number = number
        self.environment = environment
        self.pipe, theirs = FORKED.Pipe(duplex=False)
        doing = (theirs, work, given, os.environ | environment)
        self.process = FORKED.Process(target=_do, args=doing, name=f"diabolo job {number}")
        try:
            self._start()
        except (EOFError, ConnectionError):  # the server was killed a moment ago and is still counted as alive
            time.sleep(0.5)
            self._start()
        theirs.close()
        self.ends: set[Connection | int] = {self.pipe, self.process.sentinel}  # ready when there is a result or an end

    def _start(self) -> None:
        """Starts the process, and before it the fork server where none runs."""
        resource_tracker.ensure_running()  # the server needs it, and its start unblocks the signals
        with _environment({**self.environment, PARENT: str(os.getpid())}), _blocked(STOP_SIGNALS):
            forkserver.ensure_running()
        self.process.start()

    def end(self) -> Any:
        """Waits for the process, ends what it has left running, and returns the result, or `Died`."""
        answer = None
        with self.pipe, suppress(EOFError, OSError):  # it ended without an answer, or while it wrote one
            if self.pipe.poll():  # else it is dead, and a child of it holds the pipe open
                answer = self.pipe.recv_bytes()
        self.process.join(GRACE)
        self.process.kill()
        self.process.join()
        assert self.process.pid
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGTERM)
        return Died(self.process.exitcode) if answer is None else cloudpickle.loads(answer)


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


def _do(pipe: Connection, work: bytes, job: Any, environment: Mapping[str, str]) -> None:
    """What the process of a job does."""
    os.setpgrp()  # Ctrl-C goes to the parent alone, which asks once; and with it go this process's own children
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
    os.environ.clear()
    os.environ.update(environment)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    pipe.send_bytes(cloudpickle.dumps(cloudpickle.loads(work)(job)))


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
