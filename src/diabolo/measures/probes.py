"""What a code knows of the labels: the accuracy of simple classifiers that see the code alone.

A linear probe (Alain & Bengio, "Understanding intermediate layers using linear classifier probes", 2016) and the k
nearest neighbours, fitted on training codes and measured on test codes.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from diabolo.errors import ConfigError, UserError, check_int

if TYPE_CHECKING:
    from diabolo.data.datamodule import ImageData

STEPS = 300  # of L-BFGS at most


class Labelled(NamedTuple):
    """Vectors and what they are labelled with."""

    vectors: Tensor  # N x size, float32
    labels: Tensor  # N int64


def linear_accuracy(train: Labelled, test: Labelled) -> float:
    """The part of the test vectors that logistic regression labels rightly, fitted on the training vectors: each number
    standardised by their mean and deviation, L2 penalty with C = 1, L-BFGS."""
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=STEPS))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # raw pixels go on gaining in the last digit
        return _score(model, train, test)


def knn_accuracy(train: Labelled, test: Labelled, neighbours: int = 5) -> float:
    """The part of the test vectors whose label is that of most of the nearest training vectors (Euclidean)."""
    if len(train.labels) < check_int("neighbours", neighbours):
        raise ConfigError("neighbours", neighbours, f"must be at most the {len(train.labels)} training codes")
    return _score(KNeighborsClassifier(neighbours), train, test)


class Probe:
    """The labelled images of a data set, prepared once for the codes of any number of models.

    Args:
        data: set up; its training images are those that the probes are fitted on.
        most_codes: so many of the training images at most, spread evenly over them.
        neighbours: k of the k nearest neighbours.

    Raises:
        UserError: fewer than two labels or `neighbours` codes among the training images, or none among the test
            images.
    """

    def __init__(self, data: ImageData, most_codes: int = 10_000, neighbours: int = 5) -> None:
        self.data, self.neighbours = data, check_int("neighbours", neighbours)
        known = {split: (data.labels(split) >= 0).nonzero().flatten() for split in ("train", "test")}
        count = min(len(known["train"]), check_int("most_codes", most_codes))
        places = torch.linspace(0, len(known["train"]) - 1, count, dtype=torch.float64)
        self.chosen = {"train": known["train"][places.round().long()], "test": known["test"]}
        if len(data.labels("train")[self.chosen["train"]].unique()) < 2 or not len(self.chosen["test"]):
            raise UserError("a probe needs labelled images of two classes or more: choose labelled data.")

        if count < self.neighbours:
            raise ConfigError("neighbours", neighbours, f"must be at most the {count} training codes")

    def codes(self, module: Any) -> tuple[Labelled, Labelled]:
        """The training and the test codes of a model, N x size."""
        with torch.no_grad():
            return self._both(lambda images: module.encode(images.to(module.device)).float().cpu())

    def pixels(self) -> tuple[Labelled, Labelled]:
        """The pixels themselves, N x CHW in [0, 1]."""
        return self._both(lambda images: images.flatten(1).float() / 255)

    def pca(self, size: int) -> tuple[Labelled, Labelled]:
        """PCA codes of `size` numbers, or of as many as there can be, fitted on the chosen training images."""
        train, test = self.pixels()
        pca = PCA(min(size, *train.vectors.shape), random_state=0).fit(train.vectors.numpy())
        ours, theirs = (torch.from_numpy(pca.transform(part.vectors.numpy())) for part in (train, test))
        return Labelled(ours, train.labels), Labelled(theirs, test.labels)

    def measure(self, train: Labelled, test: Labelled) -> dict[str, float]:
        """`linear_probe_accuracy` and `knn_accuracy`."""
        return {
            "linear_probe_accuracy": linear_accuracy(train, test),
            "knn_accuracy": knn_accuracy(train, test, self.neighbours),
        }

    def _both(self, vectors: Callable[[Tensor], Tensor]) -> tuple[Labelled, Labelled]:
        return self._part("train", vectors), self._part("test", vectors)

    def _part(self, split: str, vectors: Callable[[Tensor], Tensor]) -> Labelled:
        chosen = self.chosen[split]
        parts = [vectors(self.data.images(split, few)) for few in chosen.split(self.data.eval_batch_size)]
        return Labelled(torch.cat(parts), self.data.labels(split)[chosen])


def _score(model: Any, train: Labelled, test: Labelled) -> float:
    model.fit(train.vectors.numpy(), train.labels.numpy())
    return float(model.score(test.vectors.numpy(), test.labels.numpy()))
