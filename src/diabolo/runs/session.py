"""One sitting of a run: the time in which a process trains in its folder."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from omegaconf import DictConfig

from diabolo.errors import NotMeasured, UserError, out_of_memory
from diabolo.runs.ddp import LAUNCHED
from diabolo.runs.files_written import is_ours
from diabolo.runs.folder import RunFolder
from diabolo.runs.made_folders import missing, remove_empty
from diabolo.runs.terminal import logging_to, short
from diabolo.runs.unwritable import unwritable
from diabolo.training.recording import GivenUp, SignalStop, Stopped
from diabolo.training.signals import STOPPING

log = logging.getLogger(__name__)


@contextmanager
def session(
    config: DictConfig, run: RunFolder, overrides: Sequence[str], choices: Mapping[str, str] | None
) -> Iterator[SignalStop]:
    """Holds the folder while this process trains there. Whatever ends the sitting, the run's state says so.

    What is refused before training has begun leaves nothing: a new run no folder, a run that goes on what it was. So
    does a new run that is to watch a metric which it does not measure.
    """
    launched = LAUNCHED in os.environ  # then `launch` has begun the run, and undoes it
    if launched:
        _end_with_parent()
    leave_nothing = False
    run.refuse_foreign()
    made = missing(run.path)
    try:
        with run.held(), SignalStop(run.checkpoints / "last.ckpt") as stop, logging_to(run.log):
            before = {} if launched else run.record()
            try:
                run.begin(config, list(overrides), choices)
                stop.check()
                yield stop
            except Stopped as stopped:
                if is_ours(run.path):
                    run.mark("stopped", reason=str(stopped))
                    log.warning("%s; go on with: diabolo train %s", stopped, short(run.path))
                else:  # a second signal came before the first file was written
                    leave_nothing = True
                stop.hand_on(stopped.signum)
                sys.exit(stopped.exit_code)
            except GivenUp as reason:
                run.mark("stopped", reason=str(reason))
                raise
            except UserError as error:
                log.info("refused", exc_info=True, extra={"file_only": True})  # for those who extend diabolo
                afresh = not before and isinstance(error, NotMeasured)  # a slip of the finger, seen an epoch later
                if launched or (stop.began and not afresh):
                    _fail(run, str(error), refused=not stop.began)
                elif before:
                    _restore(run, before, str(error))
                else:
                    leave_nothing = True
                raise
            except OSError as error:
                sentence = unwritable(run.path, error)
                _fail(run, str(sentence))
                raise sentence from error
            except BaseException as error:
                log.exception("failed", extra={"file_only": True})
                short_of_memory = out_of_memory(error)
                _fail(run, str(short_of_memory or f"{type(error).__name__}: {error}"))
                if short_of_memory:
                    raise short_of_memory from error
                raise
    finally:
        if leave_nothing:
            run.remove()
        remove_empty(made)
    if stop.received and stop.received in STOPPING:  # nothing was left to stop, but what follows is not wanted
        sys.exit(128 + stop.received)


@contextmanager
def helping(run: RunFolder, rank: int) -> Iterator[SignalStop]:
    """The sitting of a process that helps its parent, which keeps the run folder (DistributedDataParallel).

    It ends when its parent does. One that stops because they are asked to ends with exit code 0: upon any other,
    Lightning kills the parent, which still has the run's state to write.
    """
    _end_with_parent()
    last, log_file = run.checkpoints / "last.ckpt", run.path / f"run.{rank}.log"
    with SignalStop(last, helps=True) as stop, logging_to(log_file, terminal=False), suppress(Stopped):
        yield stop


def _end_with_parent() -> None:
    """Has this process end when its parent has died; not on Windows, where one is not told."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, name="parent", daemon=True).start()


def _restore(run: RunFolder, record: Mapping[str, str], reason: str) -> None:
    try:
        run.restore(record)
    except OSError:  # there is no room for it
        _fail(run, reason)


def _fail(run: RunFolder, reason: str, **more: Any) -> None:
    if not is_ours(run.path):  # its first file was not written: there is no run that could have failed
        return
    try:
        run.mark("failed", reason=reason, **more)
    except OSError as error:
        log.error(
            "The run has failed, but %s still says that it is running (%s).", run.path / "state.json", error.strerror
        )
