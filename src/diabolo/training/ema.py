"""An average of the weights, which is then what is validated, drawn and tested."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from diabolo.errors import ConfigError, check_positive
from diabolo.training.lightning_internals import callbacks_of


class EMA(Callback):
    """Exponential moving average of the weights with a warm-up: decay min(`decay`, (1 + t) / (10 + t)) at update t, so
    that short runs are not held at their initial weights (as in TensorFlow's `ExponentialMovingAverage`).

    It takes every optimiser step, where Lightning's `WeightAveraging` would take one a block of steps. Its checkpoints
    are those of `WeightAveraging`: `state_dict` holds the average, `current_model_state` the weights that are trained.

    Args:
        decay: the part of the average that stays in a step, between 0 and 1.

    Raises:
        ConfigError: a decay out of range.
    """

    def __init__(self, decay: float) -> None:
        if check_positive("trainer.ema", decay) >= 1:
            raise ConfigError("trainer.ema", decay, "must lie between 0 and 1")
        self.decay = decay
        self.averaged: AveragedModel | None = None  # during training
        self.last_step = 0  # that the average has taken

    def average(self, averaged: Tensor, current: Tensor, updates: Tensor | int) -> Tensor:
        """What `averaged` becomes of a weight that is now `current`, after so many updates."""
        if not current.is_floating_point():  # counts, and the grid of a finite code
            return current
        warm = min(self.decay, (1 + float(updates)) / (10 + float(updates)))
        return averaged * warm + current * (1 - warm)

    @torch.no_grad()
    def swap(self, module: LightningModule) -> None:
        """During training, has the module's weights and their average change places."""
        if self.averaged is not None:
            averages = chain(self.averaged.module.parameters(), self.averaged.module.buffers())
            for average, current in zip(averages, chain(module.parameters(), module.buffers()), strict=True):
                held = current.clone()
                current.copy_(average)
                average.copy_(held)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage == "fit":  # on the device where the module will be, and is not yet
            self.averaged = AveragedModel(pl_module, trainer.strategy.root_device, self.average, use_buffers=True)

    def on_step_end(self, trainer: Trainer, module: LightningModule, loss: Tensor) -> None:
        if self.averaged is not None and trainer.global_step > self.last_step:
            self.averaged.update_parameters(module)
            self.last_step = trainer.global_step

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.swap(pl_module)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.swap(pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.swap(pl_module)
        self.averaged = None  # the best checkpoint, which is measured next, has an average of its own

    def state_dict(self) -> dict[str, Any]:
        return {"latest_update_step": self.last_step}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.last_step = state_dict["latest_update_step"]

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        if self.averaged is not None:
            state = self.averaged.state_dict()
            average = {name: value for name, value in state.items() if name.startswith(MODULE)}
            checkpoint["current_model_state"] = checkpoint["state_dict"]
            checkpoint["state_dict"] = {name.removeprefix(MODULE): value for name, value in average.items()}
            checkpoint["averaging_state"] = {name: value for name, value in state.items() if name not in average}

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Lightning has loaded `state_dict` into the module by now."""
        if self.averaged is not None:
            average = {f"{MODULE}{name}": value for name, value in checkpoint["state_dict"].items()}
            self.averaged.load_state_dict(average | checkpoint["averaging_state"])
            pl_module.load_state_dict(checkpoint["current_model_state"])


MODULE = "module."  # before the names of `AveragedModel`'s weights


@contextmanager
def averaged_weights(module: LightningModule, trainer: Trainer | None) -> Iterator[None]:
    """During training, has the averaged weights in the module where there are any: they are what is kept.

    Lightning's own `WeightAveraging` swaps its weights in and out in the hooks around validation.
    """
    if trainer is None or not trainer.training:
        yield
        return
    averages = [callback for callback in callbacks_of(trainer) if isinstance(callback, EMA | WeightAveraging)]
    for average in averages:
        average.on_validation_epoch_start(trainer, module)
    try:
        yield
    finally:
        for average in averages:
            average.on_validation_epoch_end(trainer, module)
