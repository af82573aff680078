"""The metrics as people meet them: title, unit, which way they improve, where they are shown. Imports no torch, which
takes long.

A new metric gets a row in `METRICS`; the table at the end of a run, the comparison and its page then show it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

YARDSTICK = ("mse", "mae", "psnr", "ssim")

Place = Literal["closing", "words", "table", "losses", "page"]
EVERYWHERE: Sequence[Place] = ("closing", "words", "table", "losses", "page")


@dataclass(frozen=True)
class Metric:
    """A row of `METRICS`.

    Args:
        name: how its keys end: that of "mse" is `val/mse`, `test/mse`, `train/mse`, ...
        title: its name for people.
        better: whether it falls ("min") or grows ("max") as a model gets better.
        unit: "" for none. A metric in "%" is a part of 1 in files, and 100 times that where it is shown.
        digits: behind the point in the closing table; all other tables show four digits that count.
        shown: where its figure on the test images is shown, if it was measured: "closing" is the table at the end of a
            run; "words", "table", "losses" and "page" are the parts of a comparison.
    """

    name: str
    title: str
    better: Literal["min", "max"] = "min"
    unit: str = ""
    digits: int = 4
    shown: Sequence[Place] = EVERYWHERE

    @property
    def key(self) -> str:
        """The key of its figure on the test images."""
        return f"test/{self.name}"

    @property
    def head(self) -> str:
        """The title with the unit, as the head of a column."""
        return f"{self.title} ({self.unit})" if self.unit else self.title

    @property
    def scale(self) -> int:
        """What a figure is multiplied by to be shown in the unit."""
        return 100 if self.unit == "%" else 1


METRICS = (
    Metric("mse", "MSE", digits=5),
    Metric("mae", "MAE", digits=5),
    Metric("psnr", "PSNR", "max", "dB", digits=2),
    Metric("ssim", "SSIM", "max"),
    Metric("knn_accuracy", "kNN accuracy", "max", "%", shown=("losses", "page")),
    Metric("pca_mse", "MSE of PCA", shown=("table", "page")),
    Metric("accuracy", "accuracy", "max", "%", digits=2),
    Metric("mixture_frechet_distance", "FD of a mixture", shown=("table", "page")),
    Metric("frechet_distance", "Fréchet distance", shown=()),
    Metric("kernel_distance", "kernel distance", shown=()),
    Metric("precision", "precision", "max", shown=()),
    Metric("recall", "recall", "max", shown=()),
    Metric("auroc", "AUROC", "max", shown=()),
    Metric("average_precision", "average precision", "max", shown=()),
)


def shown_in(place: Place) -> list[Metric]:
    """The metrics that are shown in a place, in their order."""
    return [metric for metric in METRICS if place in metric.shown]


def metric_of(key: str) -> Metric | None:
    """The metric that a key such as `val/mse` is a figure of, by the longest name that the key ends with."""
    return max((one for one in METRICS if key.endswith(one.name)), key=lambda one: len(one.name), default=None)


def direction(key: str) -> Literal["min", "max"]:
    """ "max" for the key of a metric that grows as a model gets better, else "min"."""
    metric = metric_of(key)
    return metric.better if metric else "min"
