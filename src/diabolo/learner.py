"""What every LightningModule here learns by: optimiser steps, schedules, and what a continued run needs."""

from collections.abc import Callable
from typing import Any

import torch
from lightning import LightningModule
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from diabolo.epoch_loss import ADVICE, EpochLoss
from diabolo.errors import ConfigError, Diverged

Batch = tuple[Tensor, Tensor]  # images (bytes or floats in [0, 1], N x C x H x W) and labels (N, -1 where unknown)
STEPS_BETWEEN_LOGS = 50


class Learner(LightningModule):
    """Takes optimiser steps on `training_loss`, which a subclass defines, logs the training loss once an epoch, and
    ends a run whose loss or weights are no longer finite.

    Args:
        optimizer: parameters -> optimiser.
        scheduler: (optimiser, total steps) -> Lightning's scheduler config, or None for a constant rate.
    """

    def __init__(
        self,
        optimizer: Callable[..., Optimizer] | None = None,
        scheduler: Callable[[Optimizer, int], dict[str, Any]] | None = None,
    ) -> None:
        super().__init__()
        self.optimizer = optimizer
        self.scheduler = scheduler
        self._epoch_loss = EpochLoss()
        self._batches: dict[str, Any] | None = None  # where the batches of a continued run stood
        self._scheduled_steps: int | None = None  # the length of a schedule that knows its end

    def trained(self) -> nn.Module:
        """The network whose weights the optimiser moves."""
        raise NotImplementedError

    def training_loss(self, images: Tensor, labels: Tensor) -> Tensor:
        """What a step lowers, a scalar in float32, for a minibatch of images and labels as in `Batch`."""
        raise NotImplementedError

    # ---- steps ----

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        loss = self.training_loss(*batch)
        value = loss.detach()
        self._epoch_loss.update(value, len(batch[0]), self.global_step)
        last = self.trainer.is_last_batch
        if last or self.global_step % STEPS_BETWEEN_LOGS == 0:
            self._epoch_loss.check()
            if self.logger is not None:
                self.logger.log_metrics({"train/batch_loss": float(value)}, step=self.global_step)
        if last:
            rates = self.trainer.optimizers[0].param_groups
            final = {
                "train/loss": self._epoch_loss.mean(),
                "train/last_batch_loss": value,
                "train/learning_rate": rates[0]["lr"],
            }
            self.log_dict(final, on_step=False, on_epoch=True, batch_size=1, sync_dist=True)
            self._epoch_loss.reset()
        return loss

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        if self.trainer.is_last_batch and not all(bool(p.isfinite().all()) for p in self.parameters()):
            raise Diverged(f"the weights are no longer finite numbers after step {self.global_step}{ADVICE}")

    def on_train_epoch_end(self) -> None:
        """Steps a plateau schedule here and not by Lightning, which does it after the checkpoint is written: a
        continued run would miss the step."""
        for config in self.trainer.lr_scheduler_configs:
            if isinstance(config.scheduler, ReduceLROnPlateau):
                config.scheduler.step(self._measured("scheduler.monitor", str(config.monitor)))
        for watching in (*self.trainer.checkpoint_callbacks, *self.trainer.early_stopping_callbacks):
            if watching.monitor is not None:  # type: ignore[attr-defined]
                self._measured("trainer.monitor", watching.monitor)  # type: ignore[attr-defined]

    def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
        if not isinstance(scheduler, ReduceLROnPlateau):
            scheduler.step()

    def configure_optimizers(self) -> Any:
        assert self.optimizer is not None, "a module that is to be trained needs an optimiser"
        optimizer = self.optimizer(self.trained().parameters())
        if self.scheduler is None:
            return optimizer
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = {"strict": False, **self.scheduler(optimizer, steps)}
        if schedule.get("interval") == "step":
            self._scheduled_steps = steps
        return {"optimizer": optimizer, "lr_scheduler": schedule}

    # ---- what a continued run needs beside the weights ----

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["epoch_loss"] = self._epoch_loss.state()
        checkpoint["rng"] = torch.get_rng_state()
        checkpoint["cuda_rng"] = torch.cuda.get_rng_state(self.device) if self.device.type == "cuda" else None
        checkpoint["scheduled_steps"] = self._scheduled_steps
        batches: Any = self.trainer.train_dataloader
        checkpoint["batches"] = batches.state_dict() if hasattr(batches, "state_dict") else None

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        if self._trainer is not None and self._trainer.training:
            planned = checkpoint["scheduled_steps"]
            if planned is not None and planned != self.trainer.estimated_stepping_batches:
                raise ConfigError(
                    f"the learning rates of this run were scheduled for {planned} steps, not for"
                    f" {self.trainer.estimated_stepping_batches}: start a new run for another number of epochs."
                )
            self._epoch_loss.load(checkpoint["epoch_loss"])
            torch.set_rng_state(checkpoint["rng"])
            if checkpoint["cuda_rng"] is not None and self.device.type == "cuda":
                torch.cuda.set_rng_state(checkpoint["cuda_rng"], self.device)
            self._batches = checkpoint["batches"]

    def on_train_start(self) -> None:
        """Takes the batches to where they stood: Lightning, which does it too, forgets it where a schedule has asked
        for the number of steps before the checkpoint is read."""
        batches: Any = self.trainer.train_dataloader
        if self._batches is not None:
            batches.load_state_dict(self._batches)
            self._batches = None
        if getattr(batches, "smallest", 0) == 1 and any(isinstance(layer, _BatchNorm) for layer in self.modules()):
            raise ConfigError(
                f"`data.batch_size` (= {batches.order.batch_size}) leaves a batch of one image at the end of each epoch"
                f" of {batches.order.images}, and batch normalisation needs two: choose another."
            )

    # ---- inside ----

    def _measured(self, argument: str, name: str) -> Tensor:
        metrics = self.trainer.callback_metrics
        if name not in metrics:
            raise ConfigError(
                f"`{argument}` (= {name!r}) is not measured in this run; there are {', '.join(sorted(metrics))}"
                " (val/* needs data.val_fraction above 0)."
            )
        return metrics[name]
