"""Worker processes that take one job after the other. Nothing here knows Hydra.

The pools of concurrent.futures, joblib and multiprocessing give up, or wait for ever, when a worker is killed. Here
that costs the job that it had; a new worker takes its place.

All workers are forked from one process, multiprocessing's fork server, which has imported what is heavy and has done
nothing with it: each starts at once and shares those pages of memory with the others.
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

FORKED = multiprocessing.get_context("forkserver")
STOPPING = (signal.SIGINT, signal.SIGTERM)
POLL = 0.5  # seconds between looks at whether workers live; a child of a dead worker may hold its pipe open
GRACE = 30  # seconds that an orphaned worker has for a checkpoint, before it is asked again and then ended


@dataclass
class Died:
    """What becomes of a job whose worker ended under it."""

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
    """A signal stopped the pool; its workers have ended."""

    def __init__(self, signum: int) -> None:
        super().__init__(f"stopped by {signal.Signals(signum).name}")
        self.exit_code = 128 + signum


class Pool:
    """Does `work` on jobs in as many processes as there are environments.

    Args:
        work: called in the worker with a job; returns its result and whether the process is fit for another.
        environments: for each place in the pool what its processes have in their environment. Libraries in `preload`
            that read it when they are loaded (OpenMP) see that of the first place.
        preload: modules that the fork server imports. They may start no thread and must leave CUDA alone. There is one
            server in a process: the first pool that starts a worker has its way.
    """

    def __init__(
        self,
        work: Callable[[Any], tuple[Any, bool]],
        environments: Sequence[Mapping[str, str]],
        preload: Sequence[str] = (),
    ) -> None:
        FORKED.set_forkserver_preload(list(preload))
        self.work = cloudpickle.dumps(work)
        self.places = list(environments)
        self.workers: list[_Worker] = []
        self.stopped_by: int | None = None
        self.signals = 0

    def run(self, jobs: Sequence[Any]) -> Iterator[Started | Ended]:
        """Does the jobs, each as soon as a place is free, and yields what happens.

        SIGINT and SIGTERM are handed on to the workers as SIGTERM: a second one too, and the third kills.

        Raises:
            Stopped: by such a signal, once the workers have ended.
        """
        waiting = deque(enumerate(jobs))
        with self._signals():
            try:
                while (waiting and self.stopped_by is None) or any(worker.busy for worker in self.workers):
                    while waiting and (worker := self._free()):
                        if self.stopped_by is not None:  # asked while the worker started: it does not know
                            break
                        number, job = waiting.popleft()
                        worker.give(number, job)
                        yield Started(number)
                    yield from self._ended()
            finally:
                for worker in self.workers:
                    worker.ask()
                for worker in self.workers:
                    worker.end()
        if self.stopped_by is not None:
            raise Stopped(self.stopped_by)

    def _free(self) -> _Worker | None:
        for worker in self.workers:
            if not worker.busy and worker.alive():
                return worker
        if len(self.workers) == len(self.places):
            return None
        taken = [worker.place for worker in self.workers]
        place = next(i for i in range(len(self.places)) if i not in taken)
        self.workers.append(_Worker(place, self.work, self.places[place]))
        return self.workers[-1]

    def _ended(self) -> Iterator[Ended]:
        wait([worker.pipe for worker in self.workers], timeout=POLL)
        for worker in self.workers[:]:
            alive = worker.alive()  # before the look into the pipe: a result may be a worker's last word
            answer = worker.answer()
            if answer is None and alive:
                continue
            result, fit = answer or (Died(worker.code()), False)
            job, worker.job = worker.job, None
            if not fit:
                self.workers.remove(worker)
                worker.end()
            if job is not None:
                yield Ended(job, result)

    @contextmanager
    def _signals(self) -> Iterator[None]:
        handlers = {}
        if threading.current_thread() is threading.main_thread():
            handlers = {signum: signal.signal(signum, self._stop) for signum in STOPPING}
        try:
            yield
        finally:
            for signum, handler in handlers.items():
                signal.signal(signum, handler)

    def _stop(self, signum: int, _: FrameType | None) -> None:
        self.stopped_by = self.stopped_by or signum
        self.signals += 1
        for worker in self.workers:
            worker.send(signal.SIGTERM if self.signals < 3 else signal.SIGKILL)


class _Worker:
    """One process and the parent's end of its pipe."""

    def __init__(self, place: int, work: bytes, environment: Mapping[str, str]) -> None:
        self.place = place
        self.job: int | None = None
        self.pipe, theirs = FORKED.Pipe()
        serving = (theirs, work, os.environ | environment)
        self.process = FORKED.Process(target=_serve, args=serving, name=f"diabolo worker {place}")
        resource_tracker.ensure_running()  # the fork server needs it, and its start unblocks the signals
        with _environment(environment), _blocked(STOPPING):
            forkserver.ensure_running()
        self.process.start()
        theirs.close()

    @property
    def busy(self) -> bool:
        return self.job is not None

    def give(self, number: int, job: Any) -> None:
        self.job = number
        with suppress(BrokenPipeError):  # it has died; `Pool` finds out
            self.pipe.send_bytes(cloudpickle.dumps(job))

    def answer(self) -> tuple[Any, bool] | None:
        """What the worker has sent; None where there is nothing, or nothing whole."""
        try:
            return cloudpickle.loads(self.pipe.recv_bytes()) if self.pipe.poll() else None
        except (EOFError, OSError):
            self.process.join(GRACE)  # its end of the pipe is closed: it is ending
            return None if not self.alive() else (Died(None), False)

    def alive(self) -> bool:
        return self.process.is_alive()

    def code(self) -> int | None:
        self.process.join()
        return self.process.exitcode

    def send(self, signum: int) -> None:
        if self.process.pid is not None and self.alive():
            with suppress(ProcessLookupError):
                os.kill(self.process.pid, signum)

    def ask(self) -> None:
        """Closes the pipe, on which a worker without a job ends; one with a job is asked to leave it."""
        if not self.pipe.closed:
            self.pipe.close()
            if self.busy:
                self.send(signal.SIGTERM)

    def end(self) -> None:
        """Waits for the process and ends what it has left running."""
        self.ask()
        self.process.join(GRACE)
        self.send(signal.SIGKILL)
        self.process.join()
        assert self.process.pid
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGTERM)


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
    """The worker: does the jobs that come through the pipe until it is closed."""
    os.setpgrp()  # Ctrl-C goes to the parent alone, which asks once; and with it go this worker's own processes
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
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
