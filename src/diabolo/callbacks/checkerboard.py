"""The checkerboard that upsampling leaves in the reconstructions, as a number."""

from __future__ import annotations

from typing import Any

from lightning import Callback, LightningModule, Trainer

from diabolo.callbacks.pictures import data_of, reconstructing
from diabolo.measures.checkerboard import Checkerboard, check_sides


class CheckerboardScore(Callback):
    """Logs `test/checkerboard`, the peak in the spectrum of all reconstructions at the period of an upsampling (see
    `diabolo.measures.checkerboard`), `test/checkerboard_originals`, that of the images themselves, and their ratio
    `test/checkerboard_ratio`: about 1 if the network adds no pattern. None of them has a unit.

    Args:
        period: of the pattern in pixels: 2 is what the last upsampling by 2 leaves, 4 what the last but one.

    Raises:
        ConfigError: the images are too small for the period.
    """

    def __init__(self, period: int = 2) -> None:
        self.reconstructions, self.originals = Checkerboard(period), Checkerboard(period)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        reconstructing(pl_module)
        check_sides(data_of(trainer).image_shape[1:], self.originals.period)

    def on_test_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        for score in (self.reconstructions, self.originals):
            score.to(pl_module.device).reset()

    def on_test_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int, _: int = 0
    ) -> None:
        self.reconstructions.update(outputs["reconstructions"])
        self.originals.update(outputs["targets"])

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        reconstructions, originals = self.reconstructions.compute().float(), self.originals.compute().float()
        pl_module.log("test/checkerboard", reconstructions)
        pl_module.log("test/checkerboard_originals", originals)
        pl_module.log("test/checkerboard_ratio", reconstructions / originals)
