"""The comparison in plain words: what is best, what is enough, where PCA is better, what is broken."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import groupby

from diabolo.report.collect import CUT_OFF, Run
from diabolo.report.evidence import Figures, count
from diabolo.report.findings import MOST_NAMED, beside_pca, best, enough, listed, mean_of
from diabolo.report.fold import fold, grouped
from diabolo.report.names import Names
from diabolo.runs.identity import measured_on

LATE = 2.0  # the last epoch's error over the best epoch's from which on a run counts as diverged


def say(runs: Sequence[Run], figures: Figures | None = None) -> list[str]:
    """What there is to say about the runs, a sentence each, of figures only that stand in the table."""
    names, figures = Names(runs), figures or Figures()
    return [
        *_counts(runs),
        *_figures(runs, names, figures),
        *(f"A run is not compared image by image: {damaged}" for damaged in figures.unread),
        *_switches(runs, names),
        *_failed(runs, names),
        *_cut_off(runs, names),
        *_broken(runs, names),
    ]


def _counts(runs: Sequence[Run]) -> list[str]:
    states = [f"{len(list(same))} {state}" for state, same in groupby(sorted(run.state for run in runs))]
    rows = fold(runs)
    seeds = f", {count(len(rows), 'setting')}" if len(rows) < len(runs) else ""
    said = [f"{len(runs)} runs{seeds}: {', '.join(states)}." if len(runs) != 1 else f"1 run: {runs[0].state}."]
    if repeated := sum(len(row.repeated) for row in rows):
        was = "was" if repeated == 1 else "were"
        said.append(
            f"{count(repeated, 'run')} {was} repeated later with the same settings and seed; only the latest counts."
        )
    return said


def _figures(runs: Sequence[Run], names: Names, figures: Figures) -> list[str]:
    """What can be compared: the runs measured on the same images, one set of images after the other."""
    sets = grouped((run for run in runs if run.state == "done"), lambda run: measured_on(run.config))
    said = []
    for alike in sets:
        rows = fold(alike)
        images = f"On {_images(alike[0])}: " if len(sets) > 1 else ""
        sentences = [*best(rows, names, figures), *enough(rows, figures), *beside_pca(rows, names, figures)]
        said += [f"{images}{sentence}" for sentence in sentences]
    if len(sets) > 1:
        said.insert(0, f"The runs are measured on {len(sets)} different sets of images; only runs on the same compare.")
    return said


def _images(run: Run) -> str:
    shape = run.config.get("data.image_shape") or []
    size = "x".join(map(str, shape)) if isinstance(shape, list) else str(shape)
    return f"{run.groups.get('data', 'images')} {size}"


def _switches(runs: Sequence[Run], names: Names) -> list[str]:
    """Whose figures are not those of the code alone, since switches go from encoder to decoder beside it."""
    rows = [row for row in fold(run for run in runs if run.state == "done") if row.values("switches")]
    return [
        f"{names.setting(row)} decodes more than its code: also the positions of {row.mean('switches'):,.0f} maxima in"
        f" the encoder's pooling layers. From the code alone its test MSE is {mean_of(row, 'test/mse_of_code_alone')},"
        f" not {mean_of(row, 'test/mse')}."
        for row in rows[:MOST_NAMED]
    ]


def _failed(runs: Sequence[Run], names: Names) -> list[str]:
    failed = [run for run in runs if run.state == "failed"]
    said = [
        f"Failed: {names.run(run)} ({' '.join(run.reason.split()).rstrip('.') or 'no reason is known'})."
        for run in failed[:MOST_NAMED]
    ]
    return said + ([f"{len(failed) - MOST_NAMED} more failed."] if len(failed) > MOST_NAMED else [])


def _cut_off(runs: Sequence[Run], names: Names) -> list[str]:
    cut = [f"{names.run(run)} (in {run.name})" for run in runs if run.state in (CUT_OFF, "stopped")]
    if not cut:
        return []
    return [f"Cut off or stopped: {listed(cut)}. To continue a run, type diabolo train and its folder."]


def _broken(runs: Sequence[Run], names: Names) -> list[str]:
    """Runs that are done and yet look broken."""
    faults: tuple[tuple[str, str, Callable[[Run], bool]], ...] = (
        ("has no metrics although it is done", "have no metrics although they are done", lambda run: not run.metrics),
        (
            "gives the same output for every image",
            "give the same output for every image",
            lambda run: bool(run.number("output/constant")),
        ),
        ("has dead code units", "have dead code units", lambda run: bool(run.number("code/dead_units"))),
        ("diverged in training", "diverged in training", _diverged),
        (
            "has a history.jsonl of which no line can be read",
            "have a history.jsonl of which no line can be read",
            _without_history,
        ),
    )
    done = [run for run in runs if run.state == "done"]
    said = []
    for one, several, holds in faults:
        faulty = [names.run(run) + (_dead(run) if "dead" in one else "") for run in done if holds(run)]
        if faulty:
            said.append(f"{listed(faulty)} {one if len(faulty) == 1 else several}.")
    return said


def _dead(run: Run) -> str:
    return f" ({run.number('code/dead_units'):.0f} of {run.code_size})"


def _diverged(run: Run) -> bool:
    """A final figure that is no finite number, or a validation error that ended at twice its lowest."""
    if any(isinstance(v, float) and not math.isfinite(v) for key, v in run.metrics.items() if key.endswith("/mse")):
        return True
    errors = [row["val/mse"] for row in run.history if isinstance(row.get("val/mse"), int | float)]
    return bool(errors) and not errors[-1] <= LATE * min(errors)


def _without_history(run: Run) -> bool:
    """Whether the file is there and damaged as a whole."""
    return not run.history and (run.path / "history.jsonl").exists()
