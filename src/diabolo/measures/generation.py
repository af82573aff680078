"""How near generated images are to real ones, by the features that a network sees in them: Fréchet distance, kernel
distance, precision and recall.

Figures compare only where features and number of images are the same: a Fréchet distance grows as images get fewer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cached_property

import torch
from torch import Tensor

from diabolo.errors import ConfigError, UserError, check_int
from diabolo.measures.precise import precise

WAYS = {  # to come by images: title by name, in the order of tables and pictures
    "real": "training images",
    "reconstructions": "reconstructions",
    "prior": "prior",
    "mixture": "mixture",
    "gaussian": "Gaussian",
    "pca": "PCA + Gaussian",
}
FIGURES = ("frechet_distance", "kernel_distance", "precision", "recall")
ROWS = 256  # of a matrix of all pairs, held at once
SLACK = 1e-10  # of the mean squared length of features: what rounding may add to a squared distance


class Features:
    """The features of a set of images, and what the distances ask of them, each worked out once, in float64.

    Args:
        values: N x numbers.

    Raises:
        UserError: they are not finite, or of fewer than two images.
    """

    def __init__(self, values: Tensor) -> None:
        self.values = precise(values.detach())
        if len(values) < 2:
            raise UserError(f"generation is measured on two images or more, and there is {len(values)}.")
        if not bool(self.values.isfinite().all()):
            raise UserError("generation cannot be measured: some features of the images are not finite numbers.")

    @classmethod
    def of(cls, images: Iterable[Tensor], network: Callable[[Tensor], Tensor]) -> Features:
        """The features of images that come in parts, of which no more than one is held.

        Args:
            images: each part N x C x H x W, of what the network takes.
            network: N x C x H x W -> N x numbers.
        """
        with torch.no_grad():
            return cls(torch.cat([network(part).flatten(1).float() for part in images]))

    @cached_property
    def mean(self) -> Tensor:
        return self.values.mean(0)

    @cached_property
    def root(self) -> Tensor:
        """R with R Rᵀ the covariance (of denominator N - 1), numbers x numbers."""
        numbers = self.values.shape[1]
        variances, axes = torch.linalg.eigh(self.values.T.cov().reshape(numbers, numbers))
        return axes * variances.clamp(min=0).sqrt()

    @cached_property
    def own_kernel(self) -> float:
        """The mean of the kernel over all pairs of two different images."""
        with_itself = float((self.values.square().mean(1) + 1).pow(3).sum())
        return (_kernel_sum(self, self) - with_itself) / (len(self.values) * (len(self.values) - 1))

    def reaches(self, neighbours: int) -> Tensor:
        """The squared distance of each image to the `neighbours`-th nearest of the others, N."""
        nearest = [part.topk(neighbours + 1, 1, largest=False).values[:, -1] for part in _distances(self, self)]
        return torch.cat(nearest) + SLACK * self.values.square().sum(1).mean()  # it is its own nearest, at 0


def generation_figures(real: Features, made: Features, neighbours: int = 3) -> dict[str, float]:
    """How near the made images are to the real ones, by name: a number for each of `FIGURES`.

    Raises:
        UserError: the two have not as many numbers, or not more images than `neighbours`.
    """
    if real.values.shape[1] != made.values.shape[1]:
        counts = " and ".join(str(one.values.shape[1]) for one in (real, made))
        raise UserError(f"generation is measured by equal features, and these are {counts} numbers an image.")
    distances = frechet_distance(real, made), kernel_distance(real, made)
    return dict(zip(FIGURES, (*distances, *precision_and_recall(real, made, neighbours)), strict=True))


def frechet_distance(real: Features, made: Features) -> float:
    """The squared Fréchet distance of two Gaussians of these means and covariances (Dowson & Landau 1982), as Heusel et
    al., "GANs trained by a two time-scale update rule converge to a local Nash equilibrium", 2017, take it: |m - m'|² +
    tr(C + C' - 2 (C C')^½).

    With R Rᵀ = C, the trace of the root is the sum of the singular values of Rᵀ R'. torchmetrics takes the roots of the
    eigenvalues of C C', of which those that should be 0 are not where features are dead: equal sets then get -8e-5.
    """
    overlap = torch.linalg.svdvals(real.root.T @ made.root).sum()
    spread = real.root.square().sum() + made.root.square().sum()
    return float((real.mean - made.mean).square().sum() + (spread - 2 * overlap))


def kernel_distance(real: Features, made: Features) -> float:
    """The squared maximum mean discrepancy by the kernel (x · y / numbers + 1)³, without bias, so that it may fall a
    little below 0 (Bińkowski et al., "Demystifying MMD GANs", 2018). It is taken over all pairs, where torchmetrics
    averages over random subsets."""
    across = _kernel_sum(real, made) / (len(real.values) * len(made.values))
    return real.own_kernel + made.own_kernel - 2 * across


def precision_and_recall(real: Features, made: Features, neighbours: int = 3) -> tuple[float, float]:
    """The share of the made images that lie where the real ones do, and the share of the real ones that lie where the
    made ones do (Kynkäänniemi et al., "Improved precision and recall metric for assessing generative models", 2019): in
    the ball around any of them that reaches to its `neighbours`-th nearest of its own kind.

    Raises:
        ConfigError: there are not more images of a kind than `neighbours`.
    """
    check_int("neighbours", neighbours)
    if (fewest := min(len(real.values), len(made.values))) <= neighbours:
        raise ConfigError("neighbours", neighbours, f"must be below the {fewest} images of a kind")
    real_reaches, made_reaches = real.reaches(neighbours), made.reaches(neighbours)
    is_near, has_near = torch.zeros_like(made_reaches, dtype=torch.bool), []
    for reaches, distances in zip(real_reaches.split(ROWS), _distances(real, made), strict=True):
        is_near |= (distances <= reaches[:, None]).any(0)
        has_near.append((distances <= made_reaches).any(1))
    return float(is_near.double().mean()), float(torch.cat(has_near).double().mean())


def _kernel_sum(one: Features, other: Features) -> float:
    """The sum of the kernel over all pairs."""
    numbers, total = one.values.shape[1], 0.0
    for part in one.values.split(ROWS):
        kernel = torch.addmm(part.new_ones(1), part, other.values.T, alpha=1 / numbers).flatten()
        total += float(kernel.square() @ kernel)
    return total


def _distances(one: Features, other: Features) -> Iterator[Tensor]:
    """The squared distances of all pairs, N x M, in parts of `ROWS` rows."""
    lengths = other.values.square().sum(1)
    for part in one.values.split(ROWS):
        yield torch.addmm(lengths, part, other.values.T, alpha=-2).add_(part.square().sum(1, keepdim=True))
