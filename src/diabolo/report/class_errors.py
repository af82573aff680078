"""The plot of the error by class: a row a run, a column a class."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from diabolo.report.collect import Run, is_figure
from diabolo.report.evidence import per_image
from diabolo.report.figures import Plot, wrapped
from diabolo.report.lines import ERROR, Value, best_by_size
from diabolo.report.marks import Mark, part_id
from diabolo.report.names import Names
from diabolo.runs.safe_reading import Unreadable

MOST_ROWS = 12


def error_by_class(runs: Sequence[Run]) -> Plot | None:
    """The mean error in colour and number, of the best runs that recorded the errors of single images."""
    having = [run for run in runs if (run.path / "per_image.npz").is_file()]
    best = sorted(best_by_size(having, MOST_ROWS), key=lambda run: run.number(ERROR) or 0)
    names = Names(runs)
    rows = [(run, means) for run in best if (means := _class_means(run))]
    if not rows:
        return None
    labels = [wrapped(names.run(run), 40) for run, _ in rows]
    classes = sorted({label for _, means in rows for label in means})
    table = np.array([[means.get(label, math.nan) for label in classes] for _, means in rows])
    height = 0.12 + 0.13 * max(name.count("\n") + 1 for name in labels)  # inches
    figure = Figure(figsize=(6.4, 1.2 + height * len(rows)), layout="constrained")
    axes = figure.add_subplot()
    axes.grid(False)
    shades = np.log10(np.maximum(table, min(table[table > 0], default=1)))  # an error of 0 is as dark as the smallest
    axes.imshow(shades, cmap="cividis", aspect="auto")
    axes.set_yticks(range(len(rows)), labels, fontsize=8)
    for place, label in enumerate(axes.get_yticklabels()):
        label.set_gid(part_id("row", place))
    every = max(1, len(classes) // 15)
    axes.set_xticks(range(0, len(classes), every), [str(label) for label in classes[::every]])
    axes.set(xlabel="class")
    axes.spines[:].set_visible(False)
    if len(classes) <= 12:
        _write_values(axes, table, shades)
    note = "Test MSE per pixel times 1,000, the mean over the images of a class. Brighter is worse."
    marks = [_mark(run, means, classes, place, names.run(run)) for place, (run, means) in enumerate(rows)]
    return Plot("error_by_class", "Error by class", note, figure, tuple(marks))


def _mark(run: Run, means: Mapping[int, float], classes: Sequence[int], place: int, name: str) -> Mark:
    there = [(column, label) for column, label in enumerate(classes) if label in means]
    points = [[Value(run, run.code_size or 0, column, place)] for column, _ in there]
    return Mark("row", name, "", points, [f"class {label}: {means[label]:.4g}" for _, label in there])


def _class_means(run: Run) -> dict[int, float]:
    """The mean squared error of each class, where the run recorded those of single images and they have labels."""
    try:
        read = per_image(run.path)
    except Unreadable:
        return {}
    if read is None:
        return {}
    errors, labels = read[1]["mse"], read[1]["labels"]
    means = {int(label): float(errors[labels == label].mean(dtype=np.float64)) for label in np.unique(labels)}
    return {label: mean for label, mean in means.items() if label >= 0 and is_figure(mean) and mean >= 0}


def _write_values(axes: Axes, table: np.ndarray, shades: np.ndarray) -> None:
    """The values times 1,000 on the fields of a table, white on dark ones; nothing where a run lacks a class."""
    middle = (np.nanmin(shades) + np.nanmax(shades)) / 2
    for (row, column), value in np.ndenumerate(table):
        if not math.isnan(value):
            colour = "#ffffff" if shades[row, column] < middle else "#010101"
            axes.text(column, row, f"{1000 * value:.3g}", ha="center", va="center", fontsize=8, color=colour)
