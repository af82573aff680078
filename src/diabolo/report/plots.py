"""Plots of many runs: error against size and cost with PCA beside it, learning curves, error by class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter, FixedLocator, FormatStrFormatter, NullLocator

from diabolo.plotting import INK, STYLE
from diabolo.report.class_errors import error_by_class
from diabolo.report.collect import Run
from diabolo.report.curves import learning_curves
from diabolo.report.figures import Plot, decades, empty_axes, legend, png, svg, wrapped
from diabolo.report.lines import PCA_ERROR, Line, Point, lines, points
from diabolo.report.looks import Look, Looks, looks
from diabolo.report.marks import Mark, part_id
from diabolo.report.table import unwritable_file


def plots(runs: Sequence[Run]) -> list[Plot]:
    """All plots for which the runs have numbers."""
    found = looks(lines(runs))
    with rc_context(STYLE):
        drawn = [
            _error_by_size(found),
            _error_by(found, "error_by_compression", "Error against compression", "compression_ratio", "pixels : code"),
            _error_by(found, "error_by_parameters", "Error against parameters", "parameters", "parameters"),
            _error_by(found, "error_by_seconds", "Error against training time", "seconds", "training time (s)"),
            learning_curves(found),
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
        marks = _draw_lines(axes, looks, None)
        if not marks:
            return None
        sizes = sorted({point.size for line in looks for point in points(line)})
        verdicts, measured = [], False
        for data, alike in _by_data(looks).items():
            baseline, wins = pca_points(alike), pca_wins(alike)
            measured |= bool(baseline)
            marks += _draw_pca(axes, baseline, wins, data)
            if wins:
                at = f"{', '.join(map(str, wins))}{data and f' ({data})'}"
                verdicts.append(f"By the means alone, PCA lies lower at size {at}")
        axes.set(xlabel="code size", ylabel="test MSE per pixel")
        if len(sizes) <= 12:
            axes.xaxis.set_major_locator(FixedLocator(sizes))
            axes.xaxis.set_major_formatter(FormatStrFormatter("%g"))
            axes.xaxis.set_minor_locator(NullLocator())
        legend(figure, axes)
    seeds = any(point.count > 1 for line in looks for point in points(line))
    dots = ", a small dot a single run" if seeds else ""
    note = f"A line is the mean over seeds, a band reaches from the best to the worst seed{dots}."
    verdict = "; ".join(verdicts) or ("By the means alone, PCA lies lower at no size" if measured else "")
    return Plot(
        "error_by_size", "Error against code size", f"{note} {verdict}.".replace(" .", ""), figure, tuple(marks)
    )


def _error_by(looks: Looks, name: str, title: str, key: str, label: str) -> Plot | None:
    with empty_axes() as (figure, axes):
        marks = _draw_lines(axes, looks, key)
        if not marks:
            return None
        if key == "compression_ratio":
            for data, alike in _by_data(looks).items():
                marks += _draw_pca(axes, pca_points(alike, key), [], data)
        axes.set(xlabel=label, ylabel="test MSE per pixel")
        legend(figure, axes)
    joined = "" if key == "seconds" else " A line joins the code sizes."
    return Plot(name, title, f"Each point is a code size, the mean over seeds.{joined}", figure, tuple(marks))


# ---- what they share ----


def _by_data(looks: Looks) -> dict[str, list[Line]]:
    """The lines of each choice of data, which have PCA's line in common."""
    return {data: [line for line in looks if line.data == data] for data in sorted({line.data for line in looks})}


def _draw_lines(axes: Axes, looks: Looks, x_key: str | None) -> list[Mark]:
    """Draws the lines on log axes, and says what was drawn."""
    drawn = {line: found for line in looks if (found := points(line, x_key))}
    marks: list[Mark] = []
    for place, (line, found) in enumerate(drawn.items()):
        look = looks[line]
        said = any(looks[other].label == look.label for other in list(drawn)[:place])
        _draw_line(axes, look, found, x_key, place, look.label if not said else "_")
        marks.append(Mark("line", line.name, look.on_page, [point.values for point in found]))
    everything = [point for found in drawn.values() for point in found]
    if not everything:
        return []
    left, right = min(point.x for point in everything), max(point.x for point in everything)
    low, high = min(point.low for point in everything), max(point.high for point in everything)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(left / 1.25, right * 1.25)
    axes.set_ylim(low / 1.5, high * 1.3)  # the range of the runs: PCA may reach zero
    decades(axes.xaxis, left, right)
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    decades(axes.yaxis, low, high)
    return marks


def _draw_line(axes: Axes, look: Look, found: Sequence[Point], x_key: str | None, place: int, label: str) -> None:
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
        label=label,
        zorder=3 if look.front else 2,
        gid=part_id("mean", place),
    )
    if x_key is None and any(p.count > 1 for p in found):
        axes.fill_between(xs, lows, highs, color=look.colour, alpha=0.2, lw=0, gid=part_id("band", place))
        if len(found) == 1:
            axes.vlines(xs, lows, highs, color=look.colour, alpha=0.5, gid=part_id("band", place, 1))
        values = [value for p in found for value in p.values]
        dots: Any = {"color": look.colour, "alpha": 0.6, "zorder": 2, "gid": part_id("dots", place)}
        axes.plot([v.x for v in values], [v.y for v in values], ls="", marker=".", ms=4, label="_", **dots)


def _draw_pca(axes: Axes, found: Sequence[Point], wins: Sequence[int], data: str) -> list[Mark]:
    if not found:
        return []
    name = wrapped(f"PCA {data}".strip())
    axes.plot([p.x for p in found], [p.mean for p in found], color=INK, ls="--", lw=1.5, label=name, zorder=4)
    if won := [p for p in found if p.size in wins]:
        xs, ys = [p.x for p in won], [p.mean for p in won]
        ring: Any = {
            "ls": "",
            "marker": "o",
            "ms": 11,
            "mfc": "none",
            "mec": INK,
            "gid": part_id("verdict", 0, len(axes.lines)),
        }
        axes.plot(xs, ys, label="PCA lies lower", zorder=5, **ring)
    floor = axes.get_ylim()[0]
    if seen := [p.mean for p in found if p.mean > floor / 20]:
        axes.set_ylim(min(floor, min(seen) / 1.3), max(axes.get_ylim()[1], max(seen) * 1.3))
        decades(axes.yaxis, *axes.get_ylim())
    return [Mark("baseline", name, "currentColor", [[replace(p.values[0], x=p.x, y=p.mean)] for p in found])]
