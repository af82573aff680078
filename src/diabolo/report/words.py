"""The comparison in plain words: what is best, what is enough, where PCA is better, what is broken."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import groupby

from diabolo.measures.metric_names import Metric, shown_in
from diabolo.report.collect import CUT_OFF, Run
from diabolo.report.fold import Folded, fold, grouped
from diabolo.report.names import Names
from diabolo.report.numbers import figure, with_unit
from diabolo.runs.identity import measured_on

ENOUGH = 1.05  # "within 5 % of the best"
LATE = 2.0  # the last epoch's error over the best epoch's from which on a run counts as diverged
MOST_NAMED = 5  # runs named in one sentence


def say(runs: Sequence[Run]) -> list[str]:
    """What there is to say about the runs, a sentence each, of figures only that stand in the table."""
    names = Names(runs)
    return [
        *_counts(runs),
        *_figures(runs, names),
        *_switches(runs, names),
        *_failed(runs, names),
        *_cut_off(runs, names),
        *_broken(runs, names),
    ]


def _counts(runs: Sequence[Run]) -> list[str]:
    states = [f"{len(list(same))} {state}" for state, same in groupby(sorted(run.state for run in runs))]
    rows = fold(runs)
    seeds = f", {_count(len(rows), 'setting')}" if len(rows) < len(runs) else ""
    said = [f"{len(runs)} runs{seeds}: {', '.join(states)}." if len(runs) != 1 else f"1 run: {runs[0].state}."]
    if repeated := sum(len(row.repeated) for row in rows):
        was = "was" if repeated == 1 else "were"
        said.append(
            f"{_count(repeated, 'run')} {was} repeated later with the same settings and seed; only the latest counts."
        )
    return said


def _figures(runs: Sequence[Run], names: Names) -> list[str]:
    """What can be compared: the runs measured on the same images, one set of images after the other."""
    sets = grouped((run for run in runs if run.state == "done"), lambda run: measured_on(run.config))
    said = []
    for alike in sets:
        rows = fold(alike)
        images = f"On {_images(alike[0])}: " if len(sets) > 1 else ""
        sentences = [*_best(rows, names), *_enough(rows), *_pca(rows, names)]
        said += [f"{images}{sentence}" for sentence in sentences]
    if len(sets) > 1:
        said.insert(0, f"The runs are measured on {len(sets)} different sets of images; only runs on the same compare.")
    return said


def _images(run: Run) -> str:
    shape = run.config.get("data.image_shape") or []
    size = "x".join(map(str, shape)) if isinstance(shape, list) else str(shape)
    return f"{run.groups.get('data', 'images')} {size}"


def _best(rows: list[Folded], names: Names) -> list[str]:
    """The best of each metric, one sentence for metrics that agree; chosen on validation where every run has that."""
    best: dict[tuple[int, str], list[Metric]] = {}
    for metric in shown_in("words"):
        measured = [row for row in rows if row.values(metric.key)]
        if len(measured) < 2:
            continue
        split = "val" if all(row.values(f"val/{metric.name}") for row in measured) else "test"
        pick = max if metric.better == "max" else min
        means = [row.mean(f"{split}/{metric.name}") or 0.0 for row in measured]
        winner = measured[means.index(pick(means))]
        best.setdefault((rows.index(winner), split), []).append(metric)
    how = {"val": "chosen on validation images, measured on test images", "test": "chosen and measured on test images"}
    return [
        f"Best {_and([metric.title for metric in metrics])} ({how[split]}): {names.setting(rows[i])}, with "
        + _and([f"{metric.title} {_shown(rows[i], metric.key)}" for metric in metrics])
        + (f" over {rows[i].n} seeds." if rows[i].n > 1 else ".")
        for (i, split), metrics in best.items()
    ]


def _enough(rows: list[Folded]) -> list[str]:
    """The smallest code whose test MSE comes within 5 % of the lowest."""
    measured = [(row.code_size, mse) for row in rows if (mse := row.mean("test/mse")) is not None and row.code_size]
    sizes = {size for size, _ in measured}
    if len(sizes) < 2:
        return []
    lowest = min(mse for _, mse in measured)
    size, mse = min((size, mse) for size, mse in measured if mse <= ENOUGH * lowest)
    return [
        f"The smallest bottleneck within 5 % of the lowest test MSE ({figure(lowest)}) is {size} ({figure(mse)})"
        + (", the largest that was tried: larger ones may still be better." if size == max(sizes) else ".")
    ]


def _pca(rows: list[Folded], names: Names) -> list[str]:
    """Where PCA of the same size has the lower test MSE: for single settings, and for all of a size."""
    pairs = [
        (row, mse, pca)
        for row in rows
        if (mse := row.mean("test/mse")) is not None and (pca := row.mean("test/pca_mse")) is not None
    ]
    if not pairs:
        return []
    beaten = [(row, mse, pca) for row, mse, pca in pairs if pca < mse]
    if not beaten:
        every = "Every network has" if len(pairs) > 1 else "The network has"
        return [f"{every} a lower test MSE than PCA of its own size."]
    lost = [
        size
        for size in sorted({row.code_size for row, _, _ in pairs if row.code_size is not None})
        if all(pca < mse for row, mse, pca in pairs if row.code_size == size)
    ]
    said = []
    if lost:
        at = f"At bottleneck size{'s' * (len(lost) > 1)} {_and([str(size) for size in lost])}"
        said.append(f"{at}, PCA has a lower test MSE than every run.")
    rest = [one for one in beaten if one[0].code_size not in lost]
    if rest:
        named = [f"{names.setting(row)} ({figure(mse)}, PCA {figure(pca)})" for row, mse, pca in rest[:MOST_NAMED]]
        said.append(f"PCA of the same size has a lower test MSE than {_list(named, len(rest))}.")
    return said


def _switches(runs: Sequence[Run], names: Names) -> list[str]:
    """Whose figures are not those of the code alone, since switches go from encoder to decoder beside it."""
    rows = [row for row in fold(run for run in runs if run.state == "done") if row.values("switches")]
    return [
        f"{names.setting(row)} decodes more than its code: also the positions of {row.mean('switches'):,.0f} maxima in"
        f" the encoder's pooling layers. From the code alone its test MSE is {_shown(row, 'test/mse_of_code_alone')},"
        f" not {_shown(row, 'test/mse')}."
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
    named = _list(cut[:MOST_NAMED], len(cut))
    return [f"Cut off or stopped: {named}. To continue a run, type diabolo train and its folder."]


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
            said.append(f"{_list(faulty[:MOST_NAMED], len(faulty))} {one if len(faulty) == 1 else several}.")
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


def _shown(row: Folded, key: str) -> str:
    return with_unit(key, row.mean(key) or 0.0, row.deviation(key))


def _count(count: int, noun: str) -> str:
    return f"{count} {noun}{'s' * (count != 1)}"


def _and(words: list[str]) -> str:
    return f"{', '.join(words[:-1])} and {words[-1]}" if len(words) > 1 else words[0]


def _list(named: list[str], count: int) -> str:
    """The first few of `count` things, and how many more."""
    return f"{', '.join(named)} and {count - len(named)} more" if count > len(named) else _and(named)
