"""The lines of the plots: runs that differ in code size and seed alone, a point for each size."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from diabolo.report.collect import Run
from diabolo.report.fold import Folded, fold, grouped
from diabolo.report.names import Names

SIZE = re.compile("[0-9]{1,9}")
LEAST = 1e-100  # a smaller figure is damage, and the axes could not take it
ERROR, PCA_ERROR = "test/mse", "test/pca_mse"


@dataclass(frozen=True, eq=False)
class Line:
    """Folded runs at several code sizes. `data` says what of their data differs from that of other lines."""

    name: str
    data: str
    rows: tuple[Folded, ...]

    @property
    def runs(self) -> list[Run]:
        return [run for row in self.rows for run in row.runs]

    @property
    def best(self) -> float:
        """The smallest error, infinite where none was measured."""
        return min((error for row in self.rows for error in row.values(ERROR)), default=math.inf)


@dataclass(frozen=True)
class Value:
    """What one run has at one code size."""

    run: Run
    size: int
    x: float
    y: float


@dataclass(frozen=True)
class Point:
    """The runs of one code size on a line: mean, smallest and largest over their seeds."""

    values: tuple[Value, ...]

    @property
    def size(self) -> int:
        return self.values[0].size

    @property
    def x(self) -> float:
        return fmean(value.x for value in self.values)

    @property
    def mean(self) -> float:
        return fmean(value.y for value in self.values)

    @property
    def low(self) -> float:
        return min(value.y for value in self.values)

    @property
    def high(self) -> float:
        return max(value.y for value in self.values)

    @property
    def count(self) -> int:
        return len(self.values)


def lines(runs: Sequence[Run]) -> list[Line]:
    """The lines on which the runs lie, in the order of their settings."""
    names = Names(runs)
    rows = sorted(fold(runs), key=names.place)
    return [Line(names.line(alike[0]), names.data(alike[0]), tuple(alike)) for alike in grouped(rows, names.line)]


def points(line: Line, x_key: str | None = None, y_key: str = ERROR) -> list[Point]:
    """A line's points by code size; x is the mean of `x_key` over the seeds, or the size itself: a nested run then has
    a point for each of its sizes."""
    measured = [value for run in line.runs for value in _measured(run, x_key, y_key)]
    measured.sort(key=lambda value: (value.size, value.x, value.y))
    return [Point(tuple(alike)) for alike in grouped(measured, lambda value: value.size)]


def _measured(run: Run, x_key: str | None, y_key: str) -> list[Value]:
    """A run's values, one for each of its sizes; log axes show only what is above 0."""
    errors = {run.code_size: run.number(y_key)}
    if x_key is None:
        at = f"{y_key}_at/"
        found = ((key.removeprefix(at), key) for key in run.metrics if key.startswith(at))
        errors |= {int(size): run.number(key) for size, key in found if SIZE.fullmatch(size)}
    measured = []
    for size, y in errors.items():
        x = size if x_key is None else run.number(x_key)
        if size is not None and x is not None and y is not None and x > LEAST and y > LEAST:
            measured.append(Value(run, size, float(x), y))
    return measured


def best_by_size(runs: Iterable[Run], most: int) -> list[Run]:
    """At most `most` measured runs, the best of each line and size: of each size the best line first, then of each size
    the second best, and so on."""
    measured = [
        (run.code_size, run.number(ERROR) or 0.0, line.name, run)
        for line in lines(list(runs))
        for run in line.runs
        if run.code_size is not None and run.number(ERROR) is not None
    ]
    measured.sort(key=lambda one: one[1])
    best = [alike[0] for alike in grouped(measured, lambda one: (one[2], one[0]))]
    ranked = [(rank, one) for alike in grouped(best, lambda one: one[0]) for rank, one in enumerate(alike)]
    ranked.sort(key=lambda entry: (entry[0], entry[1][1]))
    return [one[3] for _, one in ranked[:most]]
