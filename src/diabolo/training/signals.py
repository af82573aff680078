"""The signals that ask a process to stop, as far as the system has them: Windows lacks most of them."""

from __future__ import annotations

import os
import signal
import threading

STOPPING = tuple(getattr(signal, n) for n in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, n))
REQUEUE: signal.Signals | None = getattr(signal, "SIGUSR2", None)
"""What submitit has Slurm send before the time of a job is up; it then wants to queue the job again."""


def heeded() -> tuple[signal.Signals, ...]:
    """The signals that stop a process: not those that are ignored, as SIGHUP is under nohup."""
    return tuple(s for s in STOPPING if s == signal.SIGINT or signal.getsignal(s) != signal.SIG_IGN)


def interrupt(signum: int) -> None:
    """Has this process's handler of a signal run in its main thread, from whichever thread this is called."""
    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(threading.main_thread().ident or os.getpid(), signum)  # ends a wait of the main thread, too
    else:
        signal.raise_signal(signum)
