"""What fails while something is drawn costs the picture, not the training."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any
from weakref import WeakKeyDictionary

from lightning import Callback, Trainer

from diabolo.callbacks.pictures import Drawing
from diabolo.errors import UserError
from diabolo.training.recording import GivenUp

log = logging.getLogger(__name__)

STRICT = "DIABOLO_STRICT"  # in the environment: nothing is spared, as for the tests
OF_A_STATE = ("on_exception", "on_save_checkpoint", "on_load_checkpoint")
DRAWING = [name for name in vars(Callback) if name.startswith("on_") and name not in OF_A_STATE]
AT_THE_END = ["on_test_end"]  # everything is trained and measured

_said: WeakKeyDictionary[Trainer, set[str]] = WeakKeyDictionary()


def spared(callback: Callback, name: str) -> Callback:
    """`callback`, made to cost no training: its hooks that can only draw go through `sparing`.

    These are all those of a `Drawing`, and of every callback the one after the test. A hook that measures ends the run
    when it fails: a run without a metric that was asked for is not done.
    """
    for hook in DRAWING if isinstance(callback, Drawing) else AT_THE_END:
        if getattr(type(callback), hook) is not getattr(Callback, hook):
            setattr(callback, hook, _through(getattr(callback, hook), name))
    return callback


@contextmanager
def sparing(trainer: Trainer, name: str) -> Iterator[None]:
    """Within it a failure is a warning, with its traceback in the run's log, and the run goes on.

    A `UserError` before the first step refuses the run instead: nothing is lost then, and the user can mend it.
    """
    try:
        yield
    except GivenUp:
        raise
    except Exception as failure:
        if os.environ.get(STRICT) or (isinstance(failure, UserError) and not trainer.global_step):
            raise
        log.error("callbacks.%s failed", name, exc_info=True, extra={"file_only": True})
        why = str(failure) if isinstance(failure, UserError) else f"{type(failure).__name__}: {failure}"
        sentence = f"callbacks.{name} could not draw, and the run goes on without: {' '.join(why.split())}"
        said = _said.setdefault(trainer, set())
        if sentence not in said:  # in each epoch the same
            log.warning("warning: %s", sentence)
        said.add(sentence)


def _through(hook: Callable[..., Any], name: str) -> Callable[..., Any]:
    @wraps(hook)
    def call(trainer: Trainer, *args: Any, **kwargs: Any) -> None:
        with sparing(trainer, name):
            hook(trainer, *args, **kwargs)

    return call
