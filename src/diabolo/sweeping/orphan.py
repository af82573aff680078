"""Imported first by the process that all jobs of a sweep are forked from: ends it when its parent has died.

The fork server itself looks after its parent only once all is imported, and that may take longer than the parent lives.
A timer, and no thread, which none of the forked processes would have; they do not inherit the timer either.
"""

import os
import signal
import sys
from types import FrameType

PARENT = "DIABOLO_POOL"  # in the environment of the fork server: the id of the process that has started it


def _end_without_parent(signum: int, frame: FrameType | None) -> None:
    if os.getppid() != int(os.environ[PARENT]):
        os._exit(0)


if sys.platform != "win32" and PARENT in os.environ:
    signal.signal(signal.SIGALRM, _end_without_parent)
    signal.setitimer(signal.ITIMER_REAL, 1, 1)
