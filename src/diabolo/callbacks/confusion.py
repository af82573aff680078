"""Which label is taken for which: the confusion matrix of a classifier as a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from matplotlib.figure import Figure
from torch import Tensor

from diabolo.callbacks.captions import plotted
from diabolo.callbacks.pictures import Drawing
from diabolo.errors import UserError

if TYPE_CHECKING:
    from diabolo.data.datamodule import ImageData
    from diabolo.training.classifier_module import ClassifierModule

MOST_NUMBERED = 20  # classes up to which each cell says its count


class Confusion(Drawing):
    """A cell for each pair of true label (row) and named label (column): the number of images in it, coloured by their
    share of the row. An ideal classifier fills the diagonal alone."""

    name = "confusion"

    def draw(self, module: ClassifierModule, data: ImageData) -> Tensor:  # type: ignore[override]
        if not hasattr(module, "classify"):
            raise UserError("a confusion matrix is drawn of a classifier: take task=classify, or leave it out.")
        named = torch.cat([module.classify(part.to(module.device)).cpu() for part in data.parts(self.split)])
        return picture(confusion_matrix(data.labels(self.split), named, module.classifier.classes))


def confusion_matrix(labels: Tensor, named: Tensor, classes: int) -> Tensor:
    """N true and N named labels -> counts, classes (true) x classes (named)."""
    return torch.bincount(labels * classes + named, minlength=classes**2).view(classes, classes)


def picture(counts: Tensor) -> Tensor:
    """Counts, classes x classes, as a picture: 3 x H x W in [0, 1]."""
    classes = len(counts)
    shares = (counts / counts.sum(1, keepdim=True).clamp(min=1)).numpy()
    figure = Figure(figsize=(6.4, 6.4), dpi=100, layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(shares**0.5, cmap="Blues", vmin=0, vmax=1)  # the root: one image in a thousand is to be seen
    axes.set(xlabel="named", ylabel="true", title=f"{float(counts.diagonal().sum() / counts.sum()):.2%} named rightly")
    if classes <= MOST_NUMBERED:
        axes.set(xticks=range(classes), yticks=range(classes))
        for row, column in counts.nonzero().tolist():
            colour = "white" if shares[row, column] > 0.4 else "black"
            axes.text(column, row, f"{int(counts[row, column])}", ha="center", va="center", color=colour, fontsize=9)
    return plotted(figure)
