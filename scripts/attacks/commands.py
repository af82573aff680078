"""Commands in processes that are forked from this one, which has imported everything, and how they may end."""

from __future__ import annotations

import os
import random
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

os.environ |= {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
ROOT = Path(__file__).parent.parent.parent
TINY = (
    *("model=fc", "model.hidden=[16]", "bottleneck.size=4", "data.image_shape=[1,8,8]", "data.limit=96"),
    *("data.test_limit=32", "data.batch_size=32", "trainer.accelerator=cpu"),
)
BARE = (*TINY, "callbacks=none", "logger=none")
MEMORY = 8 << 30  # bytes of address space that a command may take


class Outcome(NamedTuple):
    """What came of one try. What was lost is said as `kind: which`, so that kinds can be counted."""

    tried: str
    wrong: list[str]
    lost: list[str]


Attack = Callable[[int, random.Random], Iterator[Outcome]]


class Ended(NamedTuple):
    """How a command ended; `code` is None where its time was up, negative after a signal."""

    code: int | None
    said: str


def command(
    arguments: Sequence[str],
    folder: Path,
    seconds: float = 300,
    environment: Mapping[str, str] | None = None,
    opened: set[Path] | None = None,
) -> Ended:
    """Runs `diabolo` with these arguments in `folder`. The files that it opens are added to `opened`."""
    with tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as notes:
        if (pid := os.fork()) == 0:
            os.environ.update(environment or {})
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
            run_here(arguments, folder, said.fileno(), None if opened is None else notes.fileno())
        end = time.monotonic() + seconds
        while (ended := os.waitpid(pid, os.WNOHANG)) == (0, 0) and time.monotonic() < end:
            time.sleep(0.005)
        if late := ended == (0, 0):
            os.kill(pid, signal.SIGKILL)
            ended = os.waitpid(pid, 0)
        said.seek(0)
        text = said.read().decode(errors="replace")
        if opened is not None:
            notes.seek(0)
            opened |= {Path(os.fsdecode(path)) for path in notes.read().split(b"\0")[:-1]}
    return Ended(None if late else os.waitstatus_to_exitcode(ended[1]), text)


def run_here(arguments: Sequence[str], folder: Path, said: int, notes: int | None = None) -> NoReturn:
    """Runs a command in this process and ends it; what is printed goes to the file `said`, as when started afresh."""
    code = 1
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.chdir(folder)
        os.dup2(said, 1)
        os.dup2(said, 2)
        if notes is not None:
            _note_what_is_opened(notes)
        if arguments[0] == "load":  # what a notebook does
            _load(arguments[1])
        else:
            sys.argv = ["diabolo", *arguments]
            from diabolo.cli import main

            main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _load(folder: str) -> None:
    import diabolo
    from diabolo.errors import UserError

    try:
        diabolo.load(folder)
    except UserError as error:
        print(error)
        sys.exit(2)


def _note_what_is_opened(notes: int) -> None:
    def note(event: str, arguments: tuple[Any, ...]) -> None:
        if event in ("open", "sqlite3.connect") and isinstance(arguments[0], str | bytes | os.PathLike):
            os.write(notes, os.path.abspath(os.fsencode(arguments[0])) + b"\0")

    sys.addaudithook(note)


def verdict(ended: Ended, codes: Sequence[int] = (0, 2)) -> list[str]:
    """What is wrong with how a command ended: it does what was asked, or refuses in a sentence."""
    lines = ended.said.strip().splitlines() or [""]
    wrong = ["its time was up"] if ended.code is None else []
    wrong += [f"traceback: {lines[-1][:160]}"] if "Traceback (most recent call last)" in ended.said else []
    if not wrong and ended.code not in codes:
        wrong.append(f"exit code {ended.code}: {lines[-1][:160]}")
    return wrong


def contents(folder: Path, without: Sequence[Path] = ()) -> dict[str, bytes]:
    """What lies below `folder`, but for locks and what lies in the folders or is one of the files `without`."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".lock" and not any(path.is_relative_to(other) for other in without)
    }


def warm() -> None:
    """Imports what a command needs, and computes nothing, so that children can be forked."""
    import optuna
    import torch.utils.tensorboard
    import torchvision  # noqa: F401

    import diabolo.report.board
    import diabolo.report.command
    import diabolo.report.page
    import diabolo.report.plots
    import diabolo.report.sheets
    import diabolo.runs.build
    import diabolo.runs.train
    import diabolo.sweeping.search
    import diabolo.training.trainer  # noqa: F401

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    torch.set_num_threads(1)


@contextmanager
def thrown_away() -> Iterator[Path]:
    """A new folder, which goes at the end; this process is then where it was."""
    here = Path.cwd()
    with tempfile.TemporaryDirectory(prefix="attack-", ignore_cleanup_errors=True) as folder:
        try:
            yield Path(folder)
        finally:
            os.chdir(here)
