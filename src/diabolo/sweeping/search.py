"""`diabolo search`: Optuna over the command line's own words.

A study is a folder: `study.db` (SQLite), and a run folder for each trial. The same command continues a search until it
has as many trials as are wanted; a trial that was cut off is repeated at the same point and continues in its folder.
"""

from __future__ import annotations

import time
from pathlib import Path

from optuna.trial import TrialState

from diabolo.errors import UserError, check_choice, check_int
from diabolo.measures.metric_names import describe, direction
from diabolo.runs.config import compose_config, concerns_overrides, explain
from diabolo.runs.terminal import console, short, text_table
from diabolo.sweeping.space import Space, parse_space
from diabolo.sweeping.study import PRUNERS, Question, opened_study
from diabolo.sweeping.trials import KILLS, TrialRunner


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
        pruner: median, hyperband or none; used where there is one objective, on the validation images (val/...).
        seed: of the sampler.

    Returns:
        Whether any trial is complete.

    Raises:
        UserError: a space, objective or folder that cannot work.
        SystemExit: SIGINT or SIGTERM; the same command continues the search.
    """
    check_int("--trials", trials)
    check_choice("--pruner", pruner, PRUNERS)
    for objective in question.objectives:
        if objective.startswith("test/"):
            raise UserError(f"`--objective` (= {objective!r}): the test images choose nothing; take a val/ metric.")
    space = _checked_space(question)
    began = time.monotonic()
    folder = folder or question.folder()
    with opened_study(folder, question, pruner, seed) as study:
        runner = TrialRunner(study, space, question, folder)
        runner.repeat_what_was_cut_off()
        try:
            while runner.ended() < trials and (timeout is None or time.monotonic() - began < timeout):
                console.print(f"trial {runner.ended() + 1}/{trials}: ", end="")
                runner.try_one()
        except (KeyboardInterrupt, SystemExit) as stop:
            console.print("stopped; the same command goes on with the search.")
            raise SystemExit(stop.code if isinstance(stop, SystemExit) else 130) from None
        return print_result(runner)


def _checked_space(question: Question) -> Space:
    """The space of a question, its corners composed once, so that a mistyped word stops the search and not each trial.

    Raises:
        UserError: what cannot be read, searched, composed or trained in this process.
    """
    refused: UserError | None = None
    composed = 0
    try:
        space = parse_space(question.overrides)
        for point in space.corners():
            try:
                config = compose_config([*space.fixed, *point], question.config_dir, question.config_name)
            except UserError as failure:  # a value that cannot be: the trials that draw it fail, each by itself
                refused = failure
                continue
            composed += 1
            describe(config.metrics)  # so that an objective among them has its direction
            if str(config.trainer.strategy).startswith("ddp"):
                raise UserError("a search trains its trials in one process: take a trainer without strategy=ddp.")
    except Exception as failure:
        if not concerns_overrides(failure):
            raise
        raise UserError(explain(failure, question.overrides)) from failure
    if refused is not None and not composed:
        raise refused
    return space


def print_result(runner: TrialRunner) -> bool:
    """Prints how the trials ended, the best ones, and the commands that train these again."""
    counts = {state: len(runner.counted(state)) for state in (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)}
    console.print(", ".join(f"{count} {state.name.lower()}" for state, count in counts.items()))
    for trial in runner.counted(TrialState.FAIL):
        reason = trial.user_attrs.get("reason", f"killed {KILLS} times")
        point = " ".join(runner.space.point(trial.params))
        console.print(f"failed: {point}: {reason}", soft_wrap=True, markup=False)
    best = runner.best()
    if not best:
        console.print(f"no trial is complete; study: {short(runner.folder)}", soft_wrap=True, markup=False)
        return False
    objectives = [f"{objective} ({direction(objective)})" for objective in runner.question.objectives]
    lines = [
        [" ".join(runner.space.point(trial.params)), *(f"{value:.5g}" for value in trial.values)] for trial in best
    ]
    console.print(
        text_table(["best" if len(objectives) == 1 else "Pareto front", *objectives], lines, right=objectives)
    )
    for trial in best:
        run = short(runner.folder / trial.user_attrs["run"])
        console.print(f"{' '.join(runner.numbers(trial.values))}: {run}", soft_wrap=True, markup=False)
        again = runner.question.command([*runner.space.fixed, *runner.space.point(trial.params)])
        console.print(f"  {again}", style="bold", soft_wrap=True, markup=False)
    return True
