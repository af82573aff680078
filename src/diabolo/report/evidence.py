"""Differences between settings of runs: over the seeds and images that they have in common, and decided together."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np

from diabolo.measures.crossed import Mean, corrections, crossed_mean
from diabolo.measures.metric_names import direction, shown_in
from diabolo.report.collect import Run
from diabolo.report.fold import Folded
from diabolo.report.numbers import scale, unit
from diabolo.runs.identity import plain
from diabolo.runs.safe_reading import Unreadable, read_arrays

PAIRED = ("mse", "mae", "ssim")  # figures that each image has
SAME = {"psnr": "mse"}  # metrics that are another one in another unit: its verdict is theirs
FEWEST = 30  # images under which nothing is decided: their errors are far from normal
USUAL = 0.03
"""What another seed changes in an error, as a part of it; in three of four experiments of scripts/README.md it is less.
Asked where a single seed cannot tell."""

Pair = tuple[str, str]
BESIDE_PCA: Pair = ("the network", "PCA")


@dataclass
class Difference:
    """By how much the figures of `first` exceed those of `second`, on the same test images under the same seeds.

    Attributes:
        metric: the name of the metric, such as "mse".
        mean: of first - second, over seeds and images.
        error: the size of the error that both have, of which `USUAL` is a part.
        share: of the images that `first` is better on, over all seeds; None where runs recorded no single images.
        agreeing: how many seeds have a mean difference of the same sign.
        about: the folders of the runs: a question that was decided in one table has the same answer in all.
        correction: what the p-value is multiplied by, for all differences that are decided together.
    """

    metric: str
    first: str
    second: str
    mean: Mean
    error: float
    share: float | None
    agreeing: int
    about: Hashable = None
    correction: float = 1.0

    @property
    def decides(self) -> bool:
        """Whether there is something to decide, and seeds and images enough for a verdict."""
        return self.mean.seeds > 1 and not self.few_images and not self.equal and not self.frozen

    @property
    def weak(self) -> bool:
        """Whether its verdict, if any, is one of two seeds."""
        return self.mean.seeds == 2

    @property
    def frozen(self) -> bool:
        """Whether each seed has the very same difference of means: chance, of figures that are counts."""
        return self.mean.images == 1 and self.mean.seeds > 1 and self.mean.of_seeds <= (1e-9 * self.mean.mean) ** 2

    @property
    def few_images(self) -> bool:
        return 1 < self.mean.images < FEWEST

    @property
    def equal(self) -> bool:
        """Whether both have the same figures everywhere."""
        return self.mean.mean == 0 and self.mean.error == 0

    @property
    def interval(self) -> tuple[float, float]:
        """The corrected 95 % interval of the mean."""
        return self.mean.interval(self.correction)

    @property
    def ahead(self) -> str | None:
        """The one with the better mean, whether or not by chance; None where they are equal."""
        if self.mean.mean == 0:
            return None
        return self.first if (self.mean.mean > 0) == (direction(self.metric) == "max") else self.second

    @property
    def better(self) -> str | None:
        """The one that is better beyond chance; None where that is open."""
        low, high = self.interval
        return None if not self.decides or low <= 0 <= high else self.ahead

    @property
    def seeds_needed(self) -> int | None:
        """How many seeds would probably decide it; None where a hundred would not."""
        guess = 2 * (USUAL * self.error) ** 2 if self.mean.seeds == 1 else None
        return self.mean.seeds_needed(self.correction, guess)

    def figures(self) -> str:
        """The difference, its interval, and what they are of: in brackets behind a verdict."""
        low, high = self.interval
        of = [count(self.mean.seeds, "seed")] * (self.mean.seeds > 1)
        of += [f"{self.mean.images:,} images"] * (self.mean.images > 1)
        between = f", 95 % interval {self.shown(low)} to {self.shown(high)} over {' and '.join(of)}" if of else ""
        return f"{self.first} - {self.second}: {self.shown(self.mean.mean)}{between}"

    def shown(self, value: float) -> str:
        """A difference with its sign, in the metric's unit; one of percents in points."""
        of = unit(self.metric)
        return f"{scale(self.metric) * value:+.3g} {'points' if of == '%' else of}".rstrip()


class Figures:
    """The test figures of runs, by seed and by image; the file of a run is read once.

    Attributes:
        unread: files that are damaged, without which runs are compared by their means over the images.
    """

    def __init__(self) -> None:
        self.unread: list[Unreadable] = []
        self._read: dict[Path, tuple[str, dict[str, np.ndarray]] | None] = {}
        self._decided: dict[Hashable, float] = {}

    def decide(self, groups: Sequence[Sequence[Difference]]) -> None:
        """Corrects what stands in one table: each group has the metrics of one pair. See
        `diabolo.measures.crossed.corrections`. What an earlier table has decided stays as it is."""
        deciding = [[one for one in group if one.decides] for group in groups]
        found = corrections([[one.mean.p for one in group] for group in deciding])
        for one, correction in zip(chain.from_iterable(deciding), chain.from_iterable(found), strict=True):
            one.correction = self._decided.setdefault((one.about, one.metric), correction)
        for one in (one for group in groups for one in group if one.mean.seeds == 1):  # as it will be with more seeds
            one.correction = self._decided.setdefault((one.about, one.metric), float(len([*filter(None, groups)])))

    def differences(self, first: Folded, second: Folded, names: Pair, factor: float = 1.0) -> list[Difference]:
        """Those of each metric that both have, first - factor x second, over the seeds that both have."""
        metrics = [metric.name for metric in shown_in("losses") if metric.name not in SAME]
        found = (self.difference(first, second, names, metric, factor) for metric in metrics)
        return [one for one in found if one is not None]

    def difference(
        self, first: Folded, second: Folded, names: Pair, metric: str, factor: float = 1.0
    ) -> Difference | None:
        """That of one metric; None where they have no seed in common, lack the metric, or were measured on other
        images."""
        pairs = common(first, second)
        if not pairs or self._apart(pairs):
            return None
        figures = _paired([(self._images(one, metric), self._images(other, metric)) for one, other in pairs], factor)
        if figures is None:
            numbers = [(one.number(f"test/{metric}"), other.number(f"test/{metric}")) for one, other in pairs]
            figures = _paired([(one, other) for one, other in numbers if one is not None and other is not None], factor)
        about = (frozenset(_folders(row) for row in (first, second)), factor)
        return None if figures is None else _difference(metric, names, figures, _error(first, second, metric), about)

    def beside_pca(self, row: Folded) -> Difference | None:
        """The test MSE of runs less that of PCA of the same size; None where either is not known."""
        figures = None
        if not self._apart([tuple(row.runs)]):
            figures = _paired([(self._images(run, "mse"), self._images(run, "pca_mse")) for run in row.runs])
        if figures is None:
            figures = _paired([(run.number("test/mse"), run.number("test/pca_mse")) for run in row.runs])
        error, about = row.mean("test/mse") or 0.0, (_folders(row), BESIDE_PCA)
        return None if figures is None else _difference("mse", BESIDE_PCA, figures, error, about)

    def _images(self, run: Run, metric: str) -> np.ndarray | None:
        """The figures of single images, N float64."""
        read = self._file(run)
        return None if read is None or metric not in read[1] else read[1][metric].astype(np.float64)

    def _apart(self, pairs: Sequence[tuple[Run, ...]]) -> bool:
        """Whether some of the runs recorded the figures of other images than others."""
        files = [read for pair in pairs for run in pair if (read := self._file(run)) is not None]
        return len({(images, len(figures["labels"])) for images, figures in files}) > 1

    def _file(self, run: Run) -> tuple[str, dict[str, np.ndarray]] | None:
        if run.path not in self._read:
            try:
                self._read[run.path] = per_image(run.path)
            except Unreadable as damaged:
                self._read[run.path] = None
                self.unread.append(damaged)
        return self._read[run.path]


def common(first: Folded, second: Folded) -> list[tuple[Run, Run]]:
    """The runs of both that have the same seed."""
    others = {plain(run.get("seed")): run for run in second.runs}
    return [(run, others[seed]) for run in first.runs if (seed := plain(run.get("seed"))) in others]


def per_image(folder: Path) -> tuple[str, dict[str, np.ndarray]] | None:
    """What `diabolo.callbacks.per_image` left in a run folder: the hash of the images, and N float32 figures each of
    mse, mae and ssim and maybe of further metrics, with N int labels. None where there is no such file.

    Raises:
        Unreadable: it is damaged, or holds something else.
    """
    path = folder / "per_image.npz"
    if not path.exists():
        return None
    arrays = read_arrays(path)
    if missing := [name for name in (*PAIRED, "labels", "images") if name not in arrays]:
        raise Unreadable(path, f"it has no array {missing[0]!r}")
    figures = {name: values for name, values in arrays.items() if name != "images"}
    shapes = {values.shape for values in figures.values()}
    if len(shapes) > 1 or figures["labels"].ndim != 1 or not len(figures["labels"]):
        raise Unreadable(path, "its arrays have not a figure for each image")
    measured = {name: values for name, values in figures.items() if name != "labels"}
    if figures["labels"].dtype.kind not in "iu" or any(values.dtype.kind != "f" for values in measured.values()):
        raise Unreadable(path, "its arrays hold no numbers of the right kind")
    if not all(np.isfinite(values).all() for values in measured.values()):
        raise Unreadable(path, "a figure in it is not finite")
    return str(arrays["images"]), {
        "labels": figures["labels"],
        **{name: values.astype(np.float32) for name, values in measured.items()},
    }


def count(number: int, noun: str) -> str:
    """1 seed, 2 seeds."""
    return f"{number:,} {noun}{'s' * (number != 1)}"


def to_decide(*differences: Difference) -> str:
    """What would probably decide all of these open questions."""
    if any(one.few_images for one in differences):
        return "more test images are needed to decide it"
    needed = [one.seeds_needed for one in differences]
    known = [number for number in needed if number]
    if len(known) < len(needed):
        few = any(one.mean.images > 1 and one.mean.seeds_needed(one.correction, 0.0) is None for one in differences)
        return f"even 100 seeds would probably not decide it{' on so few images' if few else ''}"
    return f"{max(known)} seeds would probably decide it"


Figure = float | np.ndarray | None


def _paired(pairs: Sequence[tuple[Figure, Figure]], factor: float = 1.0) -> np.ndarray | None:
    """The first less `factor` times the second of each seed, seeds x images or seeds x 1; None where one is missing."""
    known = [(one, other) for one, other in pairs if one is not None and other is not None]
    if not known or len(known) < len(pairs):
        return None
    return np.stack([np.atleast_1d(one - factor * other) for one, other in known])


def _folders(row: Folded) -> frozenset[Path]:
    return frozenset(run.path for run in row.runs)


def _difference(metric: str, names: Pair, figures: np.ndarray, error: float, about: Hashable) -> Difference:
    """`figures`: seeds x images, or seeds x 1 where they are means over images."""
    mean, sign = crossed_mean(figures), 1 if direction(metric) == "max" else -1
    share = float((sign * figures > 0).mean()) if mean.images > 1 else None
    agreeing = int((np.sign(figures.mean(1)) == np.sign(mean.mean)).sum())
    return Difference(metric, *names, mean, error, share, agreeing, about)


def _error(first: Folded, second: Folded, metric: str) -> float:
    """How large the error of two settings is: what a figure lacks to 1 where it grows to 1 as a model gets better."""
    means = [mean for row in (first, second) if (mean := row.mean(f"test/{metric}")) is not None]
    mean = sum(means) / len(means) if means else 0.0
    return abs(1 - mean if direction(metric) == "max" else mean)
