"""Sums in float64 on every device, those without float64 included, as Apple's GPU is."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

WITHOUT_FLOAT64 = ("mps",)  # types of devices


def has_float64(device: torch.device) -> bool:
    """Whether tensors of the device can be float64."""
    return device.type not in WITHOUT_FLOAT64


def precise(values: Tensor) -> Tensor:
    """The values as float64: on their device, or on the CPU where theirs has none."""
    return (values if has_float64(values.device) else values.cpu()).double()


def precise_sum(values: Tensor) -> Tensor:
    """The sum of N x ... values as a float64 scalar: on their device or, where that has no float64, on the CPU, of sums
    over each of the N, which the device takes in float32."""
    if has_float64(values.device):
        return values.sum(dtype=torch.float64)
    return precise(values.reshape(len(values), -1).sum(1)).sum()


class PreciseMetric(Metric):
    """A metric whose states are float64. They follow it to every device that has float64, and stay on the CPU else."""

    def _apply(self, fn: Callable[[Tensor], Tensor], exclude_state: Sequence[str] = "") -> Any:
        device = fn(torch.zeros(1)).device  # torch moves modules by such functions, which do not tell where to
        return super()._apply(fn, exclude_state) if has_float64(device) else self
