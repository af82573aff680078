"""Ends trials of a search early that do worse than the others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lightning import Callback, LightningModule, Trainer
from optuna import Trial

from diabolo.errors import NotMeasured
from diabolo.training.recording import GivenUp


def measured(objective: str, metrics: Mapping[str, Any]) -> float:
    """`metrics[objective]` as a number.

    Raises:
        NotMeasured: there is none of that name, and which there are.
    """
    value = metrics.get(objective)
    if value is None or isinstance(value, str):
        names = sorted(m for m in metrics if not m.startswith(("test/", "versions/")) and m != "finished")
        raise NotMeasured("--objective", objective, f"is not measured in this run; there are {', '.join(names)}")
    return float(value)


class Pruning(Callback):
    """Reports a metric to Optuna after each epoch, and ends the run early where Optuna's pruner says so.

    Args:
        monitor: the metric that is reported, such as "val/mse".
        known: what this trial reported before it was cut off, by epoch.

    Raises:
        GivenUp: at the start of the next epoch, when the checkpoint of the last one is written.
        NotMeasured: the metric is not measured in each epoch.
    """

    def __init__(self, trial: Trial, monitor: str, known: dict[int, float]) -> None:
        self.trial = trial
        self.monitor = monitor
        self.reported = dict(known)
        for epoch, value in known.items():
            trial.report(value, epoch)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        epoch = trainer.current_epoch + 1
        if epoch not in self.reported:
            self.reported[epoch] = measured(self.monitor, trainer.callback_metrics)
            self.trial.report(self.reported[epoch], epoch)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.current_epoch in self.reported and self.trial.should_prune():
            value = self.reported[trainer.current_epoch]
            raise GivenUp(f"pruned after epoch {trainer.current_epoch}: {self.monitor} {value:.5g}")
