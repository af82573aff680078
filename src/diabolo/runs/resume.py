"""What holds when a run goes on: what may change, and when there is nothing left to do."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path

from omegaconf import DictConfig

from diabolo.errors import ConfigError, UserError
from diabolo.runs.config import override
from diabolo.runs.config_check import check_config
from diabolo.runs.folder import RunFolder
from diabolo.runs.identity import KINDS, Kind, flat, kind, plain, same
from diabolo.runs.safe_reading import Unreadable, read_checkpoint, read_rows

log = logging.getLogger(__name__)

MAY_CHANGE = (Kind.COMPUTING, Kind.WHERE, Kind.DRAWING)
LONGER = ("trainer.max_epochs", "trainer.early_stopping")
"""What a continued run may change: how long, where, and what is drawn. All else is in the weights, in the optimiser's
state or in the order of the images, and would be ignored or break the run."""


def revised(run: RunFolder, overrides: Iterable[str], also: Sequence[str] = (), trust: bool = False) -> DictConfig:
    """The run's config with changes that a run which goes on may have, and those of `also`.

    Raises:
        UserError: an unknown key, one that is settled, a value that cannot be, or a config that names code which is
            not trusted.
    """
    overrides = list(overrides)
    config = override(run.trusted_config(trust), overrides)
    for pair in overrides:
        key = pair.partition("=")[0]
        if not (may_change(key) or key in also):
            raise UserError(
                f"`{key}` is settled in a run that goes on, by its weights and its optimiser: start a new run. It takes"
                f" {', '.join(dict.fromkeys((*LONGER, *also, *filter(may_change, KINDS))))}."
            )
    check_config(config)
    return config


def may_change(key: str) -> bool:
    """Whether a run that goes on may have another value of the key."""
    return key in LONGER or kind(key) in MAY_CHANGE


def refuse_another(config: DictConfig, run: RunFolder) -> None:
    """Refuses to train `config` in a folder that holds another run.

    Raises:
        UserError: the folder holds a run in whose config a key has another value that makes it another run, or that a
            run which goes on cannot change.
    """
    if not run.is_run():
        return
    here, there = flat(config), flat(run.config())
    for key in here | there:
        makes_another = kind(key, here) in (Kind.MODEL, Kind.IMAGES)
        if makes_another and here.get(key) != there.get(key):
            raise UserError(
                f"{str(run.path)!r} holds a run with another config: there `{key}` is {plain(there.get(key))}, here"
                f" {plain(here.get(key))}; choose another hydra.run.dir."
            )


def refuse_done(config: DictConfig, run: RunFolder) -> None:
    """Refuses to go on with a run that has nothing left to do under `config`.

    Raises:
        UserError: it is done, its schedule of learning rates ends where it ended, or it has trained longer already.
    """
    if not run.is_run() or run.state()["state"] != "done":
        return
    trained, wanted = _epochs(run), config.trainer.max_epochs
    if run.config().trainer.max_epochs != wanted and isinstance(wanted, int) and wanted <= trained:
        raise ConfigError("trainer.max_epochs", wanted, f"must be above the {trained} epochs of {str(run.path)!r}")
    if _is_scheduled(run):
        raise UserError(
            f"{str(run.path)!r} is done, and its learning rates were scheduled to end there: start a new run with more"
            " trainer.max_epochs, or with scheduler=none if it is to be trained on later."
        )
    if same(run.config(), config):
        raise UserError(
            f"{str(run.path)!r} is done; to train it longer: diabolo train {run.path} trainer.max_epochs=N with N above"
            f" {trained}."
        )


def going_on_from(run: RunFolder) -> Path | None:
    """The checkpoint from which a run goes on: its last one, or the best where the last is damaged, which is said; None
    where it has none that can be read, and begins afresh."""
    for name in ("last", "best"):
        if (path := run.checkpoint(name)) is not None:
            try:
                read_checkpoint(path)
                return path
            except Unreadable as damaged:
                log.warning("%s The run goes on from what there is before it.", damaged)
    return None


def _epochs(run: RunFolder) -> int:
    rows = read_rows(run.history) if run.history.is_file() else []
    return max((row["epoch"] for row in rows if isinstance(row.get("epoch"), int)), default=0)


def _is_scheduled(run: RunFolder) -> bool:
    """Whether the learning rates were planned for a number of steps."""
    last = run.checkpoint("last")
    try:
        return last is not None and read_checkpoint(last).get("scheduled_steps") is not None
    except Unreadable:  # which is said when the run goes on
        return False
