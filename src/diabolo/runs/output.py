"""What is printed, into what may be closed or full."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Output:
    """Stands in for `sys.stdout` or `sys.stderr`: one that is closed (`| head`) or full ends the printing, and not
    what is being done. What is still printed then goes nowhere, that of child processes included."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        self.failure: OSError | None = None

    def write(self, text: str) -> int:
        try:
            return int(self.stream.write(text))
        except OSError as failure:
            self._give_up(failure)
            return len(text)

    def flush(self) -> None:
        try:
            self.stream.flush()
        except OSError as failure:
            self._give_up(failure)

    def _give_up(self, failure: OSError) -> None:
        self.failure = failure
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.stream.fileno())
        os.close(nowhere)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


@contextmanager
def printing() -> Iterator[Output]:
    """Within, printing never fails; yields what stands for `sys.stdout`."""
    for number, name in ((0, "stdin"), (1, "stdout"), (2, "stderr")):
        if getattr(sys, name) is None:  # closed by the shell, `>&-`; a file that is opened must not get its number
            opened = os.open(os.devnull, os.O_RDWR)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
            setattr(sys, name, open(number, "r" if number == 0 else "w", closefd=False))  # noqa: SIM115
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = out, err = Output(sys.stdout), Output(sys.stderr)
    try:
        yield out
    finally:
        out.flush()
        err.flush()
        sys.stdout, sys.stderr = before
