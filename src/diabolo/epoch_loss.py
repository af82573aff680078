"""The training loss of an epoch, gathered without making a GPU wait."""

from typing import Any

import torch
from torch import Tensor

from diabolo.errors import Diverged

ADVICE = ": it diverged; lower optimizer.lr or set trainer.gradient_clip (checkpoints of finished epochs are kept)."


class EpochLoss:
    """Mean of the losses of an epoch and the first step that was not finite, both kept on the device of the losses, so
    that no step waits for it."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.total: Tensor | None = None
        self.bad_step: Tensor | None = None
        self.count = 0

    def update(self, loss: Tensor, images: int, step: int) -> None:
        if self.total is None or self.bad_step is None:
            self.total = torch.zeros((), dtype=torch.float64, device=loss.device)
            self.bad_step = torch.full((), -1, device=loss.device)
        elif self.total.device != loss.device:  # read from a checkpoint
            self.total, self.bad_step = self.total.to(loss.device), self.bad_step.to(loss.device)
        self.total += loss.double() * images
        self.count += images
        self.bad_step = torch.where((self.bad_step < 0) & ~loss.isfinite(), step, self.bad_step)

    def check(self) -> None:
        """Raises `Diverged` where a loss since the last reset was not finite. Waits for the device."""
        if self.bad_step is not None and self.bad_step.item() >= 0:
            raise Diverged(f"the loss is not a finite number at step {int(self.bad_step.item())}{ADVICE}")

    def mean(self) -> Tensor:
        assert self.total is not None
        return (self.total / self.count).float()

    def state(self) -> dict[str, Any]:
        return {"total": self.total, "bad_step": self.bad_step, "count": self.count}

    def load(self, state: dict[str, Any]) -> None:
        self.total, self.bad_step, self.count = state["total"], state["bad_step"], state["count"]
