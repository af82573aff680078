"""`diabolo search`: Optuna over the command line's own words.

A study is a folder: `study.db` (SQLite), and a run folder for each trial. Issued again, a search goes on to the number
of trials that is wanted; a trial that was cut off is drawn again at the same point and continues in its folder.
"""

from __future__ import annotations

import hashlib
import json
import shlex
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, Trial, TrialState
from rich.table import Table

from diabolo.errors import UserError, check_choice, check_int
from diabolo.measures.yardstick import direction
from diabolo.runs.config import chosen, compose_config, concerns_overrides, explain, run_name
from diabolo.runs.folder import RunFolder
from diabolo.runs.terminal import console, short
from diabolo.runs.train import train
from diabolo.sweeping.pruning import NoSuchMetric, Pruning, measured
from diabolo.sweeping.space import Space, parse_space
from diabolo.training.recording import GivenUp

WARM_UP = 3  # the first epoch after which a trial may be given up: earlier ones say little about its end
PRUNERS: dict[str, Callable[[], optuna.pruners.BasePruner]] = {
    "median": partial(optuna.pruners.MedianPruner, n_warmup_steps=WARM_UP),
    "hyperband": partial(optuna.pruners.HyperbandPruner, min_resource=WARM_UP),
    "none": optuna.pruners.NopPruner,
}
DIRECTIONS = {"min": StudyDirection.MINIMIZE, "max": StudyDirection.MAXIMIZE}
POPULATION = 10  # of NSGA-II; Optuna's 50 would be drawn at random before anything is learnt
KILLS = 3  # a trial that was killed so often (by the system for memory, say) has failed


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


def search(
    question: Question,
    trials: int = 20,
    timeout: float | None = None,
    folder: Path | None = None,
    pruner: str = "median",
    seed: int = 0,
) -> bool:
    """Searches until the study has so many trials, and prints the best, or the Pareto front of several objectives.

    Args:
        timeout: seconds after which no further trial is begun.
        folder: of the study; by default one below `searches/` named after the question.
        pruner: median, hyperband or none; it has a say where the one objective is of the validation images (val/...).
        seed: of the sampler.

    Returns:
        Whether any trial is complete.

    Raises:
        UserError: a space, objective or folder that cannot work.
        SystemExit: SIGINT or SIGTERM; issued again, the search goes on.
    """
    check_int("--trials", trials)
    check_choice("--pruner", pruner, PRUNERS)
    for objective in question.objectives:
        if objective.startswith("test/"):
            raise UserError(f"`--objective` (= {objective!r}): the test images choose nothing; take a val/ metric.")
    space = _space(question)
    began = time.monotonic()
    folder = folder or question.folder()
    with RunFolder(folder).held(), _opened(folder, question, pruner, seed) as study:
        sitting = Sitting(study, space, question, folder)
        sitting.repeat_what_was_cut_off()
        try:
            while sitting.ended() < trials and (timeout is None or time.monotonic() - began < timeout):
                console.print(f"trial {sitting.ended() + 1}/{trials}: ", end="")
                sitting.try_one()
        except (KeyboardInterrupt, SystemExit) as stop:
            console.print("stopped; the same command goes on with the search.")
            raise SystemExit(stop.code if isinstance(stop, SystemExit) else 130) from None
        return sitting.say_result()


def _space(question: Question) -> Space:
    """The space, its corners composed once, so that a mistyped word stops the search and not each trial.

    Raises:
        UserError: what cannot be read, searched, composed or trained in this process.
    """
    try:
        space = parse_space(question.overrides)
        for point in space.corners():
            config = compose_config([*space.fixed, *point], question.config_dir, question.config_name)
            if str(config.trainer.strategy).startswith("ddp"):
                raise UserError("a search trains its trials in one process: take a trainer without strategy=ddp.")
    except Exception as failure:
        if not concerns_overrides(failure):
            raise
        raise UserError(explain(failure, question.overrides)) from failure
    return space


@contextmanager
def _opened(folder: Path, question: Question, pruner: str, seed: int) -> Iterator[optuna.Study]:
    """The study in `folder`, a new one where there is none.

    Raises:
        UserError: it is that of another question.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = optuna.storages.RDBStorage(f"sqlite:///{folder / 'study.db'}")
    try:
        if names := optuna.get_all_study_names(storage):
            study = optuna.load_study(study_name=names[0], storage=storage, pruner=PRUNERS[pruner]())
            if (known := study.user_attrs.get("question")) != question.asked():
                words = " ".join([*known["overrides"], *known["objectives"]]) if known else "not diabolo's"
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
    finally:
        storage.engine.dispose()


@dataclass(frozen=True)
class Sitting:
    """One process's work on a study."""

    study: optuna.Study
    space: Space
    question: Question
    folder: Path

    def trials(self, *states: TrialState) -> list[FrozenTrial]:
        """The trials in these states, without those that another one has taken up again."""
        repeated = {trial.user_attrs.get("repeats") for trial in self.study.trials}
        return [trial for trial in self.study.get_trials(states=states) if trial.number not in repeated]

    def ended(self) -> int:
        """How many trials count."""
        return len(self.trials(TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL))

    def repeat_what_was_cut_off(self) -> None:
        """Marks trials whose process is gone as failed and puts their points first, in the same run folders."""
        repeated = {trial.user_attrs.get("repeats") for trial in self.study.trials}
        for trial in self.study.get_trials(states=(TrialState.RUNNING,)):
            run = RunFolder(self.folder / trial.user_attrs.get("run", "no run"))
            killed = run.is_run() and run.state()["state"] == "running"  # "stopped": by a signal that it took note of
            kills = trial.user_attrs.get("kills", 0) + killed
            if kills < KILLS and trial.number not in repeated:
                known = {name: value for name, value in trial.user_attrs.items() if name == "run"}
                self.study.enqueue_trial(trial.params, known | {"kills": kills, "repeats": trial.number})
            self.study.tell(trial.number, state=TrialState.FAIL)

    def try_one(self) -> None:
        """Draws a point, trains it in a run folder of its own and tells the study how it went."""
        trial = self.study.ask(self.space.axes)
        point = self.space.point(trial.params)
        console.print(" ".join(point), end="  ", soft_wrap=True, markup=False)
        began = time.monotonic()
        for twin in self.study.get_trials(states=(TrialState.COMPLETE,)):
            if twin.params == trial.params:
                trial.set_user_attr("run", twin.user_attrs["run"])
                self.study.tell(trial, twin.values)
                console.print(f"drawn before, see {twin.user_attrs['run']}", soft_wrap=True, markup=False)
                return
        if "run" not in trial.user_attrs:
            trial.set_user_attr("run", f"{trial.number:04d}_{run_name(point)}")
        try:
            values = self._train(trial, [*self.space.fixed, *point])
        except GivenUp as reason:
            said = str(reason)
            trial.set_user_attr("reason", said)
            self.study.tell(trial, state=TrialState.PRUNED)
        except Exception as failure:
            said = str(failure) if isinstance(failure, UserError) else f"{type(failure).__name__}: {failure}"
            trial.set_user_attr("reason", said)
            self.study.tell(trial, state=TrialState.FAIL)
            said = f"failed: {said}"
            if isinstance(failure, NoSuchMetric):
                raise
        else:
            self.study.tell(trial, values)
            said = "  ".join(self._numbers(values))
        console.print(f"{said}  ({time.monotonic() - began:.1f} s)", soft_wrap=True, markup=False)

    def _train(self, trial: Trial, overrides: list[str]) -> list[float]:
        """Trains the run, or goes on with it, and returns what it is judged by."""
        run = RunFolder(self.folder / trial.user_attrs["run"])
        config = compose_config(overrides, self.question.config_dir, self.question.config_name)
        if run.is_run() and run.config() != config:
            raise UserError(f"{str(run.path)!r} holds a run with another config.")
        if run.is_run() and run.state()["state"] == "done":  # killed before the study was told
            metrics = run.metrics()
        else:
            with _quiet():
                metrics = train(config, run, overrides, chosen(), self._pruning(trial))
        return [measured(objective, metrics) for objective in self.question.objectives]

    def _pruning(self, trial: Trial) -> list[Pruning]:
        monitor = self.question.objectives[0]
        if len(self.question.objectives) > 1 or not monitor.startswith("val/"):
            return []  # Optuna does not prune by several objectives, and the others are known at the end only
        repeats = trial.user_attrs.get("repeats")
        return [Pruning(trial, monitor, {} if repeats is None else self.study.trials[repeats].intermediate_values)]

    def _numbers(self, values: Sequence[float]) -> list[str]:
        return [f"{name} {value:.5g}" for name, value in zip(self.question.objectives, values, strict=True)]

    def say_result(self) -> bool:
        """Prints how the trials ended, the best ones, and the commands that train these again."""
        counts = {state: len(self.trials(state)) for state in (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)}
        console.print(", ".join(f"{count} {state.name.lower()}" for state, count in counts.items()))
        for trial in self.trials(TrialState.FAIL):
            reason = trial.user_attrs.get("reason", f"killed {KILLS} times")
            point = " ".join(self.space.point(trial.params))
            console.print(f"failed: {point}: {reason}", soft_wrap=True, markup=False)
        best = self.best()
        if not best:
            console.print(f"no trial is complete; study: {short(self.folder)}", soft_wrap=True, markup=False)
            return False
        table = Table(box=None, pad_edge=False, header_style="bold")
        table.add_column("best" if len(self.question.objectives) == 1 else "Pareto front")
        for objective in self.question.objectives:
            table.add_column(f"{objective} ({direction(objective)})", justify="right")
        for trial in best:
            table.add_row(" ".join(self.space.point(trial.params)), *(f"{value:.5g}" for value in trial.values))
        console.print(table)
        for trial in best:
            run = short(self.folder / trial.user_attrs["run"])
            console.print(f"{' '.join(self._numbers(trial.values))}: {run}", soft_wrap=True, markup=False)
            again = self.question.command([*self.space.fixed, *self.space.point(trial.params)])
            console.print(f"  {again}", style="bold", soft_wrap=True, markup=False)
        return True

    def best(self) -> list[FrozenTrial]:
        """The best trial, or the Pareto front without repetitions, sorted by the last objective."""
        runs = {trial.user_attrs["run"]: trial for trial in self.study.best_trials}
        return sorted(runs.values(), key=lambda trial: trial.values[::-1])


@contextmanager
def _quiet() -> Iterator[None]:
    """A run within a search says what it has to say in its own log."""
    before, console.quiet = console.quiet, True
    try:
        yield
    finally:
        console.quiet = before
