"""What the yardstick's metrics are called and which way they improve; no torch, for those who only read figures."""

from typing import Literal

YARDSTICK = ("mse", "mae", "psnr", "ssim")
GROWS_BETTER = ("psnr", "ssim", "accuracy", "auroc", "average_precision")


def direction(metric: str) -> Literal["min", "max"]:
    """ "max" for a metric whose name ends in one that grows as images get better, else "min"."""
    return "max" if metric.endswith(GROWS_BETTER) else "min"
