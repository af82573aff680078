"""What tells runs apart: the settings in which they differ, and runs that differ in their seed alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from statistics import fmean, stdev
from typing import Any

from diabolo.report.collect import Run
from diabolo.report.settings import GROUPS
from diabolo.runs.identity import plain

PARTS = ("encoder", "decoder")  # chosen by `model` unless it is told otherwise


@dataclass
class Folded:
    """Runs of the same settings and state, one for each seed. One of them is the `first`."""

    runs: list[Run]
    repeated: list[Run] = field(default_factory=list)  # earlier runs of the same settings and seed; they do not count

    @property
    def first(self) -> Run:
        return self.runs[0]

    @property
    def n(self) -> int:
        return len(self.runs)

    def get(self, key: str) -> Any:
        return self.first.get(key)

    def values(self, key: str) -> list[float]:
        """The finite values of a metric."""
        return [value for run in self.runs if (value := run.number(key)) is not None]

    def mean(self, key: str) -> float | None:
        values = self.values(key)
        return fmean(values) if values else None

    def deviation(self, key: str) -> float | None:
        """The sample's standard deviation (n - 1); None for fewer than two runs."""
        values = self.values(key)
        return stdev(values) if len(values) > 1 else None

    @cached_property
    def code_size(self) -> int | None:
        size = self.first.number("code_size")
        size = self.first.number("bottleneck.size") if size is None else size
        return None if size is None else int(size)


def fold(runs: Iterable[Run]) -> list[Folded]:
    """Runs that differ only in `seed` brought together, in the order of the first of each; of runs that do not differ
    at all the latest counts."""
    rows = []
    for alike in grouped(runs, lambda run: (frozenset(run.settings.items()), run.state)):
        latest = {plain(run.get("seed")): run for run in sorted(alike, key=lambda run: run.started)}
        kept = [run for run in alike if run is latest[plain(run.get("seed"))]]
        rows.append(Folded(kept, [run for run in alike if all(run is not one for one in kept)]))
    return rows


def grouped(runs: Iterable[Run], key: Callable[[Run], Hashable]) -> list[list[Run]]:
    """Runs of the same key together, in the order of the first of each."""
    together: dict[Hashable, list[Run]] = {}
    for run in runs:
        together.setdefault(key(run), []).append(run)
    return list(together.values())


def differing(runs: Sequence[Run]) -> list[str]:
    """The settings in which the runs differ, groups first; without those that say nothing new.

    That is a key whose values are those of another one in every run, and one that follows from the chosen group: where
    `model=fc,lenet` is a column, the kernel that comes with each of them is none.
    """
    flats = [run.settings for run in runs]
    keys = sorted(dict.fromkeys(key for flat in flats for key in flat), key=_place)
    columns: dict[str, list[str]] = {}
    for key in keys:
        values = [flat.get(key, "") for flat in flats]
        if len(set(values)) < 2 or key.endswith("._partial_") or values in columns.values():
            continue
        if not any(_follows(values, columns[group]) for group in _groups_of(key) if group in columns):
            columns[key] = values
    return list(columns)


def label(run: Run, columns: Sequence[str]) -> str:
    """The run in the words of the command line, e.g. "bottleneck.size=25 loss=mae"; its name where nothing differs."""
    words = [f"{key}={plain(run.get(key))}" for key in columns if run.get(key) is not None]
    return " ".join(words) or run.name


def _groups_of(key: str) -> list[str]:
    """The groups whose choice may decide the value of a key."""
    group = key.partition(".")[0]
    return [group, "model"] if group in (*PARTS, "model") else [group]


def _place(key: str) -> tuple[bool, int]:
    """Groups before single keys, each in the order of `GROUPS`, so that `model.hidden` stands for `encoder.hidden`."""
    group = key.partition(".")[0]
    return key not in GROUPS, GROUPS.index(group) if group in GROUPS else len(GROUPS)


def _follows(values: list[str], deciding: list[str]) -> bool:
    return len(set(zip(deciding, values, strict=True))) == len(set(deciding))


def order_key(value: Any) -> tuple[int, float, str]:
    """A key by which numbers sort before words and what is missing last."""
    if value is None:
        return 2, 0.0, ""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return (2, 0.0, "") if math.isnan(value) else (0, float(value), "")
    return 1, 0.0, plain(value)
