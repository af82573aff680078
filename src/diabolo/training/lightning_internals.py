"""All that this program does with parts that Lightning keeps to itself.

Each function says why it is needed and what happens in a release of Lightning without the part: the plain way, at worst
slower. `tests/training/test_lightning_internals.py` fails when one of the parts changes.
"""

import logging
from collections.abc import Callable
from typing import Any

from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.core.optimizer import LightningOptimizer


def counted_step(optimizer: LightningOptimizer, update: Callable[[], object]) -> Callable[[], object]:
    """A call that does `update` in place of the optimiser's own step, and counts it in `trainer.global_step`; an update
    that gives False has taken no step, is not counted, and the call gives False, too.

    Lightning counts in two hooks of its wrapper, around a way through strategy, precision and closures that costs more
    than a step of a small network's Adam. In a release without the hooks the way is gone: it is `optimizer.step`.
    """
    before = getattr(optimizer, "_on_before_step", None)
    after = getattr(optimizer, "_on_after_step", None)
    if not callable(before) or not callable(after):
        return optimizer.step

    def step() -> object:
        done = update()
        if done is not False:
            before()
            after()
        return done

    return step


def log_by_steps(trainer: Trainer, extra: int) -> None:
    """Has what is logged stand at the number of optimiser steps: moves Lightning's count on by `extra`.

    Lightning writes logged values at a count of its own, one for each call of `training_step`, in which a module here
    takes several steps. In a release without the count, logged values stand at the number of those calls.
    """
    loop = trainer.fit_loop.epoch_loop
    if hasattr(loop, "_batches_that_stepped"):
        loop._batches_that_stepped += extra


def count_done(trainer: Trainer, calls: int) -> None:
    """Has an epoch that goes on count so many calls of `training_step` as done.

    A call takes a block of batches, and a run may go on with other blocks than it was stopped in: from a cache of
    decoded images they hold many, from a stream of images one. In a release without the counts, they stay those of the
    checkpoint, and such an epoch ends too early or too late.
    """
    progress = getattr(trainer.fit_loop.epoch_loop, "batch_progress", None)
    if progress is not None:
        more = calls - progress.current.ready
        for count in ("ready", "started", "processed", "completed"):
            setattr(progress.current, count, getattr(progress.current, count) + more)


def propagate_logs() -> None:
    """Has Lightning's messages go to the root logger, as those of any library, and not to the terminal.

    Lightning gives its loggers handlers of their own on import. In a release without them this changes nothing.
    """
    import lightning  # noqa: F401  what has not been imported cannot be undone

    for name in ("lightning", "lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True


# ---- attributes that are public, but set where mypy does not see them ----


def trainer_of(module: LightningModule) -> Trainer | None:
    """The Trainer that the module is attached to, if any; `module.trainer` raises where there is none."""
    try:
        return module.trainer
    except RuntimeError:
        return None


def callbacks_of(trainer: Trainer) -> list[Callback]:
    """The Trainer's callbacks, in the order in which they are called."""
    return trainer.callbacks  # type: ignore[attr-defined]  # Lightning sets it from outside of the class


def datamodule_of(trainer: Trainer) -> Any:
    """The Trainer's datamodule."""
    return trainer.datamodule  # type: ignore[attr-defined]  # set from outside, too
