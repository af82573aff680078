"""Plots of many runs: error against size and cost with PCA beside it, learning curves, error by class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter, FixedLocator, FormatStrFormatter, MaxNLocator, NullLocator

from diabolo.plotting import COLOURS, INK, STYLE
from diabolo.report.class_errors import error_by_class
from diabolo.report.collect import Run, is_figure
from diabolo.report.figures import Plot, decades, empty_axes, legend, png, svg, wrapped
from diabolo.report.lines import LEAST, PCA_ERROR, Line, Point, lines, points
from diabolo.report.table import unwritable_file

MARKERS = "osD^vPX*"
OTHER = "#8a8a8a"
MOST_NAMED = len(COLOURS)  # lines with a colour and a name of their own; beyond, the worse ones are grey
MOST_POINTS = 12_000  # of all learning curves together


@dataclass(frozen=True)
class Look:
    """How a line is drawn."""

    colour: str
    marker: str
    label: str
    front: bool


Looks = dict[Line, Look]


def plots(runs: Sequence[Run]) -> list[Plot]:
    """All plots for which the runs have numbers."""
    found = lines(runs)
    looks = dict(zip(found, _looks(found), strict=True))
    with rc_context(STYLE):
        drawn = [
            _error_by_size(looks),
            _error_by(looks, "error_by_compression", "Error against compression", "compression_ratio", "pixels : code"),
            _error_by(looks, "error_by_parameters", "Error against parameters", "parameters", "parameters"),
            _error_by(looks, "error_by_seconds", "Error against training time", "seconds", "training time (s)"),
            _learning_curves(looks),
            error_by_class(runs),
        ]
    return [plot for plot in drawn if plot is not None]


def write_plots(runs: Sequence[Run], folder: Path) -> list[Path]:
    """Writes every plot as PNG and SVG, on white, and returns the files.

    Raises:
        UserError: the folder cannot be written.
    """
    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for plot in plots(runs):
            for path, content in ((f"{plot.name}.png", png(plot)), (f"{plot.name}.svg", svg(plot).encode())):
                (folder / path).write_bytes(content)
                written.append(folder / path)
    except OSError as failure:
        raise unwritable_file(folder, failure) from failure
    return written


def pca_points(found: Sequence[Line], x_key: str | None = None) -> list[Point]:
    """PCA's error by code size, from what the runs measured."""
    return points(Line("PCA", "", tuple(row for line in found for row in line.rows)), x_key, PCA_ERROR)


def pca_wins(found: Sequence[Line]) -> list[int]:
    """The sizes at which PCA's error is below the mean error of every line that has that size."""
    wins = []
    for baseline in pca_points(found):
        there = [point.mean for line in found for point in points(line) if point.size == baseline.size]
        if there and baseline.mean < min(there):
            wins.append(baseline.size)
    return wins


# ---- the plots ----


def _error_by_size(looks: Looks) -> Plot | None:
    with empty_axes() as (figure, axes):
        if not _draw_lines(axes, looks, None):
            return None
        sizes = sorted({point.size for line in looks for point in points(line)})
        verdicts, measured = [], False
        for data, alike in _by_data(looks).items():
            baseline, wins = pca_points(alike), pca_wins(alike)
            measured |= bool(baseline)
            _draw_pca(axes, baseline, wins, data)
            if wins:
                verdicts.append(f"PCA lies lower at size {', '.join(map(str, wins))}{data and f' ({data})'}")
        axes.set(xlabel="code size", ylabel="test MSE per pixel")
        if len(sizes) <= 12:
            axes.xaxis.set_major_locator(FixedLocator(sizes))
            axes.xaxis.set_major_formatter(FormatStrFormatter("%g"))
            axes.xaxis.set_minor_locator(NullLocator())
        legend(figure, axes)
    note = "A line is the mean over seeds, a band reaches from the best to the worst seed."
    verdict = "; ".join(verdicts) or ("PCA lies lower at no size" if measured else "")
    return Plot("error_by_size", "Error against code size", f"{note} {verdict}.".replace(" .", ""), figure)


def _error_by(looks: Looks, name: str, title: str, key: str, label: str) -> Plot | None:
    with empty_axes() as (figure, axes):
        if not _draw_lines(axes, looks, key):
            return None
        if key == "compression_ratio":
            for data, alike in _by_data(looks).items():
                _draw_pca(axes, pca_points(alike, key), [], data)
        axes.set(xlabel=label, ylabel="test MSE per pixel")
        legend(figure, axes)
    joined = "" if key == "seconds" else " A line joins the code sizes."
    return Plot(name, title, f"Each point is a code size, the mean over seeds.{joined}", figure)


def _learning_curves(looks: Looks) -> Plot | None:
    curves = [(look, *curve) for line, look in looks.items() for run in line.runs if (curve := _curve(run))[1]]
    if not curves:
        return None
    most = max(16, MOST_POINTS // len(curves))
    opacity = max(0.35, min(0.9, 20 / len(curves)))
    with empty_axes() as (figure, axes):
        for look, validated, measured in curves:
            xs, ys = zip(*_thinned(measured, most), strict=True)
            dashes, marker, depth = "-" if validated else "--", "." if len(xs) == 1 else "", 3 if look.front else 2
            axes.plot(xs, ys, color=look.colour, alpha=opacity, lw=1.2, ls=dashes, marker=marker, zorder=depth)
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
    without = sum(not validated for _, validated, _ in curves)
    note = f"A curve for each of {len(curves)} runs." if len(curves) > 1 else "One run."
    note += f" Dashed: the training loss of {without} without validation." if without else ""
    return Plot("learning_curves", "Learning curves", note, figure)


# ---- what they share ----


def _looks(found: Sequence[Line]) -> list[Look]:
    """Colours for the lines; where there are too many, for the best."""
    named = sorted(sorted(found, key=lambda line: line.best)[:MOST_NAMED], key=found.index)
    others = f"{len(found) - len(named)} others"
    return [
        Look(COLOURS[named.index(line)], MARKERS[named.index(line)], wrapped(line.name), True)
        if line in named
        else Look(OTHER, ".", others, False)
        for line in found
    ]


def _by_data(looks: Looks) -> dict[str, list[Line]]:
    """The lines of each choice of data, which have PCA's line in common."""
    return {data: [line for line in looks if line.data == data] for data in sorted({line.data for line in looks})}


def _draw_lines(axes: Axes, looks: Looks, x_key: str | None) -> bool:
    """Draws the lines on log axes; says whether there was any."""
    drawn = {line: found for line in looks if (found := points(line, x_key))}
    said: set[str] = set()
    for line, found in drawn.items():
        _draw_line(axes, looks[line], found, x_key, labelled=looks[line].label not in said)
        said.add(looks[line].label)
    everything = [point for found in drawn.values() for point in found]
    if not everything:
        return False
    left, right = min(point.x for point in everything), max(point.x for point in everything)
    low, high = min(point.low for point in everything), max(point.high for point in everything)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(left / 1.25, right * 1.25)
    axes.set_ylim(low / 1.5, high * 1.3)  # the range of the runs: PCA may reach zero
    decades(axes.xaxis, left, right)
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    decades(axes.yaxis, low, high)
    return True


def _draw_line(axes: Axes, look: Look, found: Sequence[Point], x_key: str | None, labelled: bool) -> None:
    """A line with its band. What is measured anew in each run, as seconds are, gives points and no line."""
    xs, lows, highs = [p.x for p in found], [p.low for p in found], [p.high for p in found]
    axes.plot(
        xs,
        [p.mean for p in found],
        color=look.colour,
        marker=look.marker,
        ms=5,
        lw=1.8 if look.front else 0.8,
        ls="" if x_key == "seconds" else "-",
        label=look.label if labelled else "_",
        zorder=3 if look.front else 2,
    )
    if x_key is None and any(p.count > 1 for p in found):
        axes.fill_between(xs, lows, highs, color=look.colour, alpha=0.2, lw=0)
        if len(found) == 1:
            axes.vlines(xs, lows, highs, color=look.colour, alpha=0.5)


def _draw_pca(axes: Axes, found: Sequence[Point], wins: Sequence[int], data: str) -> None:
    if not found:
        return
    name = wrapped(f"PCA {data}".strip())
    axes.plot([p.x for p in found], [p.mean for p in found], color=INK, ls="--", lw=1.5, label=name, zorder=4)
    if won := [p for p in found if p.size in wins]:
        xs, ys = [p.x for p in won], [p.mean for p in won]
        axes.plot(xs, ys, ls="", marker="o", ms=11, mfc="none", mec=INK, label="PCA lies lower", zorder=5)
    floor = axes.get_ylim()[0]
    if seen := [p.mean for p in found if p.mean > floor / 20]:
        axes.set_ylim(min(floor, min(seen) / 1.3), max(axes.get_ylim()[1], max(seen) * 1.3))
        decades(axes.yaxis, *axes.get_ylim())


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
