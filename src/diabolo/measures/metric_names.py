"""The metrics as people meet them: title, unit, which way they improve, where they are shown. Imports no torch, which
takes long.

A new metric of diabolo's own gets a row in `METRICS`. A further one is described where it is chosen, in a yaml of the
config group `metrics`. A run keeps its config: so a report knows direction and title as data, without the class that
measured it. The table at the end of a run, the comparison and its page show both kinds.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

YARDSTICK = ("mse", "mae", "psnr", "ssim")

Place = Literal["closing", "words", "table", "losses", "page"]
EVERYWHERE: Sequence[Place] = ("closing", "words", "table", "losses", "page")


@dataclass(frozen=True)
class Metric:
    """A row of `METRICS`, or a metric that a config describes.

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

DESCRIBED = ("title", "better", "unit", "digits")  # what a yaml of the group `metrics` says beside class and arguments
MOST_DIGITS = 12
LONGEST_TITLE = 60
NAME = re.compile("(?!pca_)[a-z][a-z0-9_]*")
OTHERS = {"loss", "penalty", "batch_loss", "learning_rate"}  # what else is measured
OTHERS |= {"images", "labels", "hashes", "codes", "reconstructions", "targets"}  # and lies beside it
_described: dict[str, Metric] = {}


def is_free(name: str) -> bool:
    """Whether a metric beyond diabolo's own may have this name: small letters, digits and _, and nothing else here is
    called so."""
    return bool(NAME.fullmatch(name)) and name not in OTHERS | {own.name for own in METRICS}


def describe(metrics: Any) -> None:
    """Makes known what the group `metrics` of a config says: name -> `title`, by default the name, and `better`, `unit`
    and `digits` as in `Metric`. A metric that was described before is replaced. A stranger's config, whose metrics have
    names that are not free, or that says something otherwise than it should, has not said it."""
    for name, said in metrics.items() if isinstance(metrics, Mapping) else ():
        if isinstance(said, Mapping) and is_free(str(name)):
            title, better, unit, digits = map(said.get, DESCRIBED)
            _described[str(name)] = Metric(
                str(name),
                " ".join(str(title or name).split())[:LONGEST_TITLE],
                "max" if better == "max" else "min",
                " ".join(unit.split())[:LONGEST_TITLE] if isinstance(unit, str) else "",
                digits if isinstance(digits, int) and 0 <= digits <= MOST_DIGITS else Metric.digits,
            )


def described() -> list[Metric]:
    """The metrics beyond diabolo's own that have been described."""
    return list(_described.values())


def known() -> list[Metric]:
    """All metrics in the order in which they are shown: the yardstick, what configs describe, the others."""
    yardstick = [metric for metric in METRICS if metric.name in YARDSTICK]
    return [*yardstick, *described(), *(metric for metric in METRICS if metric not in yardstick)]


def shown_in(place: Place) -> list[Metric]:
    """The metrics that are shown in a place, in their order."""
    return [metric for metric in known() if place in metric.shown]


def metric_of(key: str) -> Metric | None:
    """The metric that a key such as `val/mse` is a figure of, by the longest name that the key ends with, behind a
    slash or an underscore."""
    named = (one for one in known() if f"/{key}".endswith((f"/{one.name}", f"_{one.name}")))
    return max(named, key=lambda one: len(one.name), default=None)


def direction(key: str) -> Literal["min", "max"]:
    """ "max" for the key of a metric that grows as a model gets better, else "min"."""
    metric = metric_of(key)
    return metric.better if metric else "min"
