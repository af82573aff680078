"""Plots of many runs: error against size and cost with PCA beside it, learning curves, error by class."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, FixedLocator, FormatStrFormatter, NullLocator

from diabolo.plotting import COLOURS, INK, STYLE
from diabolo.report.collect import Run
from diabolo.report.figures import Plot, brief, decades, empty_axes, legend, png, svg
from diabolo.report.series import ERROR, PCA_ERROR, Point, Series, best_by_size, folded, series, size

MARKERS = "osD^vPX*"
OTHER = "#8a8a8a"
MOST_NAMED = len(COLOURS)  # series with a colour and a name of their own; beyond, the worse ones are grey
MOST_POINTS = 12_000  # of all learning curves together
MOST_CLASS_ROWS = 12


@dataclass(frozen=True)
class Look:
    """How a series is drawn."""

    colour: str
    marker: str
    label: str
    front: bool


def plots(runs: Sequence[Run]) -> list[Plot]:
    """All plots for which the runs have numbers."""
    lines = series(runs)
    looks = dict(zip(lines, _looks(lines), strict=True))
    with rc_context(STYLE):
        drawn = [
            _error_by_size(looks),
            _error_by(looks, "error_by_compression", "Error against compression", "compression_ratio", "pixels : code"),
            _error_by(looks, "error_by_parameters", "Error against parameters", "parameters", "parameters"),
            _error_by(looks, "error_by_seconds", "Error against training time", "seconds", "seconds of training"),
            _learning_curves(looks),
            _error_by_class(runs),
        ]
    return [plot for plot in drawn if plot is not None]


def write_plots(runs: Sequence[Run], folder: Path) -> list[Path]:
    """Writes every plot as PNG and SVG, on white, and returns the files."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for plot in plots(runs):
        for path, content in ((f"{plot.name}.png", png(plot)), (f"{plot.name}.svg", svg(plot).encode())):
            (folder / path).write_bytes(content)
            written.append(folder / path)
    return written


def pca_points(lines: Sequence[Series], x_key: str | None = None) -> list[Point]:
    """PCA's error by code size, from what the runs measured."""
    return folded(Series("PCA", "", tuple(run for one in lines for run in one.runs)), x_key, PCA_ERROR)


def pca_wins(lines: Sequence[Series]) -> list[float]:
    """The sizes at which PCA's error is below the mean error of every series that was trained at that size."""
    wins = []
    for baseline in pca_points(lines):
        there = [point.mean for one in lines for point in folded(one) if point.size == baseline.size]
        if there and baseline.mean < min(there):
            wins.append(baseline.size)
    return wins


# ---- the plots ----


def _error_by_size(looks: dict[Series, Look]) -> Plot | None:
    with empty_axes() as (figure, axes):
        if not _draw_series(axes, looks, None):
            return None
        sizes = sorted({point.size for one in looks for point in folded(one)})
        verdicts = []
        for data in sorted({one.data for one in looks}):
            lines = [one for one in looks if one.data == data]
            wins = pca_wins(lines)
            _draw_pca(axes, pca_points(lines), wins, data)
            if wins:
                verdicts.append(f"PCA is better at size {', '.join(f'{win:g}' for win in wins)}{data and f' ({data})'}")
        axes.set(xlabel="code size", ylabel="test MSE per pixel")
        if len(sizes) <= 12:
            axes.xaxis.set_major_locator(FixedLocator(sizes))
            axes.xaxis.set_major_formatter(FormatStrFormatter("%g"))
            axes.xaxis.set_minor_locator(NullLocator())
        legend(figure, axes)
    note = "Lines are means over seeds, bands reach from the best to the worst seed."
    verdict = "; ".join(verdicts) if verdicts else "PCA is better at no size"
    return Plot("error_by_size", "Error against code size", f"{note} {verdict}.", figure)


def _error_by(looks: dict[Series, Look], name: str, title: str, key: str, label: str) -> Plot | None:
    with empty_axes() as (figure, axes):
        if not _draw_series(axes, looks, key):
            return None
        if key == "compression_ratio":
            for data in sorted({one.data for one in looks}):
                _draw_pca(axes, pca_points([one for one in looks if one.data == data], key), [], data)
        axes.set(xlabel=label, ylabel="test MSE per pixel")
        legend(figure, axes)
    joined = "" if key == "seconds" else "; a line joins the sizes of a series"
    return Plot(name, title, f"A point a code size, the mean over seeds{joined}.", figure)


def _learning_curves(looks: dict[Series, Look]) -> Plot | None:
    curves: list[tuple[Look, bool, list[tuple[float, float]]]] = []
    for one, look in looks.items():
        for run in one.runs:
            validated = any("val/mse" in row for row in run.history)
            key = "val/mse" if validated else "train/loss"
            pairs = [(row.get("epoch"), row.get(key)) for row in run.history]
            kept = [(x, y) for x, y in pairs if _positive(x) and _positive(y)]
            if kept:
                curves.append((look, validated, kept))
    if not curves:
        return None
    most = max(16, MOST_POINTS // len(curves))
    opacity = max(0.35, min(0.9, 20 / len(curves)))
    with empty_axes() as (figure, axes):
        for look, validated, points in curves:
            xs, ys = zip(*_thinned(points, most), strict=True)
            dashes = "-" if validated else "--"
            marker = "." if len(xs) == 1 else ""
            axes.plot(
                xs,
                ys,
                color=look.colour,
                alpha=opacity,
                lw=1.2,
                ls=dashes,
                marker=marker,
                zorder=3 if look.front else 2,
            )
        for look in dict.fromkeys(look for look, *_ in curves if look.label):
            axes.plot([], [], color=look.colour, label=look.label)
        everything = sorted(y for *_, points in curves for _, y in points)
        middle = everything[len(everything) // 2]
        axes.set_yscale("log")
        axes.set_ylim(top=min(everything[-1] * 1.2, middle * 100))  # a diverged run must not flatten the others
        axes.set(xlabel="epoch", ylabel="validation MSE per pixel")
        decades(axes.yaxis, everything[0], min(everything[-1], middle * 100))
        legend(figure, axes)
    without = sum(not validated for _, validated, _ in curves)
    note = f"A curve a run, {len(curves)} in all." + (
        f" Dashed: the training loss of {without} without validation." if without else ""
    )
    return Plot("learning_curves", "Learning curves", note, figure)


def _error_by_class(runs: Sequence[Run]) -> Plot | None:
    """A row a run, a column a class, the mean error in colour and number."""
    having = [run for run in runs if (run.path / "per_image.npz").is_file()]
    rows: list[tuple[str, dict[int, float]]] = []
    names = {run.path: one.label for one in series(runs) for run in one.runs}
    for run in sorted(best_by_size(having, MOST_CLASS_ROWS), key=lambda run: run.number(ERROR) or 0):
        means = _class_means(run)
        if means:
            rows.append((brief(f"{names[run.path]} · {size(run):g}"), means))
    if not rows:
        return None
    classes = sorted({label for _, means in rows for label in means})
    table = np.array([[means.get(label, math.nan) for label in classes] for _, means in rows])
    figure = Figure(figsize=(6.4, 1.2 + 0.34 * len(rows)), layout="constrained")
    axes = figure.add_subplot()
    axes.grid(False)
    axes.imshow(np.log10(table), cmap="cividis", aspect="auto")
    axes.set_yticks(range(len(rows)), [name for name, _ in rows])
    every = max(1, len(classes) // 15)
    axes.set_xticks(range(0, len(classes), every), [str(label) for label in classes[::every]])
    axes.set(xlabel="class")
    axes.spines[:].set_visible(False)
    if len(classes) <= 12:
        low, high = np.nanmin(np.log10(table)), np.nanmax(np.log10(table))
        for (row, column), value in np.ndenumerate(table):
            dark = math.log10(value) < (low + high) / 2
            text = f"{1000 * value:.3g}"
            axes.text(column, row, text, ha="center", va="center", fontsize=8, color="#ffffff" if dark else "#010101")
    note = "Test MSE per pixel times 1,000, the mean over the images of a class; the brighter, the worse."
    return Plot("error_by_class", "Error by class", note, figure)


# ---- what they share ----


def _looks(lines: Sequence[Series]) -> list[Look]:
    """Colours for the series; where there are too many, for the best."""
    named = sorted(sorted(lines, key=lambda one: one.best)[:MOST_NAMED], key=lines.index)
    others = f"{len(lines) - len(named)} others"
    return [
        Look(COLOURS[named.index(one)], MARKERS[named.index(one)], brief(one.label), True)
        if one in named
        else Look(OTHER, ".", others, False)
        for one in lines
    ]


def _draw_series(axes: Axes, looks: dict[Series, Look], x_key: str | None) -> bool:
    """Draws the series on log axes; says whether there was any. What is measured anew in each run, as seconds are,
    gives no line."""
    joined = "" if x_key == "seconds" else "-"
    said: set[str] = set()
    low, high, everything = math.inf, 0.0, []
    for one, look in looks.items():
        points = folded(one, x_key)
        if not points:
            continue
        everything += [point.x for point in points]
        low, high = min(low, *(p.low for p in points)), max(high, *(p.high for p in points))
        xs, means = [p.x for p in points], [p.mean for p in points]
        named = look.label if look.label not in said else "_"
        said.add(look.label)
        depth, width = (3, 1.8) if look.front else (2, 0.8)
        axes.plot(
            xs, means, color=look.colour, marker=look.marker, ms=5, lw=width, ls=joined, label=named, zorder=depth
        )
        if x_key is None and any(p.count > 1 for p in points):
            lows, highs = [p.low for p in points], [p.high for p in points]
            axes.fill_between(xs, lows, highs, color=look.colour, alpha=0.2, lw=0)
            if len(points) == 1:
                axes.vlines(xs, lows, highs, color=look.colour, alpha=0.5)
    if not everything:
        return False
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(min(everything) / 1.25, max(everything) * 1.25)
    axes.set_ylim(low / 1.5, high * 1.3)  # the range of the runs: PCA may reach zero
    decades(axes.xaxis, min(everything), max(everything))
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    decades(axes.yaxis, low, high)
    return True


def _draw_pca(axes: Axes, points: list[Point], wins: list[float], data: str) -> None:
    if not points:
        return
    name = f"PCA{data and f' · {data}'}"
    axes.plot([p.x for p in points], [p.mean for p in points], color=INK, ls="--", lw=1.5, label=brief(name), zorder=4)
    won = [p for p in points if p.size in wins]
    if won:
        xs, ys = [p.x for p in won], [p.mean for p in won]
        axes.plot(xs, ys, ls="", marker="o", ms=11, mfc="none", mec=INK, label="PCA is better", zorder=5)
    floor = axes.get_ylim()[0]
    seen = [p.mean for p in points if p.mean > floor / 20]
    if seen:
        axes.set_ylim(min(floor, min(seen) / 1.3), max(axes.get_ylim()[1], max(seen) * 1.3))
        decades(axes.yaxis, *axes.get_ylim())


def _class_means(run: Run) -> dict[int, float]:
    """The mean squared error of each class, where the run kept its errors and its images have labels."""
    try:
        with np.load(run.path / "per_image.npz") as kept:
            errors, labels = kept["mse"], kept["labels"]
            return {int(label): float(errors[labels == label].mean()) for label in np.unique(labels) if label >= 0}
    except (OSError, ValueError, KeyError):
        return {}


def _thinned(points: list[tuple[float, float]], most: int) -> list[tuple[float, float]]:
    """At most `most` of the points, evenly spread, first and last among them."""
    if len(points) <= most:
        return points
    return [points[round(place)] for place in np.linspace(0, len(points) - 1, most)]


def _positive(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and math.isfinite(value) and value > 0
