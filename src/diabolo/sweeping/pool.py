"""Runs jobs side by side, in processes that take one job after the other. Nothing here knows Hydra.

All processes are forked from one, multiprocessing's fork server, which has imported what is heavy and has done nothing
with it: each starts within milliseconds and shares that memory with the others. When a process is killed, only the job
that it had is lost. A new process for each job would be simpler, but takes a tenth of a second more a job: pages of
memory are copied, and much is done for the first time.

Why no pool of a library: loky, like concurrent.futures, gives all jobs up when one worker dies; pebble kills a worker
3 seconds after it was asked to stop, too soon for a checkpoint, and has one initialiser for all workers, where each
place here has its own threads and GPU.
"""

from __future__ import annotations

import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from types import FrameType
from typing import Any

import cloudpickle

from diabolo.sweeping.worker import CONTEXT, Worker
from diabolo.training.signals import heeded


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
    """Does `work` on jobs, at most as many at a time as there are environments.

    Args:
        work: called with a job, in a process of the pool; returns the result, and whether this process may take another
            job.
        environments: one for each place in the pool: variables that a process in this place has in its environment.
            Libraries in `preload` that read them when they are loaded (OpenMP) see those of the first place.
        preload: modules that the fork server imports. They may start no thread and must leave CUDA alone. There is one
            fork server in a program: what it imports is decided by the first pool that starts a process.
    """

    def __init__(
        self,
        work: Callable[[Any], tuple[Any, bool]],
        environments: Sequence[Mapping[str, str]],
        preload: Sequence[str] = (),
    ) -> None:
        self.work = cloudpickle.dumps(work)
        self.preload = preload
        self.free = deque(environments)  # places without a process
        self.workers: list[Worker] = []
        self.signals: list[int] = []  # those that have come

    def run(self, jobs: Iterable[Any]) -> Iterator[Started | Ended]:
        """Does the jobs, each as soon as a place is free, and yields what happens.

        SIGINT, SIGTERM and SIGHUP are handed on to the processes as SIGTERM: a second one too, and the third kills.

        Raises:
            Stopped: by such a signal, once the processes have ended.
        """
        waiting = deque(enumerate(jobs))
        with self._signals_noted() as signalled:
            try:
                while any(worker.busy for worker in self.workers) or (waiting and not self.signals):
                    while waiting and not self.signals and (worker := self._idle()):
                        number, job = waiting.popleft()
                        worker.give(number, job)
                        yield Started(number)
                    for worker in self._ready(signalled):
                        number, result = worker.take()
                        if not worker.fit:
                            self._end(worker)
                        yield Ended(number, result)
            finally:
                for worker in self.workers:
                    if worker.busy:
                        worker.ask()
                    else:
                        worker.dismiss()  # all of them before one is waited for
                for worker in self.workers[:]:
                    self._end(worker)
        if self.signals:
            raise Stopped(self.signals[0])

    def _idle(self) -> Worker | None:
        """A worker without a job; None where there is no place for one."""
        for worker in self.workers[:]:
            if not worker.busy and worker.process.is_alive():
                return worker
            if not worker.busy:
                self._end(worker)
        if not self.free:
            return None
        self.workers.append(Worker(self.work, self.free.popleft(), self.preload))
        return self.workers[-1]

    def _end(self, worker: Worker) -> None:
        self.workers.remove(worker)
        self.free.append(worker.environment)
        worker.end()

    def _ready(self, signalled: Connection) -> list[Worker]:
        """Waits until something happens; hands a signal on, and returns the workers that have answered or ended."""
        busy = [worker for worker in self.workers if worker.busy]
        try:
            ready = wait([signalled, *(end for worker in busy for end in worker.ends)])
        except InterruptedError:  # Windows: Ctrl-C ends the wait
            ready = []
        if signalled in ready:
            signalled.recv_bytes()
            for worker in self.workers:
                if len(self.signals) < 3:
                    worker.ask()
                else:
                    worker.process.kill()
        return [worker for worker in busy if not worker.ends.isdisjoint(ready)]

    @contextmanager
    def _signals_noted(self) -> Iterator[Connection]:
        """Within, stop signals are noted in `signals`, and each sends a message through the connection."""
        signalled, sender = CONTEXT.Pipe(duplex=False)

        def note(signum: int, _: FrameType | None) -> None:
            self.signals.append(signum)
            sender.send_bytes(b"signal")

        handlers = {}
        if threading.current_thread() is threading.main_thread():
            handlers = {signum: signal.signal(signum, note) for signum in heeded()}
        try:
            yield signalled
        finally:
            for signum, handler in handlers.items():
                signal.signal(signum, handler)
            signalled.close()
            sender.close()
