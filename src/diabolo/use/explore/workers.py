"""Processes that encode and decode for TensorBoard's tab, one a run, so that TensorBoard itself imports no torch."""

from __future__ import annotations

import atexit
import struct
import subprocess
import sys
import threading
from collections.abc import Hashable
from pathlib import Path

from diabolo.use.explore.server import ANSWER, REQUEST

PATIENCE = 120.0  # seconds for an answer, the start of the process among them
ENDED = "the process that computes its network has ended; it starts again when it is asked again."


class Workers:
    """The processes in use, of which the one that was asked longest ago ends for a new one.

    Args:
        most: processes at one time.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._workers: dict[tuple[Path, Hashable], _Worker] = {}  # the last asked stands last
        self._lock = threading.Lock()
        atexit.register(self.end)

    def ask(self, run: Path, state: Hashable, what: bytes, numbers: bytes) -> bytes:
        """What the model of a run makes of float32 numbers; see `diabolo.use.explore.server`.

        Args:
            state: of the run's files; a process that has loaded another one is replaced.

        Raises:
            ValueError: there is no answer; a sentence.
        """
        return self._of(run, state).ask(what, numbers)

    def end(self) -> None:
        """Ends all processes."""
        with self._lock:
            for worker in self._workers.values():
                worker.end()
            self._workers.clear()

    def _of(self, run: Path, state: Hashable) -> _Worker:
        with self._lock:
            for key, worker in list(self._workers.items()):
                if worker.ended() or (key[0] == run and key[1] != state):
                    self._workers.pop(key).end()
            if (run, state) in self._workers:
                self._workers[run, state] = self._workers.pop((run, state))
            else:
                while len(self._workers) >= self._most:
                    self._workers.pop(next(iter(self._workers))).end()
                self._workers[run, state] = _Worker(run)
            return self._workers[run, state]


class _Worker:
    """The process of one run."""

    def __init__(self, run: Path) -> None:
        # -P: no module of the current folder comes before a library's
        command = [sys.executable, "-P", "-m", "diabolo.use.explore.server", str(run)]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL)
        self._one_at_a_time = threading.Lock()

    def ask(self, what: bytes, numbers: bytes) -> bytes:
        to, answers = self._process.stdin, self._process.stdout
        assert to is not None
        assert answers is not None
        with self._one_at_a_time:
            patience = threading.Timer(PATIENCE, self._process.kill)
            patience.start()
            try:
                to.write(REQUEST.pack(what, len(numbers)) + numbers)
                to.flush()
                good, length = ANSWER.unpack(answers.read(ANSWER.size))
                body = answers.read(length)
                whole = len(body) == length
            except (OSError, ValueError, struct.error):  # the pipe is closed, or has been at any place of the answer
                whole = False
            finally:
                patience.cancel()
            if not whole:
                self._process.kill()
                self._process.wait()
                raise ValueError(ENDED)
        if not good:
            raise ValueError(body.decode("utf-8", "replace"))
        return body

    def ended(self) -> bool:
        return self._process.poll() is not None

    def end(self) -> None:
        self._process.kill()
        with self._one_at_a_time:  # whoever waits for an answer has seen that none comes
            self._process.communicate()
