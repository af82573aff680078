"""Hyperparameters and final metrics for TensorBoard's HParams tab."""

from collections.abc import Mapping
from typing import Any, cast

from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger

from diabolo.measures.metric_names import YARDSTICK
from diabolo.training.learner import Learner

PREFIX = "final/"  # apart from the curves: written once, for the best weights
METRICS = (
    *(f"{split}/{name}" for split in ("val", "test") for name in YARDSTICK),
    "test/pca_mse",
    "code/dead_units",
    "output/constant",
)


class HParams(Callback):
    """Writes the run's row of the HParams table: the metrics of the best weights, as in `metrics.json`, under `final/`.
    Until the run is done they are not-a-number, so that one sees which run crashed.

    Args:
        params: name -> value; the same names in every run, since the table's columns come from one of them.
    """

    def __init__(self, params: Mapping[str, Any]) -> None:
        self.params = {name: value if isinstance(value, int | float) else str(value) for name, value in params.items()}
        self.final: dict[str, float] = {}

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                unknown = {f"{PREFIX}{name}": float("nan") for name in columns(pl_module)}
                logger.log_hyperparams(self.params, unknown, step=0)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._take(trainer, pl_module)

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._take(trainer, pl_module)
        for logger in trainer.loggers:
            logger.log_metrics({f"{PREFIX}{name}": value for name, value in self.final.items()}, trainer.global_step)

    def _take(self, trainer: Trainer, module: LightningModule) -> None:
        metrics, wanted = trainer.callback_metrics, columns(module)
        self.final |= {name: float(value) for name, value in metrics.items() if name in wanted}


def columns(module: LightningModule) -> tuple[str, ...]:
    """The metrics that are columns of the table: the same in every run, and what `metrics=` adds to this one."""
    further = cast(Learner, module).metrics
    return (*METRICS, *(f"{split}/{name}" for split in ("val", "test") for name in further))
