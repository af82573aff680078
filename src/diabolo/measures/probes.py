"""What a code knows of the labels: the accuracy of simple classifiers that see the code alone.

A linear probe (Alain & Bengio, "Understanding intermediate layers using linear classifier probes", 2016) and the k
nearest neighbours, fitted on training codes and measured on test codes.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from diabolo.data.pixels import unit_interval
from diabolo.data.subsets import evenly_spaced
from diabolo.errors import ConfigError, UserError, check_int
from diabolo.measures.pca import LinearCode

if TYPE_CHECKING:
    from diabolo.data.datamodule import ImageData

STEPS = 300  # of L-BFGS at most


class Labelled(NamedTuple):
    """Vectors and their labels."""

    vectors: Tensor  # N x size, float32
    labels: Tensor  # N int64


def linear_accuracy(train: Labelled, test: Labelled) -> float:
    """The accuracy on the test vectors of logistic regression fitted on the training vectors: each number standardised
    by their mean and standard deviation, L2 penalty with C = 1, L-BFGS."""
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=STEPS))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # on raw pixels only the last digit still changes
        return _accuracy(model, train, test)


def knn_accuracy(train: Labelled, test: Labelled, neighbours: int = 5) -> float:
    """The accuracy on the test vectors of the majority label of the `neighbours` nearest training vectors (Euclidean
    distance).

    Raises:
        ConfigError: there are fewer training vectors than `neighbours`.
    """
    if len(train.labels) < check_int("neighbours", neighbours):
        raise ConfigError("neighbours", neighbours, f"must be at most the {len(train.labels)} training codes")
    return _accuracy(KNeighborsClassifier(neighbours), train, test)


def labelled_images(data: ImageData, split: str, most: int | None = None) -> Tensor:
    """The indices of the images of a split that have a label, N int64; at most `most` of them, spread evenly."""
    labelled = (data.labels(split) >= 0).nonzero().flatten()
    return labelled if most is None else labelled[evenly_spaced(len(labelled), most)]


class Probe:
    """The labelled images of a data set, prepared once for the codes of any number of models.

    Args:
        data: set up; the probes are fitted on its training images.
        most_codes: the most training images to fit on, spread evenly over those with a label.
        neighbours: k of the k nearest neighbours.

    Raises:
        UserError: fewer than two labels or `neighbours` labelled images for training, or none for the test.
    """

    def __init__(self, data: ImageData, most_codes: int = 10_000, neighbours: int = 5) -> None:
        self.data, self.neighbours = data, check_int("neighbours", neighbours)
        chosen = labelled_images(data, "train", check_int("most_codes", most_codes))
        self.chosen = {"train": chosen, "test": labelled_images(data, "test")}
        if len(data.labels("train")[chosen].unique()) < 2 or not len(self.chosen["test"]):
            raise UserError("a probe needs labelled images of two classes or more: choose labelled data.")
        if len(chosen) < self.neighbours:
            raise ConfigError("neighbours", neighbours, f"must be at most the {len(chosen)} training codes")

    def codes(self, module: Any) -> tuple[Labelled, Labelled]:
        """The training and the test codes of a model, each N x size."""
        with torch.no_grad():
            return self._both(lambda images: module.encode(images.to(module.device)).float().cpu())

    def pixels(self) -> tuple[Labelled, Labelled]:
        """The training and the test pixels themselves, each N x CHW in [0, 1]."""
        return self._both(lambda images: unit_interval(images.flatten(1)))

    def pca(self, size: int) -> tuple[Labelled, Labelled]:
        """Training and test codes of PCA, fitted on the chosen training images, with `size` numbers or as many as there
        can be."""
        return self._both(LinearCode(self.data.images("train", self.chosen["train"]), size).encode)

    def measure(self, train: Labelled, test: Labelled) -> dict[str, float]:
        """`linear_probe_accuracy` and `knn_accuracy`, each a share in [0, 1]."""
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


def _accuracy(model: Any, train: Labelled, test: Labelled) -> float:
    model.fit(train.vectors.numpy(), train.labels.numpy())
    return float(model.score(test.vectors.numpy(), test.labels.numpy()))
