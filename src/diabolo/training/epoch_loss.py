"""The training loss of an epoch."""

from collections.abc import Sequence
from math import isfinite
from typing import Any

from diabolo.errors import Diverged

ADVICE = ": it diverged; lower optimizer.lr or set trainer.gradient_clip (checkpoints of finished epochs are kept)."


class EpochLoss:
    """Mean of the training loss over the images of an epoch, gathered block by block."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.total, self.images = 0.0, 0

    def update(self, losses: Sequence[float], images: int, size: int, step: int) -> None:
        """Adds the losses of the minibatches of a block: `images` in all, `size` in each but the last.

        Raises:
            Diverged: a loss is not a finite number; `step` counts those before the block.
        """
        for number, loss in enumerate(losses):
            if not isfinite(loss):
                raise Diverged(f"the loss is not a finite number at step {step + number}{ADVICE}")
            self.total += loss * min(size, images - number * size)
        self.images += images

    def mean(self) -> float:
        return self.total / self.images

    def state(self) -> dict[str, Any]:
        return {"total": self.total, "images": self.images}

    def load(self, state: dict[str, Any]) -> None:
        self.total, self.images = state["total"], state["images"]
