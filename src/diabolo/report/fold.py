"""Brings runs together that differ in their seed alone."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from statistics import fmean, stdev
from typing import Any, TypeVar

from diabolo.report.collect import Run
from diabolo.runs.identity import plain

Item = TypeVar("Item")


@dataclass
class Folded:
    """Runs of the same settings and state, one for each seed; `first` is asked for what they share."""

    runs: list[Run]
    repeated: list[Run] = field(default_factory=list)  # earlier runs of the same settings and seed; they do not count

    @property
    def first(self) -> Run:
        return self.runs[0]

    @property
    def n(self) -> int:
        return len(self.runs)

    @property
    def code_size(self) -> int | None:
        return self.first.code_size

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


def fold(runs: Iterable[Run]) -> list[Folded]:
    """Brings runs together that differ only in `seed`, in the order of the first of each. Of runs that do not differ at
    all, only the latest counts."""
    rows = []
    for alike in grouped(runs, lambda run: (frozenset(run.settings.items()), run.state)):
        latest = {plain(run.get("seed")): run for run in sorted(alike, key=lambda run: run.started)}
        counting = [run for run in alike if run is latest[plain(run.get("seed"))]]
        rows.append(Folded(counting, [run for run in alike if all(run is not one for one in counting)]))
    return rows


def grouped(items: Iterable[Item], key: Callable[[Item], Hashable]) -> list[list[Item]]:
    """Groups of items with the same key, in the order of the first item of each."""
    together: dict[Hashable, list[Item]] = {}
    for item in items:
        together.setdefault(key(item), []).append(item)
    return list(together.values())
