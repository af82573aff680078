"""Signals that come during long work, answered where the work can stop."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any


class Interrupts:
    """Signals for which the program has handlers, until the next `check`: a handler that only takes note of the first
    and waits for a safe point is called once more there, which for it is the second that is not to wait.

    Used as a context manager; without effect in another thread than the first.
    """

    NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR2")  # those that stop a run; not every system has all

    def __init__(self) -> None:
        self.handlers: dict[int, Callable[[int, FrameType | None], Any]] = {}
        self.received: int | None = None

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            for signum in (getattr(signal, name) for name in self.NAMES if hasattr(signal, name)):
                if callable(handler := signal.getsignal(signum)):
                    self.handlers[signum] = handler
                    signal.signal(signum, self._receive)
        return self

    def __exit__(self, *_: object) -> None:
        for signum, handler in self.handlers.items():
            signal.signal(signum, handler)

    def check(self) -> None:
        if self.received is not None:
            self.handlers[self.received](self.received, None)

    def _receive(self, signum: int, frame: FrameType | None) -> None:
        self.received = signum
        self.handlers[signum](signum, frame)
