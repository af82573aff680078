"""A mean over seeds and images, which both are drawn by chance: its interval, and how many seeds would decide it.

Every seed is measured on the same images, so that seeds and images are crossed random effects: a figure is the mean
plus an effect of the seed, one of the image, and a rest (Searle, Casella & McCulloch, "Variance components", 1992,
section 4.3). The squared error of the mean then has two parts, one that falls with the number of seeds and one with
that of images, each known as well as its own count allows.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import nctdtr, stdtrit

LEVEL = 0.05  # of an error that the intervals allow
POWER = 0.8  # "would probably decide it"
FEWEST_SEEDS, MOST_SEEDS = 3, 100  # that one may be advised to train


@dataclass(frozen=True)
class Mean:
    """A mean with its standard error.

    The half width of an interval is the root of the sum of the squared half widths of the two parts, each by Student's
    t with the degrees of freedom of its own: Howe, "Approximate confidence limits on the mean of X + Y where X and Y
    are two tabled independent random variables", 1974. It misses the true mean in 5.1 % of cases at most, over all
    mixtures of the parts, and as many times less as it is corrected. The degrees of freedom of Satterthwaite, 1946, for
    the sum of both are no help with so few seeds, whose part often seems far too small: corrected for nine comparisons
    they miss twice (3 seeds) and four times (2 seeds) as often as they promise, even with that part taken with care.

    Attributes:
        mean: over seeds and images.
        seeds: how many.
        images: how many; 1 where the figures are means over images, which then are not drawn by chance.
        of_seeds: the part of the squared error that falls with the number of seeds, for a single seed; NaN for one.
        of_images: the part of it that stays, however many seeds there are.
    """

    mean: float
    seeds: int
    images: int
    of_seeds: float
    of_images: float

    @property
    def known(self) -> bool:
        """Whether there are seeds or images enough for an interval."""
        return self.seeds > 1 or self.images > 1

    @property
    def error(self) -> float:
        """The standard error; that over the images alone where there is one seed."""
        return math.sqrt(self._falling + self.of_images) if self.known else math.inf

    @cached_property
    def p(self) -> float:
        """How probable a mean at least as far from 0 is, where the true one is 0."""
        if self.mean == 0 or not self.known:
            return 1.0
        low, high = -300.0, 0.0  # powers of ten
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (low, middle) if self._half(10**middle) < abs(self.mean) else (middle, high)
        return 10**high if low > -300 else 0.0

    def interval(self, correction: float = 1.0) -> tuple[float, float]:
        """The 95 % interval, or a wider one: it holds 0 where `correction` times `p` is over .05."""
        half = self._half(LEVEL / correction) if self.known else math.inf
        return self.mean - half, self.mean + half

    def seeds_needed(self, correction: float = 1.0, of_seeds: float | None = None) -> int | None:
        """The fewest seeds whose interval leaves 0 out in four cases of five, if the true mean is this one; None where
        a hundred are too few.

        Args:
            correction: as in `interval`.
            of_seeds: in place of one's own, which a single seed does not have.
        """
        falling = self.of_seeds if of_seeds is None else of_seeds

        def enough(number: int) -> bool:
            return Mean(self.mean, number, self.images, falling, self.of_images)._power(correction) >= POWER

        number = FEWEST_SEEDS + bisect_left(range(FEWEST_SEEDS, MOST_SEEDS + 1), True, key=enough)
        return number if number <= MOST_SEEDS else None

    @property
    def _falling(self) -> float:
        return 0.0 if math.isnan(self.of_seeds) else self.of_seeds / self.seeds

    def _half(self, level: float) -> float:
        """Half the width of the interval that misses the mean in a share `level` of cases."""
        parts = ((self._falling, self.seeds), (self.of_images, self.images))
        return math.sqrt(sum(part * float(stdtrit(count - 1, level / 2)) ** 2 for part, count in parts if part))

    def _power(self, correction: float) -> float:
        """How probable it is that the interval of a second try leaves 0 out."""
        if self.error == 0 or self.mean == 0:
            return float(self.mean != 0)
        parts = ((self._falling, self.seeds), (self.of_images, self.images))
        freedom = self.error**4 / sum(part**2 / (count - 1) for part, count in parts if part)
        shift, edge = abs(self.mean) / self.error, self._half(LEVEL / correction) / self.error
        return 1.0 - float(nctdtr(freedom, shift, edge)) if shift < 30 else 1.0  # beyond, scipy's sum ends in NaN


def crossed_mean(figures: np.ndarray) -> Mean:
    """The mean of figures of the same images under several seeds, seeds x images, each at least 1."""
    values = np.asarray(figures, np.float64)
    seeds, images = values.shape
    mean = float(values.mean())
    by_seed, by_image = values.mean(1), values.mean(0)
    of_seeds = float(by_seed.var(ddof=1)) if seeds > 1 else math.nan  # with what the rest adds to a mean over images
    of_images = float(by_image.var(ddof=1)) / images if images > 1 else 0.0
    if seeds > 1 and images > 1:
        rest = values - by_seed[:, None] - by_image + mean
        of_rest = float(np.square(rest).sum()) / ((seeds - 1) * (images - 1))
        of_images = max(of_images - of_rest / (seeds * images), 0.0)
    return Mean(mean, seeds, images, of_seeds, of_images)


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
            crossing = bisect_left(steps, True, key=lambda step, within=within: step[0] >= step[1] * within)  # type: ignore[misc]
            adjusted = min(max(level, left * within) for level, left in steps[max(crossing - 1, 0) : crossing + 1])
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
