"""Which label is taken for which: a classifier's confusion matrix as a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from matplotlib.figure import Figure
from torch import Tensor

from diabolo.callbacks.layout import figure_image
from diabolo.callbacks.pictures import Drawing
from diabolo.errors import UserError
from diabolo.training.classifier_module import ClassifierModule

if TYPE_CHECKING:
    from diabolo.data.datamodule import ImageData

MOST_NUMBERED = 20  # classes; with more of them the cells hold no counts


class Confusion(Drawing):
    """Draws a cell for each pair of true label (row) and predicted label (column): the number of images in it, coloured
    by their share of the row. A perfect classifier fills only the diagonal.

    Args:
        split, every_n_epochs: as in `Drawing`.

    Raises:
        UserError: the run is no classifier.
    """

    name = "confusion"

    def draw(self, module: ClassifierModule, data: ImageData) -> Tensor:  # type: ignore[override]
        if not isinstance(module, ClassifierModule):
            raise UserError("a confusion matrix is drawn of a classifier: take task=classify, or leave it out.")
        predicted = torch.cat([module.classify(part.to(module.device)).cpu() for part in data.parts(self.split)])
        return matrix_image(confusion_matrix(data.labels(self.split), predicted, module.classifier.classes))


def confusion_matrix(labels: Tensor, predicted: Tensor, classes: int) -> Tensor:
    """N true and N predicted labels -> counts, classes (true) x classes (predicted)."""
    return torch.bincount(labels * classes + predicted, minlength=classes**2).view(classes, classes)


def matrix_image(counts: Tensor) -> Tensor:
    """A confusion matrix, classes x classes, as a picture: 3 x H x W in [0, 1]."""
    classes = len(counts)
    shares = (counts / counts.sum(1, keepdim=True).clamp(min=1)).numpy()
    figure = Figure(figsize=(6.4, 6.4), dpi=100, layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(shares**0.5, cmap="Blues", vmin=0, vmax=1)  # the root makes one image in a thousand visible
    axes.set(xlabel="named", ylabel="true", title=f"{float(counts.diagonal().sum() / counts.sum()):.2%} named rightly")
    if classes <= MOST_NUMBERED:
        axes.set(xticks=range(classes), yticks=range(classes))
        for row, column in counts.nonzero().tolist():
            colour = "white" if shares[row, column] > 0.4 else "black"
            axes.text(column, row, f"{int(counts[row, column])}", ha="center", va="center", color=colour, fontsize=9)
    return figure_image(figure)
