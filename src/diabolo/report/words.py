"""The comparison in plain words: what is best, what is enough, where PCA is better, what is broken."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby

from diabolo.measures.yardstick import YARDSTICK, direction
from diabolo.report.collect import CUT_OFF, Run
from diabolo.report.fold import Folded, differing, fold, grouped, label
from diabolo.runs.identity import measured_on, plain

ENOUGH = 1.05  # "within 5 % of the best"
LATE = 2.0  # the last epoch's error over the best epoch's from which on a run counts as diverged
MOST_NAMED = 5  # runs named in one sentence


def say(runs: Sequence[Run]) -> list[str]:
    """What there is to say about the runs, a sentence each, of figures only that stand in the table."""
    return [*_counts(runs), *_figures(runs), *_helped(runs), *_unfinished(runs), *_broken(runs)]


def figure(value: float, deviation: float | None = None) -> str:
    """Four digits, with the standard deviation where there is one and it is not 0."""
    return f"{value:.4g}" + (f" ± {deviation:.2g}" if deviation else "")


def _counts(runs: Sequence[Run]) -> list[str]:
    states = [f"{len(list(same))} {state}" for state, same in groupby(sorted(run.state for run in runs))]
    rows = fold(runs)
    seeds = f", {len(rows)} settings" if len(rows) < len(runs) else ""
    said = [f"{len(runs)} runs{seeds}: {', '.join(states)}." if len(runs) != 1 else f"1 run: {runs[0].state}."]
    if repeated := sum(len(row.repeated) for row in rows):
        said.append(
            f"{_are(repeated, 'run')} of the same settings and seed as a later one, which counts in"
            f" {'its' if repeated == 1 else 'their'} place."
        )
    return said


def _figures(runs: Sequence[Run]) -> list[str]:
    """What can be compared: the runs measured on the same images, one set of images after the other."""
    sets = grouped((run for run in runs if run.state == "done"), lambda run: measured_on(run.config))
    said = []
    for alike in sets:
        columns = differing(runs)
        rows = fold(alike)
        name = f"On {_name_of(alike[0])}: " if len(sets) > 1 else ""
        sentences = [*_best(rows, columns), *_enough(rows), *_pca(rows, columns)]
        said += [f"{name}{sentence}" for sentence in sentences]
    if len(sets) > 1:
        said.insert(0, f"The runs are measured on {len(sets)} different sets of images; only runs on the same compare.")
    return said


def _name_of(run: Run) -> str:
    shape = run.config.get("data.image_shape") or []
    size = "x".join(map(str, shape)) if isinstance(shape, list) else str(shape)
    return f"{run.choices.get('data') or run.config.get('data.source._target_', 'images')} {size}"


def _best(rows: list[Folded], columns: list[str]) -> list[str]:
    """The best of each metric, one sentence for metrics that agree; chosen on validation where every run has that."""
    best: dict[tuple[int, str], list[str]] = {}
    for name in (*YARDSTICK, "accuracy"):
        measured = [row for row in rows if row.values(f"test/{name}")]
        if len(measured) < 2:
            continue
        ruled = "val" if all(row.values(f"val/{name}") for row in measured) else "test"
        pick = max if direction(name) == "max" else min
        means = [row.mean(f"{ruled}/{name}") or 0.0 for row in measured]
        winner = measured[means.index(pick(means))]
        best.setdefault((rows.index(winner), ruled), []).append(name)
    how = {"val": "chosen on validation, measured in test", "test": "chosen and measured in test"}
    return [
        f"Best {_and([_title(name) for name in names])} ({how[ruled]}): {label(rows[i].first, columns)}, with "
        + _and([f"{_title(name)} {_shown(rows[i], f'test/{name}')}" for name in names])
        + (f" over {rows[i].n} seeds." if rows[i].n > 1 else ".")
        for (i, ruled), names in best.items()
    ]


def _title(name: str) -> str:
    return name.upper() if name in YARDSTICK else name


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
        + (", the largest that was tried: larger ones may still gain." if size == max(sizes) else ".")
    ]


def _pca(rows: list[Folded], columns: list[str]) -> list[str]:
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
    by_size = {row.code_size for row, _, _ in pairs}
    lost = sorted(
        size
        for size in by_size
        if size is not None and all(pca < mse for row, mse, pca in pairs if row.code_size == size)
    )
    said = []
    if lost:
        said.append(
            f"At a bottleneck of {_and([str(size) for size in lost])}, PCA has a lower test MSE than every run."
        )
    rest = [one for one in beaten if one[0].code_size not in lost]
    if rest:
        named = [
            f"{label(row.first, columns)} ({figure(mse)}, PCA {figure(pca)})" for row, mse, pca in rest[:MOST_NAMED]
        ]
        said.append(f"PCA of the same size has a lower test MSE than {_list(named, len(rest))}.")
    return said


def _helped(runs: Sequence[Run]) -> list[str]:
    """Whose figures are not those of the code alone, since switches go from encoder to decoder beside it."""
    done = [run for run in runs if run.state == "done"]
    helped = [row for row in fold(done) if row.values("switches")]
    columns = differing(runs)
    return [
        f"{label(row.first, columns)} is decoded from its code and from the places of"
        f" {row.mean('switches'):,.0f} maxima in the encoder's poolings, which carry information too; of the code alone"
        f" its test MSE is {_shown(row, 'test/mse_of_code_alone')} instead of {_shown(row, 'test/mse')}."
        for row in helped[:MOST_NAMED]
    ]


def _unfinished(runs: Sequence[Run]) -> list[str]:
    columns = _columns(runs)
    said = [
        f"Failed: {label(run, columns)} ({' '.join(run.reason.split()).rstrip('.') or 'no reason is known'})."
        for run in runs
        if run.state == "failed"
    ][:MOST_NAMED]
    if (failed := sum(run.state == "failed" for run in runs)) > MOST_NAMED:
        said.append(f"{failed - MOST_NAMED} more failed.")
    cut = [run.name for run in runs if run.state in (CUT_OFF, "stopped")]
    if cut:
        said.append(f"Cut off or stopped, to be continued by diabolo train RUN: {_list(cut[:MOST_NAMED], len(cut))}.")
    return said


def _broken(runs: Sequence[Run]) -> list[str]:
    """Runs that are done and yet look broken."""
    done, columns = [run for run in runs if run.state == "done"], _columns(runs)
    ailments = (
        ("has no metrics although it is done", "have no metrics although they are done", lambda run: not run.metrics),
        (
            "gives the same output for every image",
            "give the same output for every image",
            lambda run: bool(run.number("output/constant")),
        ),
        ("has dead code units", "have dead code units", lambda run: bool(run.number("code/dead_units"))),
        ("diverged in training", "diverged in training", _diverged),
    )
    said = []
    for one, several, holds in ailments:
        ill = [label(run, columns) + (_dead(run) if "dead" in one else "") for run in done if holds(run)]
        if ill:
            said.append(f"{_list(ill[:MOST_NAMED], len(ill))} {one if len(ill) == 1 else several}.")
    return said


def _columns(runs: Sequence[Run]) -> list[str]:
    """What names a single run: the settings that differ, and the seed if there are several."""
    seeds = {plain(run.get("seed")) for run in runs}
    return [*differing(runs), *["seed"] * (len(seeds) > 1)]


def _dead(run: Run) -> str:
    return f" ({run.number('code/dead_units'):.0f} of {run.get('code_size')})"


def _diverged(run: Run) -> bool:
    """A final figure that is no finite number, or a validation error that ended at twice its lowest."""
    if any(isinstance(v, float) and not math.isfinite(v) for key, v in run.metrics.items() if key.endswith("/mse")):
        return True
    errors = [row["val/mse"] for row in run.history if isinstance(row.get("val/mse"), int | float)]
    return bool(errors) and not errors[-1] <= LATE * min(errors)


def _shown(row: Folded, key: str) -> str:
    return figure(row.mean(key) or 0.0, row.deviation(key))


def _are(count: int, noun: str) -> str:
    return f"{count} {noun} is" if count == 1 else f"{count} {noun}s are"


def _and(words: list[str]) -> str:
    return f"{', '.join(words[:-1])} and {words[-1]}" if len(words) > 1 else words[0]


def _list(named: list[str], count: int) -> str:
    """The first few of `count` things, and how many more."""
    return f"{', '.join(named)} and {count - len(named)} more" if count > len(named) else _and(named)
