"""Runs that differ by seed and code size alone: the lines of the plots and the captions of the pictures."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from diabolo.report.collect import Run
from diabolo.report.settings import GROUPS

ERROR, PCA_ERROR = "test/mse", "test/pca_mse"
SAID = ("bottleneck.size", "encoder._target_", "decoder._target_", "loss._target_")  # by size, family and loss


@dataclass(frozen=True, eq=False)
class Series:
    """Runs of one experiment at several code sizes and seeds."""

    label: str
    data: str  # what of their data differs from that of other runs
    runs: tuple[Run, ...]

    @property
    def best(self) -> float:
        """The smallest error, infinite where none was measured."""
        return min((error for run in self.runs if (error := run.number(ERROR)) is not None), default=math.inf)


@dataclass(frozen=True)
class Point:
    """The runs of one code size in a series, folded over their seeds: mean, smallest and largest."""

    size: float
    x: float
    mean: float
    low: float
    high: float
    count: int


def chosen(run: Run, group: str) -> str:
    """What was chosen in a config group: by the name of its yaml, or else by that of its class."""
    name = run.choices.get(group) or run.config.get(f"callbacks.hparams.params.{group}")
    if name is None:
        node = "data.source" if group == "data" else group
        cls = str(run.config.get(f"{node}.dataset", run.config.get(f"{node}._target_", ""))).rpartition(".")[2]
        name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", re.sub("(Encoder|Decoder|_images)$", "", cls)).lower()
    return str(name or "?")


def family(run: Run) -> str:
    """The pair of encoder and decoder in one word where they match, such as fc or conv_transpose."""
    encoder, decoder = chosen(run, "encoder"), chosen(run, "decoder")
    return decoder if decoder == encoder or decoder.startswith(f"{encoder}_") else f"{encoder} + {decoder}"


def size(run: Run) -> float | None:
    """How many numbers the code has."""
    measured = run.number("code_size")
    return run.number("bottleneck.size") if measured is None else measured


def series(runs: Sequence[Run]) -> list[Series]:
    """The runs by family, loss and whatever else differs between runs of the same family, loss and size, by label."""
    data_keys = [key for key in varying(runs) if key.startswith("data.")]
    others = [key for key in telling(runs) if key not in data_keys]
    found: dict[tuple[str, str], list[Run]] = defaultdict(list)
    for run in runs:
        label = " · ".join([family(run), chosen(run, "loss"), *spoken(run, others)])
        found[label, ", ".join(spoken(run, data_keys))].append(run)
    return [
        Series(" · ".join(filter(None, names)), names[1], tuple(members)) for names, members in sorted(found.items())
    ]


def folded(one: Series, x_key: str | None = None, y_key: str = ERROR) -> list[Point]:
    """A series' points by code size; x is the mean of `x_key` over the seeds, or the size itself: a nested run then has
    a point for each of its sizes."""
    measured = []
    for run in one.runs:
        errors = {size(run): run.number(y_key)}
        if x_key is None:
            errors |= {
                float(key.rpartition("/")[2]): run.number(key) for key in run.metrics if key.startswith(f"{y_key}_at/")
            }
        for place, y in errors.items():
            x = place if x_key is None else run.number(x_key)
            if place is not None and x is not None and y is not None and x > 0 and y > 0:
                measured.append((place, x, y))
    points = []
    for place, same in groupby(sorted(measured), key=lambda one: one[0]):
        _, xs, ys = zip(*same, strict=True)
        points.append(Point(place, sum(xs) / len(xs), sum(ys) / len(ys), min(ys), max(ys), len(ys)))
    return points


def best_by_size(runs: Iterable[Run], most: int) -> list[Run]:
    """At most `most` measured runs, the best of each family, loss and size: of each size the best family and loss
    first, then of each size the second best, and so on."""
    best: dict[tuple[str, float], Run] = {}
    for one in series(list(runs)):
        for run in one.runs:
            place, error = size(run), run.number(ERROR)
            if place is not None and error is not None:
                key = (one.label, place)
                if key not in best or error < (best[key].number(ERROR) or 0):
                    best[key] = run
    by_size: dict[float, list[Run]] = defaultdict(list)
    for run in sorted(best.values(), key=lambda run: run.number(ERROR) or 0):
        by_size[size(run) or 0].append(run)
    ranked = [(rank, run) for same in by_size.values() for rank, run in enumerate(same)]
    ranked.sort(key=lambda entry: (entry[0], entry[1].number(ERROR)))
    return [run for _, run in ranked[:most]]


def varying(runs: Sequence[Run]) -> list[str]:
    """The config keys among the settings in which the runs differ, without those that a series has for itself."""
    keys = sorted({key for run in runs for key in run.settings}.difference(GROUPS, SAID))
    return [key for key in keys if len({run.settings.get(key) for run in runs}) > 1]


def telling(runs: Sequence[Run]) -> list[str]:
    """The varying keys that tell runs of the same family, loss and size apart; of several that always vary together
    the shortest."""
    groups: dict[Any, list[Run]] = defaultdict(list)
    for run in runs:
        groups[family(run), chosen(run, "loss"), size(run)].append(run)
    found: dict[tuple[str | None, ...], str] = {}
    for key in sorted(varying(runs), key=lambda key: (not key.startswith(("model", "data")), len(key), key)):
        if any(len({run.settings.get(key) for run in same}) > 1 for same in groups.values()):
            found.setdefault(tuple(run.settings.get(key) for run in runs), key)
    return sorted(found.values())


def spoken(run: Run, keys: Iterable[str]) -> list[str]:
    """`key=value` of each key that the run has, without the key's group; a class goes by its last name."""
    said = []
    for key in keys:
        if key in run.config:
            group, _, name = key.rpartition(".")
            value = str(run.config[key]).replace("'", "")
            if name == "_target_":
                name, value = group.rpartition(".")[2], value.rpartition(".")[2]
            said.append(f"{name}={value}")
    return said
