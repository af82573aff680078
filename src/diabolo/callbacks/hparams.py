"""Hyperparameters and final metrics for TensorBoard's HParams tab."""

from collections.abc import Mapping
from typing import Any

from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger

METRICS = (
    *(f"{split}/{name}" for split in ("val", "test") for name in ("mse", "mae", "psnr", "ssim")),
    "test/pca_mse",
    "code/dead_units",
    "output/constant",
)


class HParams(Callback):
    """Writes the run's row of the HParams table: not-a-number until each metric is first logged, so that a crashed run
    shows. The table then has the last value of each.

    Args:
        params: name -> value; the same names in every run, since the table's columns come from one of them.
    """

    def __init__(self, params: Mapping[str, Any]) -> None:
        self.params = {name: value if isinstance(value, int | float) else str(value) for name, value in params.items()}

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                logger.log_hyperparams(self.params, dict.fromkeys(METRICS, float("nan")), step=0)
