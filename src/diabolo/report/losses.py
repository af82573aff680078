"""Losses compared on every metric: rows trained with, columns measured by, and paired differences image by image."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np

from diabolo.measures.metric_names import direction, shown_in
from diabolo.report.collect import Run
from diabolo.report.fold import Folded, fold, grouped
from diabolo.report.names import Names
from diabolo.report.numbers import in_unit
from diabolo.report.settings import Words
from diabolo.runs.identity import plain
from diabolo.runs.safe_reading import Unreadable, read_arrays

PAIRED = ("mse", "mae", "ssim")  # figures that single images have
NORMAL_95 = 1.959964  # 97.5 % quantile of the normal distribution
FEWEST = 30  # images under which the normal approximation is not to be trusted


@dataclass
class Difference:
    """What training with `first` instead of `second` does to a metric, image by image on the same images.

    `mean` is that of first - second over the images, each image first averaged over seeds. `low` and `high` bound its
    95 % confidence interval by the normal approximation: what to expect on other images of this kind, not of other
    seeds.
    """

    metric: str
    first: str
    second: str
    mean: float
    low: float
    high: float
    images: int
    share: float  # of the images that `first` is better on
    seeds: int  # in both
    agreeing: int  # of these, how many have a mean difference of the same sign

    @property
    def better(self) -> str | None:
        """The better loss; None where the interval holds 0, or the images are too few to tell."""
        if self.images < FEWEST or not math.isfinite(self.mean) or self.low <= 0 <= self.high:
            return None
        return self.first if (self.mean > 0) == (direction(self.metric) == "max") else self.second

    def verdict(self) -> str:
        """One sentence without the setting."""
        interval = f"{self.mean:+.3g}, 95 % interval {self.low:+.3g} to {self.high:+.3g}, {self.images:,} images"
        pair = f"{self.first} - {self.second}: {interval}"
        if self.better is None:
            return (
                f"Measured by {self.metric.upper()}, neither {self.first} nor {self.second} is surely better ({pair})."
            )
        other = self.second if self.better == self.first else self.first
        share = 100 * (self.share if self.better == self.first else 1 - self.share)
        seeds = f", in {self.agreeing} of {self.seeds} seeds" if self.seeds > 1 else ""
        shares = f"better on {share:.0f} % of them{seeds}"
        return f"Measured by {self.metric.upper()}, {self.better} is better than {other} ({pair}, {shares})."


@dataclass
class Comparison:
    """Runs that differ only in loss and seed: `rows` by the name of the loss, each folded over its seeds."""

    setting: Words
    rows: dict[str, Folded]
    differences: list[Difference]
    unread: list[Unreadable]  # files without which differences are missing


def compare_losses(runs: Sequence[Run]) -> list[Comparison]:
    """A comparison for each setting in which at least two losses were trained, in the order of the settings."""
    names = Names(runs)
    done = sorted((run for run in runs if run.state == "done"), key=names.place)
    found = []
    for alike in grouped(done, lambda run: frozenset(_without_loss(run).items())):
        rows = dict(sorted((names.loss(row), row) for row in fold(alike)))
        if len(rows) > 1:
            found.append(Comparison(_without_loss(alike[0]), rows, *_differences(rows)))
    return sorted(found, key=lambda one: names.place(next(iter(one.rows.values()))))


def summary(comparisons: Sequence[Comparison]) -> list[str]:
    """One sentence a pair of losses and metric, over all settings, and one for each file that could not be read."""
    alike = grouped(
        (one for comparison in comparisons for one in comparison.differences),
        lambda one: (one.first, one.second, one.metric),
    )
    said = [_over_settings(differences) if len(differences) > 1 else differences[0].verdict() for differences in alike]
    damaged = [failure for comparison in comparisons for failure in comparison.unread]
    return said + [f"A run is not compared image by image: {failure}" for failure in damaged]


def _over_settings(differences: Sequence[Difference]) -> str:
    first, second = differences[0].first, differences[0].second
    wins = {name: sum(one.better == name for one in differences) for name in (first, second)}
    means = [one.mean for one in differences]
    undecided = len(differences) - sum(wins.values())
    left = f", {undecided} undecided" if undecided else ""
    return (
        f"Measured by {differences[0].metric.upper()}, {first} is better in {wins[first]} and {second} in"
        f" {wins[second]} of {len(differences)} settings{left} (mean {first} - {second}: {min(means):+.3g} to"
        f" {max(means):+.3g}; decided by 95 % intervals over the images)."
    )


def matrix(comparisons: Sequence[Comparison], columns: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    """Heads and rows of "trained with" against "measured by", the best of each setting marked by a star; `columns` are
    the settings' keys to show."""
    shown = [key for key in columns if any(key in one.setting for one in comparisons)]
    rows = [row for one in comparisons for row in one.rows.values()]
    metrics = [metric for metric in shown_in("losses") if any(row.values(metric.key) for row in rows)]
    heads = [*shown, "trained with", *(metric.head for metric in metrics)]
    lines = []
    for one in comparisons:
        best = {metric: _best(one.rows, metric.key) for metric in metrics}
        for name, row in one.rows.items():
            cells = [_marked(row, metric.key, name == best[metric]) for metric in metrics]
            lines.append([*(one.setting.get(key, "") for key in shown), name, *cells])
    return heads, lines


def pairs(comparisons: Sequence[Comparison], columns: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    """Heads and rows of the paired differences."""
    shown = [key for key in columns if any(key in one.setting for one in comparisons)]
    heads = [*shown, "losses", "measured by", "mean difference", "95 % interval", "better"]
    lines = [
        [
            *(one.setting.get(key, "") for key in shown),
            f"{difference.first} - {difference.second}",
            difference.metric.upper(),
            f"{difference.mean:+.3g}",
            f"{difference.low:+.3g} to {difference.high:+.3g}",
            difference.better or "undecided",
        ]
        for one in comparisons
        for difference in one.differences
    ]
    return heads, lines


def _without_loss(run: Run) -> Words:
    return {key: value for key, value in run.settings.items() if key.partition(".")[0] != "loss"}


def _differences(rows: dict[str, Folded]) -> tuple[list[Difference], list[Unreadable]]:
    """The differences of each pair of losses, and the files that could not be read."""
    unread: list[Unreadable] = []
    figures = {name: _of_seeds(row, unread) for name, row in rows.items()}
    found = []
    for first, second in combinations(rows, 2):
        one, other = figures[first], figures[second]
        if one is not None and other is not None and one[0] == other[0]:
            found += [_difference(metric, first, second, one[1], other[1]) for metric in PAIRED]
    return found, unread


Seeds = dict[str, dict[str, np.ndarray]]  # seed -> metric -> N figures


def _of_seeds(row: Folded, unread: list[Unreadable]) -> tuple[str, Seeds] | None:
    """The hash of the images and the figures of each seed; None where a run has none or was measured on others. A run
    whose file is damaged is left out, and the file goes to `unread`."""
    seeds: Seeds = {}
    images = set()
    for run in row.runs:
        try:
            read = per_image(run.path)
        except Unreadable as damaged:
            unread.append(damaged)
            continue
        if read is None:
            return None
        images.add(f"{read[0]} {len(read[1]['labels'])}")
        seeds[plain(run.get("seed"))] = read[1]
    return (images.pop(), seeds) if len(images) == 1 else None


def per_image(folder: Path) -> tuple[str, dict[str, np.ndarray]] | None:
    """What `diabolo.callbacks.per_image` left in a run folder: the hash of the images, and N float32 figures each of
    mse, mae and ssim, with N int labels. None where there is no such file.

    Raises:
        Unreadable: it is damaged, or holds something else.
    """
    path = folder / "per_image.npz"
    if not path.exists():
        return None
    arrays = read_arrays(path)
    if missing := [name for name in (*PAIRED, "labels", "images") if name not in arrays]:
        raise Unreadable(path, f"it has no array {missing[0]!r}")
    figures = {name: arrays[name] for name in (*PAIRED, "labels")}
    shapes = {values.shape for values in figures.values()}
    if len(shapes) > 1 or figures["labels"].ndim != 1 or not len(figures["labels"]):
        raise Unreadable(path, "its arrays have not a figure for each image")
    if figures["labels"].dtype.kind not in "iu" or any(figures[name].dtype.kind != "f" for name in PAIRED):
        raise Unreadable(path, "its arrays hold no numbers of the right kind")
    if not all(np.isfinite(figures[name]).all() for name in PAIRED):
        raise Unreadable(path, "a figure in it is not finite")
    return str(arrays["images"]), {
        name: values if name == "labels" else values.astype(np.float32) for name, values in figures.items()
    }


def _difference(metric: str, first: str, second: str, one: Seeds, other: Seeds) -> Difference:
    """`one` and `other` are the figures of `first` and `second`, of the same images."""
    averaged = [np.stack([seed[metric] for seed in seeds.values()]).mean(0, np.float64) for seeds in (one, other)]
    difference: np.ndarray = averaged[0] - averaged[1]
    mean, count = float(difference.mean()), len(difference)
    half = NORMAL_95 * float(difference.std(ddof=1)) / math.sqrt(count) if count > 1 else math.inf
    sign = 1 if direction(metric) == "max" else -1
    common = [float((one[seed][metric] - other[seed][metric]).mean(dtype=np.float64)) for seed in one if seed in other]
    return Difference(
        metric,
        first,
        second,
        mean,
        low=mean - half,
        high=mean + half,
        images=count,
        share=float((sign * difference > 0).mean()),
        seeds=len(common),
        agreeing=sum((each > 0) == (mean > 0) for each in common),
    )


def _best(rows: dict[str, Folded], key: str) -> str | None:
    means = {name: mean for name, row in rows.items() if (mean := row.mean(key)) is not None}
    pick = max if direction(key) == "max" else min
    leading = [name for name, mean in means.items() if mean == pick(means.values())]
    return leading[0] if len(leading) == 1 < len(means) else None  # no best where all are the same


def _marked(row: Folded, key: str, best: bool) -> str:
    mean = row.mean(key)
    return "" if mean is None else in_unit(key, mean, row.deviation(key)) + (" *" if best else "")
