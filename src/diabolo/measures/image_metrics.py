"""Metrics of single images beside the yardstick's: what may be chosen by `metrics=`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from diabolo.errors import UserError
from diabolo.measures.metric_names import is_free

ImageMetric = Callable[[Tensor, Tensor], Tensor]
"""(reconstructions, targets) -> a number for each image, N. Both are N x C x H x W float32 in the scale of [0, 1], from
which reconstructions may stray. It draws no random numbers, which would be taken from the training."""


def check_metrics(metrics: Mapping[str, ImageMetric], image_shape: Sequence[int]) -> None:
    """Has each metric measure two made images of this shape, C x H x W, so that one which cannot says so at the start
    of a run and not after an epoch.

    Raises:
        UserError: a name that is none or is taken, a metric that fails, or one that gives no finite number an image.
    """
    ramp = torch.linspace(0, 1, 2 * torch.Size(image_shape).numel()).view(2, *image_shape)
    for name, metric in metrics.items():
        if not is_free(name):
            rule = "a name of small letters, digits and _ that means nothing else here"
            raise UserError(f"`metrics.{name}` must have {rule}: call it otherwise.")
        try:
            with torch.no_grad():
                figures = metric(ramp.flip(0), ramp)
        except UserError as failure:
            raise UserError(f"`metrics.{name}`: {failure}") from failure
        except Exception as failure:  # a user's own may raise anything
            said = " ".join(str(failure).split())[:200].rstrip(".") or type(failure).__name__
            size = "x".join(map(str, image_shape))
            raise UserError(f"`metrics.{name}` cannot measure images of {size} ({said}): leave it out.") from failure
        if not isinstance(figures, Tensor) or figures.shape != (2,) or not bool(figures.isfinite().all()):
            got = f"shape {list(figures.shape)}" if isinstance(figures, Tensor) else type(figures).__name__
            raise UserError(f"`metrics.{name}` must give a finite number for each image, [2] of two, and gives {got}.")
