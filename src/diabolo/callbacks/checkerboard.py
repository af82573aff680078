"""The checkerboard that upsampling leaves in the reconstructions, as a number."""

from __future__ import annotations

from typing import Any

from lightning import Callback, LightningModule, Trainer

from diabolo.callbacks.pictures import data_of, with_decoder
from diabolo.measures.checkerboard import Checkerboard, check_sides


class CheckerboardScore(Callback):
    """Logs `test/checkerboard`, the peak in the spectrum of all reconstructions at the period of an upsampling (see
    `diabolo.measures.checkerboard`), `test/checkerboard_originals`, that of the images themselves, and their ratio
    `test/checkerboard_ratio`: about 1 where the network adds no pattern.

    Args:
        period: of the pattern in pixels: 2 is what the last upsampling by 2 leaves, 4 what the last but one.

    Raises:
        UserError: the images are too small for the period.
    """

    def __init__(self, period: int = 2) -> None:
        self.ours, self.theirs = Checkerboard(period), Checkerboard(period)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        with_decoder(pl_module)
        check_sides(data_of(trainer).image_shape[1:], self.ours.period)

    def on_test_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        for score in (self.ours, self.theirs):
            score.to(pl_module.device).reset()

    def on_test_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int, _: int = 0
    ) -> None:
        self.ours.update(outputs["reconstructions"])
        self.theirs.update(outputs["targets"])

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        ours, theirs = self.ours.compute().float(), self.theirs.compute().float()
        pl_module.log("test/checkerboard", ours)
        pl_module.log("test/checkerboard_originals", theirs)
        pl_module.log("test/checkerboard_ratio", ours / theirs)
