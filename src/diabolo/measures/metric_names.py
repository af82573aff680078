"""The names of the yardstick's metrics, and which way metrics improve. Without torch, which takes long to import."""

from typing import Literal

YARDSTICK = ("mse", "mae", "psnr", "ssim")
GROWS_BETTER = ("psnr", "ssim", "accuracy", "auroc", "average_precision")


def direction(metric: str) -> Literal["min", "max"]:
    """ "max" for a metric that grows as a model gets better, by the end of its name, else "min"."""
    return "max" if metric.endswith(GROWS_BETTER) else "min"
