"""Learning-rate schedules: from the optimiser and the number of optimiser steps of the whole run to Lightning's
scheduler config, a mapping with `scheduler`, `interval` ("step" or "epoch") and, for a plateau, `monitor`."""

from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, OneCycleLR, ReduceLROnPlateau

from diabolo.errors import ConfigError
from diabolo.measures.metric_names import direction


def cosine(optimizer: Optimizer, total_steps: int, final: float = 0.0) -> dict[str, Any]:
    """From the optimiser's rate down to `final` along half a cosine, step by step (Loshchilov & Hutter 2017, without
    restarts)."""
    return {"scheduler": CosineAnnealingLR(optimizer, total_steps, eta_min=final), "interval": "step"}


def one_cycle(optimizer: Optimizer, total_steps: int, rise: float = 0.3) -> dict[str, Any]:
    """Up to the optimiser's rate over the first `rise` of the steps, then down to nearly 0 (Smith & Topin 2019).

    The momentum stays what the optimiser's config says.
    """
    if not 0 < rise < 1:
        raise ConfigError("scheduler.rise", rise, "must lie between 0 and 1")
    if rise * total_steps == 1:  # the peak would be step 0 itself, and PyTorch divides by the length of the way there
        rise *= 1 - 1e-9
    peaks = [group["lr"] for group in optimizer.param_groups]
    return {
        "scheduler": OneCycleLR(optimizer, peaks, total_steps, pct_start=rise, cycle_momentum=False),
        "interval": "step",
    }


def plateau(
    optimizer: Optimizer,
    total_steps: int,
    patience: int = 5,
    factor: float = 0.1,
    lowest: float = 0.0,
    monitor: str = "val/mse",
) -> dict[str, Any]:
    """Multiplies the rate by `factor` when `monitor`, the name of a logged metric, has not got better for `patience`
    epochs, but not below `lowest`."""
    scheduler = ReduceLROnPlateau(optimizer, direction(monitor), factor=factor, patience=patience, min_lr=lowest)
    return {"scheduler": scheduler, "interval": "epoch", "monitor": monitor}
