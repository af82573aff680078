"""Optuna's study of a search: which question it answers, and where and how it is kept."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import StorageInternalError
from optuna.study import StudyDirection
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from diabolo.errors import UserError
from diabolo.measures.metric_names import direction
from diabolo.runs.config import run_name
from diabolo.runs.folder import RunFolder
from diabolo.runs.made_folders import missing, remove_empty
from diabolo.sweeping.space import parse_space

STUDY = "study.db"
WARM_UP = 3  # the first epoch after which a trial may be given up: earlier ones say little about its end
PRUNERS: dict[str, Callable[[], optuna.pruners.BasePruner]] = {
    "median": partial(optuna.pruners.MedianPruner, n_warmup_steps=WARM_UP),
    "hyperband": partial(optuna.pruners.HyperbandPruner, min_resource=WARM_UP),
    "none": optuna.pruners.NopPruner,
}
DIRECTIONS = {"min": StudyDirection.MINIMIZE, "max": StudyDirection.MAXIMIZE}
POPULATION = 10  # of NSGA-II; Optuna's 50 would be drawn at random before anything is learnt


@dataclass(frozen=True)
class Question:
    """What makes two searches the same study."""

    overrides: list[str]
    objectives: list[str]
    config_dir: str | None = None
    config_name: str = "train"

    def folder(self) -> Path:
        """Where the study lies unless another place is named: the same question finds it again."""
        mark = hashlib.sha1(json.dumps(self.asked()).encode()).hexdigest()[:6]
        return Path("searches", f"{run_name(list(parse_space(self.overrides).axes))}-{mark}")

    def asked(self) -> dict[str, Any]:
        """The question as it is written into the study; the order of overrides does not matter."""
        return asdict(self) | {"overrides": sorted(self.overrides)}

    def command(self, overrides: Sequence[str]) -> str:
        """The command that trains one point of it again."""
        own = ["--config-dir", self.config_dir] if self.config_dir else []
        own += ["--config-name", self.config_name] if self.config_name != "train" else []
        return shlex.join(["diabolo", "train", *own, *overrides])


@contextmanager
def opened_study(folder: Path, question: Question, pruner: str, seed: int) -> Iterator[optuna.Study]:
    """The study in `folder`, held while this process searches; a new one where there is none. A new one whose trials
    were all refused goes again: the mended command begins afresh.

    Raises:
        Held: another process searches there.
        UserError: it is that of another question, or its file is damaged or cannot be written.
    """
    made = missing(folder)
    tried = False
    try:
        with RunFolder(folder).held(), _opened(folder, question, pruner, seed) as study:
            try:
                yield study
            finally:
                tried = bool(study.trials)
    finally:
        if made and tried and set(os.listdir(folder)) <= {STUDY, ".lock"}:
            for name in (STUDY, ".lock"):
                (folder / name).unlink(missing_ok=True)
        remove_empty(made)


@contextmanager
def _opened(folder: Path, question: Question, pruner: str, seed: int) -> Iterator[optuna.Study]:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = None
    try:
        storage = optuna.storages.RDBStorage(f"sqlite:///{folder / STUDY}")
        if names := optuna.get_all_study_names(storage):
            study = _load_study(names[0], storage, pruner)
            if (known := study.user_attrs.get("question")) != question.asked():
                words = _words(known) or "not diabolo's"
                raise UserError(f"{str(folder)!r} holds another search ({words}): choose another --study.")
        else:
            study = optuna.create_study(
                study_name="search",
                storage=storage,
                pruner=PRUNERS[pruner](),
                directions=[DIRECTIONS[direction(objective)] for objective in question.objectives],
            )
            study.set_user_attr("question", question.asked())
        drawn = seed + len(study.trials)  # a sampler that is seeded as before would draw the same points again
        if len(question.objectives) == 1:
            study.sampler = optuna.samplers.TPESampler(seed=drawn)
        else:
            study.sampler = optuna.samplers.NSGAIISampler(population_size=POPULATION, seed=drawn)
        yield study
    except (SQLAlchemyError, StorageInternalError) as failure:
        raise _unusable(folder, failure) from failure
    finally:
        if storage is not None:
            storage.engine.dispose()


def _load_study(name: str, storage: optuna.storages.RDBStorage, pruner: str) -> optuna.Study:
    """The study of this name, its trials read once, so that a damaged one is found out at once."""
    try:
        study = optuna.load_study(study_name=name, storage=storage, pruner=PRUNERS[pruner]())
        len(study.trials)
    except (ValueError, LookupError, TypeError, AttributeError) as failure:  # of JSON, names and enums in its tables
        raise StorageInternalError(f"{type(failure).__name__}: {failure}") from failure
    return study


def _words(known: Any) -> str:
    """The command line of another search, as its study tells it; nothing where it is none of ours."""
    asked = [known.get(key) for key in ("overrides", "objectives")] if isinstance(known, dict) else []
    return " ".join(str(word) for words in asked if isinstance(words, list) for word in words)


def _unusable(folder: Path, failure: BaseException) -> UserError:
    cause = failure.orig if isinstance(failure, DBAPIError) else failure.__cause__ or failure
    said = str(getattr(cause, "orig", None) or cause).strip().splitlines()
    return UserError(
        f"{str(folder / STUDY)!r} cannot be used ({said[0] if said else type(failure).__name__}): "
        "put a whole copy there, or choose another --study."
    )
