"""The plot of the learning curves: a curve for each run."""

from __future__ import annotations

from typing import Any, TypeGuard

import numpy as np
from matplotlib.ticker import MaxNLocator

from diabolo.report.collect import Run, is_figure
from diabolo.report.figures import Plot, decades, empty_axes, legend
from diabolo.report.lines import LEAST, Value
from diabolo.report.looks import Looks
from diabolo.report.marks import Mark, part_id

MOST_POINTS = 12_000  # of all learning curves together


def learning_curves(looks: Looks) -> Plot | None:
    """A curve for each run that kept its history, or None."""
    curves = [(look, run, *curve) for line, look in looks.items() for run in line.runs if (curve := _curve(run))[1]]
    if not curves:
        return None
    most = max(16, MOST_POINTS // len(curves))
    marks: list[Mark] = []
    opacity = max(0.35, min(0.9, 20 / len(curves)))
    with empty_axes() as (figure, axes):
        for place, (look, run, validated, measured) in enumerate(curves):
            few = _thinned(measured, most)
            xs, ys = zip(*few, strict=True)
            dashes, marker, depth = "-" if validated else "--", "." if len(xs) == 1 else "", 3 if look.front else 2
            drawn: Any = {"color": look.colour, "alpha": opacity, "lw": 1.2, "ls": dashes, "marker": marker}
            axes.plot(xs, ys, zorder=depth, gid=part_id("curve", place), **drawn)
            values = [[Value(run, run.code_size or 0, x, y)] for x, y in few]
            marks.append(Mark("curve", "" if validated else "training loss", look.on_page, values))
        for look in dict.fromkeys(look for look, *_ in curves if look.label):
            axes.plot([], [], color=look.colour, label=look.label)
        everything = sorted(y for *_, measured in curves for _, y in measured)
        middle = everything[len(everything) // 2]
        axes.set_yscale("log")
        axes.set_ylim(top=min(everything[-1] * 1.2, middle * 100))  # a diverged run must not flatten the others
        axes.set(xlabel="epoch", ylabel="validation MSE per pixel")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        decades(axes.yaxis, everything[0], min(everything[-1], middle * 100))
        legend(figure, axes)
    without = sum(not validated for _, _, validated, _ in curves)
    note = f"A curve for each of {len(curves)} runs." if len(curves) > 1 else "One run."
    note += f" Dashed: the training loss of {without} without validation." if without else ""
    return Plot("learning_curves", "Learning curves", note, figure, tuple(marks))


def _curve(run: Run) -> tuple[bool, list[tuple[float, float]]]:
    """Whether a run was validated, and its validation error, or else its training loss, by epoch."""
    validated = any("val/mse" in row for row in run.history)
    pairs = [(row.get("epoch"), row.get("val/mse" if validated else "train/loss")) for row in run.history]
    return validated, [(x, y) for x, y in pairs if _positive(x) and _positive(y)]


def _thinned(measured: list[tuple[float, float]], most: int) -> list[tuple[float, float]]:
    """At most `most` of the points, evenly spread, first and last among them."""
    if len(measured) <= most:
        return measured
    return [measured[round(place)] for place in np.linspace(0, len(measured) - 1, most)]


def _positive(value: Any) -> TypeGuard[float]:
    return is_figure(value) and value > LEAST
