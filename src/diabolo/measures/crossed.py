"""A mean over seeds and images, which both are drawn by chance: its interval, and how many seeds would decide it.

Every seed is measured on the same images, so that seeds and images are crossed random effects: a figure is the mean
plus an effect of the seed, one of the image, and a rest (Searle, Casella & McCulloch, "Variance components", 1992,
section 4.3).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import chdtri, nctdtr, stdtr, stdtrit

LEVEL = 0.05  # of an error that the intervals allow
POWER = 0.8  # "would probably decide it"
FEWEST_SEEDS, MOST_SEEDS = 3, 100  # that one may be advised to train
CARE = 0.2
"""The part of the seeds in the error is itself a guess, and with two or three seeds often far too small. Then there
seem to be many degrees of freedom, and up to 13 % (2 seeds) or 8 % (3) of the intervals miss a true mean of 0. So the
degrees count that part as large as it is in all but a fifth of cases: 5.4 % miss at most, over all mixtures."""


@dataclass(frozen=True)
class Mean:
    """A mean with its standard error.

    Attributes:
        mean: over seeds and images.
        seeds: how many.
        images: how many; 1 where the figures are means over images, which then are not drawn by chance.
        of_seeds: the part of the squared error that falls with the number of seeds, for a single seed; NaN for one.
        of_images: the part of it that stays, however many seeds there are.
        freedom: the degrees of freedom of the squared error, by Satterthwaite, "An approximate distribution of
            estimates of variance components", 1946, with care for few seeds (see `CARE`).
    """

    mean: float
    seeds: int
    images: int
    of_seeds: float
    of_images: float
    freedom: float

    @property
    def error(self) -> float:
        """The standard error; that over the images alone where there is one seed."""
        falling = 0.0 if math.isnan(self.of_seeds) else self.of_seeds / self.seeds
        return math.sqrt(falling + self.of_images) if self.freedom > 0 else math.inf

    @property
    def p(self) -> float:
        """How probable a mean at least as far from 0 is, where the true one is 0."""
        if self.mean == 0 or not math.isfinite(self.error):
            return 1.0
        if self.error == 0:
            return 0.0
        return 2 * float(stdtr(self.freedom, -abs(self.mean) / self.error))

    def interval(self, correction: float = 1.0) -> tuple[float, float]:
        """The 95 % interval, or a wider one: it holds 0 where `correction` times `p` is over .05."""
        half = self.error if self.error in (0, math.inf) else self.error * _quantile(self.freedom, correction)
        return self.mean - half, self.mean + half

    def seeds_needed(self, correction: float = 1.0, of_seeds: float | None = None) -> int | None:
        """The fewest seeds whose interval leaves 0 out in four cases of five, if the true mean is this one; None where
        a hundred are too few.

        Args:
            correction: as in `interval`.
            of_seeds: in place of one's own, which a single seed does not have.
        """
        falling = self.of_seeds if of_seeds is None else of_seeds
        return next(
            (n for n in range(FEWEST_SEEDS, MOST_SEEDS + 1) if self._power(n, correction, falling) >= POWER), None
        )

    def _power(self, seeds: int, correction: float, of_seeds: float) -> float:
        """How probable it is that the interval of so many seeds leaves 0 out."""
        squared = of_seeds / seeds + self.of_images
        if squared == 0 or self.mean == 0:
            return float(self.mean != 0)
        freedom = _freedom((of_seeds / seeds, seeds - 1), (self.of_images, max(self.images - 1, 1)))
        shift, edge = abs(self.mean) / math.sqrt(squared), _quantile(freedom, correction)
        return 1.0 - float(nctdtr(freedom, shift, edge)) if shift < 30 else 1.0  # beyond, scipy's sum ends in NaN


def crossed_mean(figures: np.ndarray) -> Mean:
    """The mean of figures of the same images under several seeds, seeds x images, each at least 1."""
    values = np.asarray(figures, np.float64)
    seeds, images = values.shape
    mean = float(values.mean())
    by_seed, by_image = values.mean(1), values.mean(0)
    if seeds == 1 or images == 1:
        of_images = float(by_image.var(ddof=1)) / images if images > 1 else 0.0
        of_seeds = float(by_seed.var(ddof=1)) if seeds > 1 else math.nan
        return Mean(mean, seeds, images, of_seeds, of_images, max(seeds, images) - 1)
    rest = values - by_seed[:, None] - by_image + mean
    of_rest = float(np.square(rest).sum()) / ((seeds - 1) * (images - 1))
    squares_of_images = seeds * float(by_image.var(ddof=1))
    of_seeds = float(by_seed.var(ddof=1))  # the rest that a mean over images still has is in it
    of_images = max(squares_of_images - of_rest, 0.0) / (seeds * images)
    surely = of_seeds / seeds * (seeds - 1) / float(chdtri(seeds - 1, 1 - CARE))
    return Mean(mean, seeds, images, of_seeds, of_images, _freedom((surely, seeds - 1), (of_images, images - 1)))


def corrections(families: Sequence[Sequence[float]]) -> list[list[float]]:
    """What each p-value is multiplied by, so that over all of them one false finding is made in 5 % of cases at most.

    Over the families, the pairs of a table, by Holm, "A simple sequentially rejective multiple test procedure", 1979:
    once all of a family is found, it no longer counts for the others. Within a family, the metrics of a pair, which
    measure nearly the same, by Hochberg, "A sharper Bonferroni procedure for multiple tests of significance", 1988.

    Args:
        families: p-values; a family may be empty.
    """
    found: list[list[float]] = [[] for _ in families]
    ordered = sorted((i for i, family in enumerate(families) if family), key=lambda i: max(families[i]))
    steps = [(0.0, len(ordered))]  # the level from which on the families before are found, and the number of the others
    for i in ordered:
        for p, within in zip(families[i], _hochberg(families[i]), strict=True):
            adjusted = min(max(level, left * within) for level, left in steps)
            found[i].append(adjusted / p if p else float(steps[-1][1]))
        level, left = steps[-1]
        steps.append((max(level, left * max(families[i])), left - 1))
    return found


def _hochberg(family: Sequence[float]) -> list[float]:
    """The adjusted p-values of a family, in its order."""
    adjusted, most = [0.0] * len(family), 1.0
    for place, i in enumerate(sorted(range(len(family)), key=lambda i: -family[i])):
        most = adjusted[i] = min(most, (place + 1) * family[i])
    return adjusted


def _freedom(*parts: tuple[float, int]) -> float:
    """Satterthwaite's degrees of freedom of a squared error made of independent parts, each with its own."""
    spread = sum(part**2 / freedom for part, freedom in parts)
    return sum(part for part, _ in parts) ** 2 / spread if spread else max(freedom for _, freedom in parts)


def _quantile(freedom: float, correction: float) -> float:
    return -float(stdtrit(freedom, LEVEL / correction / 2))
