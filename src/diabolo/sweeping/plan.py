"""Plans a sweep that may have run before: which jobs are done, which go on, which folder each has, and how all
ended."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from diabolo.errors import UserError
from diabolo.runs.config import quoted, resolved
from diabolo.runs.find_folder import done, place
from diabolo.runs.folder import RunFolder
from diabolo.runs.made_folders import missing, remove_empty


@dataclass
class Job:
    """One combination of a sweep's values.

    Args:
        label: what tells it from the other jobs, such as "bottleneck.size=5 seed=0".
        config: resolved.
        composed: as Hydra composed it, with Hydra's own part.
        todo: "run", "continue" or "skip".
        note: said beside it in the table at the end.
        outcome: "done", "skipped" or "failed"; empty until it is known.
    """

    overrides: list[str]
    label: str
    run: RunFolder
    config: DictConfig
    composed: DictConfig
    todo: str
    note: str = ""
    outcome: str = ""

    def overrides_with_folder(self) -> list[str]:
        """The overrides, with those that put the job into its folder."""
        folder = self.run.path
        return [
            *self.overrides,
            f"hydra.sweep.dir={quoted(str(folder.parent))}",
            f"hydra.sweep.subdir={quoted(folder.name)}",
        ]

    def composed_with_folder(self) -> DictConfig:
        """What `overrides_with_folder` compose to."""
        config = self.composed.copy()
        with read_write(config.hydra):
            config.hydra.sweep.dir = str(self.run.path.parent)
            config.hydra.sweep.subdir = self.run.path.name
        return config


SWEEP_FILE = "multirun.yaml"  # Hydra's name for the config of a sweep


@contextmanager
def folder_of_sweep(folder: Path, jobs: Sequence[Job], config: DictConfig) -> Iterator[None]:
    """Makes the sweep's folder, with the sweep's config in it. A new one goes again where no job leaves anything."""
    new = not folder.exists()
    made = missing(folder, *(job.run.path for job in jobs))
    folder.mkdir(parents=True, exist_ok=True)
    OmegaConf.save(config, folder / SWEEP_FILE)
    try:
        yield
    finally:
        remove_empty(made)
        if new and os.listdir(folder) == [SWEEP_FILE]:
            (folder / SWEEP_FILE).unlink()
            remove_empty(made)


def label(overrides: Iterable[str], given: Collection[str]) -> str:
    """What tells a job from the others: its overrides without those that were given for the whole sweep."""
    own = [o for o in overrides if o not in given and not o.startswith("hydra.")]
    return " ".join(own) or "the only job"


def plan(
    jobs: Iterable[Sequence[str]],
    given: Collection[str],
    compose: Callable[[Sequence[str]], tuple[Path, DictConfig, DictConfig]],
    prepare: Callable[[], None] = lambda: None,
) -> list[Job]:
    """Says what there is to do for each job; two whose configs are equal count once.

    Args:
        jobs: the overrides of each.
        given: the overrides of the whole sweep.
        compose: makes a job's folder, its config and the same with Hydra's part from its overrides.
        prepare: called once, as soon as there is a job to do.
    """
    planned: dict[Path, Job] = {}
    for overrides in map(list, jobs):
        base, config, composed = compose(overrides)
        rerun = bool(config.get("rerun"))
        config = resolved(config)
        if any(job.config == config for job in planned.values()):
            continue
        run = place(base, config, planned)
        todo = "run" if rerun else _todo(run)
        note = "" if run.path == base else f"in {run.path.name}: {base.name} holds a run with another config"
        if todo != "skip" and all(job.todo == "skip" for job in planned.values()):
            prepare()
        planned[run.path] = Job(overrides, label(overrides, given), run, config, composed, todo, note)
    return list(planned.values())


def _todo(run: RunFolder) -> str:
    if done(run):
        return "skip"
    return "continue" if run.is_run() and run.checkpoint("last") else "run"


def close(jobs: Sequence[Job], returns: Sequence[JobReturn]) -> None:
    """Notes how each job ended, and marks runs whose process died as failed.

    Args:
        returns: one for each job that was not skipped, in order.
    """
    ended = iter(returns)
    for job in jobs:
        if job.todo == "skip":
            job.outcome = "skipped"
            continue
        result = next(ended)
        if result.status == JobStatus.COMPLETED:
            job.outcome = "done"
            job.note = "; ".join(filter(None, ("continued" if job.todo == "continue" else "", job.note)))
            continue
        job.outcome = "failed"
        job.note = reason(result._return_value)
        cut_off = job.run.is_run() and job.run.state()["state"] == "running" and not job.run.is_held()
        if cut_off and isinstance(result._return_value, OSError):
            job.run.mark("failed", reason=job.note)


def reason(failure: BaseException) -> str:
    """Why a job failed, in one line."""
    said = " ".join(str(failure).split()) or type(failure).__name__
    return said if isinstance(failure, UserError | OSError) else f"{type(failure).__name__}: {said}"


def print_outcome(jobs: Sequence[Job], folder: Path) -> None:
    """Prints a line for each job, and how many were done, skipped and failed."""
    from rich.text import Text

    from diabolo.runs.terminal import console, short, text_table

    shown = "test/accuracy" if any("test/accuracy" in job.run.metrics() for job in jobs) else "test/mse"
    colours = {"done": "green", "skipped": "dim", "failed": "bold red"}
    lines: list[list[str | Text]] = []
    for job in jobs:
        value = job.run.metrics().get(shown) if job.outcome != "failed" else None
        figure = "" if value is None else f"{value:.5f}"
        lines.append([job.label, Text(job.outcome, colours[job.outcome]), figure, job.note])
    metric = shown.replace("/", " ")
    console.print(text_table(["run", "", metric, ""], lines, right=[metric]))
    counts = ", ".join(f"{sum(j.outcome == o for j in jobs)} {o}" for o in colours)
    console.print(f"{counts} -> {short(folder)}", soft_wrap=True, markup=False)


class Pin(Callback):
    """Fixes the name of the sweep's folder before the jobs are composed: the overrides of the whole sweep make it, and
    a job knows only its own."""

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        folder = str(config.hydra.sweep.dir)
        with open_dict(config):
            config.hydra.sweep.dir = folder
            config.hydra.overrides.hydra.append(f"hydra.sweep.dir={quoted(folder)}")
