"""The trials of a search: points are drawn and trained, and trials that were cut off are repeated."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import optuna
from omegaconf import OmegaConf
from optuna.trial import FrozenTrial, Trial, TrialState

from diabolo.errors import NotMeasured, UserError
from diabolo.runs.config import chosen, compose_config, run_name
from diabolo.runs.folder import RunFolder
from diabolo.runs.terminal import console
from diabolo.runs.train import train
from diabolo.runs.trusted_classes import note_own_parts
from diabolo.sweeping.pruning import Pruning, measured
from diabolo.sweeping.space import Space
from diabolo.sweeping.study import Question
from diabolo.training.recording import GivenUp

KILLS = 3  # a trial that was killed so often (by the system for memory, say) has failed


@dataclass(frozen=True)
class TrialRunner:
    """Runs the trials of a study, each in a run folder of its own below that of the study.

    Args:
        space: what is searched.
        question: what the study was opened with.
        folder: of the study.
    """

    study: optuna.Study
    space: Space
    question: Question
    folder: Path

    def counted(self, *states: TrialState) -> list[FrozenTrial]:
        """The trials in these states, without those that a later one repeats."""
        repeated = {trial.user_attrs.get("repeats") for trial in self.study.trials}
        return [trial for trial in self.study.get_trials(states=states) if trial.number not in repeated]

    def ended(self) -> int:
        """How many trials count."""
        return len(self.counted(TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL))

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
        trial = self.study.ask(dict(self.space.axes))
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
            if isinstance(failure, NotMeasured):  # of the search's objective, or of what all its runs watch
                raise
        else:
            self.study.tell(trial, values)
            said = "  ".join(self.numbers(values))
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
            note_own_parts(OmegaConf.to_container(config))  # they stand on the command line of who searches
            with _quiet():
                metrics = train(config, run, overrides, chosen(), self._pruning(trial))
        return [measured(objective, metrics) for objective in self.question.objectives]

    def _pruning(self, trial: Trial) -> list[Pruning]:
        monitor = self.question.objectives[0]
        if len(self.question.objectives) > 1 or not monitor.startswith("val/"):
            return []  # Optuna does not prune by several objectives, and the others are known at the end only
        repeats = trial.user_attrs.get("repeats")
        return [Pruning(trial, monitor, {} if repeats is None else self.study.trials[repeats].intermediate_values)]

    def numbers(self, values: Sequence[float]) -> list[str]:
        return [f"{name} {value:.5g}" for name, value in zip(self.question.objectives, values, strict=True)]

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
