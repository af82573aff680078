"""What every LightningModule here learns by: optimiser steps, schedules, and what a continued run needs."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from lightning import LightningModule
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from diabolo.data.batches import Batches, Resumable, ResumableSampler
from diabolo.data.chance import seen_in
from diabolo.data.pixels import PixelScale
from diabolo.errors import Diverged, NotMeasured, UserError
from diabolo.measures.image_metrics import ImageMetric
from diabolo.network.torch_internals import leave_scaling
from diabolo.training.epoch_loss import ADVICE, EpochLoss
from diabolo.training.fused_adam import kernel_of
from diabolo.training.lightning_internals import callbacks_of, count_done, counted_step, log_by_steps, trainer_of
from diabolo.training.protocols import AfterStep, Augments, Batch, Corrupts

STEPS_BETWEEN_LOGS = 50


class Learner(LightningModule):
    """Takes optimiser steps on `training_loss`, which a subclass defines, logs the training loss once an epoch, and
    ends a run whose loss or weights are no longer finite. A subclass that defines a hook that is here calls it, too.

    Args:
        optimizer: parameters -> optimiser.
        scheduler: (optimiser, total steps) -> Lightning's scheduler config, or None for a constant rate.
        pixels: the scale that the network is trained on, by default [0, 1].
        corruption: what is done to the images before the network sees them, if anything.
        augmentation: what is done to the training images before that, if anything.
    """

    def __init__(
        self,
        optimizer: Callable[..., Optimizer] | None = None,
        scheduler: Callable[[Optimizer, int], dict[str, Any]] | None = None,
        pixels: PixelScale | None = None,
        corruption: Corrupts | None = None,
        augmentation: Augments | None = None,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.gradient_clip: float | None = None  # the gradient's largest norm
        self.optimizer = optimizer
        self.scheduler = scheduler
        self.pixels = pixels or PixelScale()
        self.corruption = corruption
        self.augmentation = augmentation
        self.metrics: dict[str, ImageMetric] = {}  # measured beside the module's own
        self._epoch_order: tuple[ResumableSampler, int, Tensor] | None = None  # of this sampler in this epoch
        self._epoch_loss = EpochLoss()
        self._batches: dict[str, Any] | None = None  # where the batches of a continued run stood
        self._schedule: dict[str, Any] = {}  # Lightning's scheduler config, with its interval and monitor
        self._minibatch: int | None = None  # images a step; None: the batches come from a loader that knows no blocks

    def trained(self) -> nn.Module:
        """The network whose weights the optimiser moves."""
        raise NotImplementedError

    def training_loss(self, images: Tensor, labels: Tensor) -> Tensor:
        """What a step lowers, a scalar in float32, for a minibatch of images and labels as in `Batch`."""
        raise NotImplementedError

    def also_measure(self, metrics: Mapping[str, ImageMetric]) -> None:
        """Has validation and test measure further metrics of reconstructions, by name.

        Raises:
            UserError: there are some, and the module reconstructs nothing.
        """
        if metrics:
            raise UserError(
                "`metrics` compare reconstructions with images, and this task makes none: take metrics=none."
            )

    def corrupted(self, images: Tensor) -> Tensor:
        """What the network is measured on: `images` themselves or, where there is a corruption, each of them corrupted
        as ever, float32 in [0, 1]. N x C x H x W in and out."""
        return images if self.corruption is None else self.corruption.fixed(images)

    def augmented(self, images: Tensor, indices: Tensor, epoch: int) -> Tensor:
        """Training images, N x C x H x W, as a step of an epoch gets them: `images` themselves or, where there is an
        augmentation, what it makes of the images at these `indices` of the split, N int64, float32 in [0, 1]."""
        if self.augmentation is None:
            return images
        return self.augmentation(images, seen_in(self._order().seed, epoch, indices.to(images.device)))

    # ---- steps ----

    def training_step(self, block: Batch, batch_idx: int) -> Tensor:
        """Takes one optimiser step for each minibatch of a block, so that what Lightning does around a step is paid
        once a block. The steps are those of a plain loop, whatever the size of the block."""
        first, step = self.global_step, self._stepper()
        size = self._minibatch or len(block[0])
        losses = [step(*minibatch) for minibatch in self._minibatches(block, size)]
        values = torch.stack(losses).tolist()  # a GPU waits here, once a block
        self._epoch_loss.update(values, len(block[0]), size, first)
        log_by_steps(self.trainer, self.global_step - first - 1)
        if self.logger is not None:
            for number, value in enumerate(values[: self.global_step - first], first + 1):
                if number % STEPS_BETWEEN_LOGS == 0:
                    self.logger.log_metrics({"train/batch_loss": value}, step=number)
        if self.trainer.is_last_batch:
            self._report_epoch(losses[-1])
        return losses[-1]

    def _minibatches(self, block: Batch, size: int) -> Iterator[Batch]:
        """The minibatches of a block, of `size` images, each augmented when its step comes."""
        minibatches = zip(block[0].split(size), block[1].split(size), strict=True)
        if self.augmentation is None:
            return minibatches
        indices = self._indices(len(block[0])).split(size)
        return (
            (self.augmented(images, mine, self.current_epoch), labels)
            for (images, labels), mine in zip(minibatches, indices, strict=True)
        )

    def _indices(self, count: int) -> Tensor:
        """The indices in the split of the last `count` images that the batches have handed out, int64."""
        order = self._order()
        if self._epoch_order is None or self._epoch_order[:2] != (order, order.epoch):
            self._epoch_order = order, order.epoch, order.indices()
        end = min(order.done * order.batch_size, order.images)
        return self._epoch_order[2][end - count : end]

    def _order(self) -> ResumableSampler:
        """The order of the training images.

        Raises:
            UserError: the batches come from a loader that has none.
        """
        batches = self.trainer.train_dataloader
        if not isinstance(batches, Batches):
            raise UserError(
                "`augmentation` draws its numbers for each image, and these batches do not say which images they hold:"
                " train on a diabolo.data.ImageData."
            )
        return batches.order

    def _stepper(self) -> Callable[[Tensor, Tensor], Tensor]:
        """minibatch -> its loss, after one optimiser step. What the steps share is looked up once."""
        wrapped: Any = self.optimizers()
        scaler = self.trainer.scaler  # of precision 16-mixed
        plain = scaler is None and self.trainer.world_size == 1  # else Lightning's way round the backward pass
        parameters = [weights for group in wrapped.param_groups for weights in group["params"]]
        schedule = self._schedule.get("scheduler") if self._schedule.get("interval") == "step" else None
        optimizer: Optimizer = wrapped.optimizer
        if scaler is not None:
            update = counted_step(wrapped, _scaled_step(scaler, optimizer))
        else:
            update = counted_step(wrapped, kernel_of(optimizer) or optimizer.step) if plain else wrapped.step
        after_step = [callback for callback in callbacks_of(self.trainer) if isinstance(callback, AfterStep)]

        def step(images: Tensor, labels: Tensor) -> Tensor:
            for weights in parameters:
                weights.grad = None
            loss = self.training_loss(images, labels)
            if plain:
                loss.backward()
            else:
                self.manual_backward(loss)
            if self.gradient_clip is not None:
                if scaler is not None:
                    scaler.unscale_(optimizer)
                clip_grad_norm_(parameters, self.gradient_clip)
            loss = loss.detach()
            if update() is False:  # the gradients were not finite
                return loss
            if schedule is not None:
                schedule.step()
            for callback in after_step:
                callback.on_step_end(self.trainer, self, loss)
            return loss

        return step

    def _report_epoch(self, last_loss: Tensor) -> None:
        final = {
            "train/loss": self._epoch_loss.mean(),
            "train/last_batch_loss": last_loss,
            "train/learning_rate": self.trainer.optimizers[0].param_groups[0]["lr"],
        }
        self.log_dict(final, on_step=False, on_epoch=True, batch_size=1, sync_dist=True)
        self._epoch_loss.reset()

    def on_train_epoch_start(self) -> None:
        if isinstance(batches := self.trainer.train_dataloader, Batches):
            batches.order.set_epoch(self.current_epoch)

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        if self.trainer.is_last_batch and not all(bool(p.isfinite().all()) for p in self.parameters()):
            raise Diverged(f"the weights are no longer finite numbers after step {self.global_step}{ADVICE}")

    def on_train_epoch_end(self) -> None:
        """Steps a schedule by epochs; a plateau's by what it watches."""
        if self._schedule.get("interval") == "epoch":
            scheduler = self._schedule["scheduler"]
            if isinstance(scheduler, ReduceLROnPlateau):
                scheduler.step(self._measured("scheduler.monitor", self._schedule["monitor"]))
            else:
                scheduler.step()
        for watching in callbacks_of(self.trainer):
            if isinstance(watching, ModelCheckpoint | EarlyStopping) and watching.monitor is not None:
                self._measured("trainer.monitor", watching.monitor)

    def configure_optimizers(self) -> Any:
        assert self.optimizer is not None, "a module that is to be trained needs an optimiser"
        optimizer = self.optimizer(self.trained().parameters())
        if self.scheduler is None:
            return optimizer
        self._schedule = {"interval": "epoch", **self.scheduler(optimizer, self._steps())}
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": self._schedule["scheduler"]}}

    def _steps(self) -> int:
        """Optimiser steps of the whole run."""
        calls = int(self.trainer.estimated_stepping_batches)  # of `training_step`; loads the training data
        batches = self.trainer.train_dataloader
        return len(batches.order) * int(self.trainer.max_epochs or 1) if isinstance(batches, Batches) else calls

    # ---- what a continued run needs beside the weights ----

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["epoch_loss"] = self._epoch_loss.state()
        checkpoint["rng"] = torch.get_rng_state()
        checkpoint["cuda_rng"] = torch.cuda.get_rng_state(self.device) if self.device.type == "cuda" else None
        checkpoint["mps_rng"] = torch.mps.get_rng_state() if self.device.type == "mps" else None
        checkpoint["scheduled_steps"] = self._steps() if self._schedule.get("interval") == "step" else None
        batches = self.trainer.train_dataloader
        checkpoint["batches"] = batches.state_dict() if isinstance(batches, Resumable) else None

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        trainer = trainer_of(self)
        if trainer is not None and trainer.training:
            planned = checkpoint["scheduled_steps"]
            if planned is not None and planned != self._steps():
                raise UserError(
                    f"the learning rates of this run were scheduled for {planned} steps, not for {self._steps()}:"
                    " start a new run for another number of epochs or of trainer.devices."
                )
            self._epoch_loss.load(checkpoint["epoch_loss"])
            torch.set_rng_state(checkpoint["rng"])
            device = trainer.strategy.root_device  # where the module will be, and is not yet
            if checkpoint["cuda_rng"] is not None and device.type == "cuda":
                torch.cuda.set_rng_state(checkpoint["cuda_rng"], device)
            if checkpoint.get("mps_rng") is not None and device.type == "mps":  # older checkpoints have none
                torch.mps.set_rng_state(checkpoint["mps_rng"])
            self._batches = checkpoint["batches"]

    def on_train_start(self) -> None:
        """Takes the batches to where they stood: Lightning, which does it too, forgets it where a schedule has asked
        for the number of steps before the checkpoint is read."""
        batches = self.trainer.train_dataloader
        if self._batches is not None and isinstance(batches, Resumable):
            batches.load_state_dict(self._batches)
            self._batches = None
            if isinstance(batches, Batches):
                count_done(self.trainer, batches.blocks_done)
        if not isinstance(batches, Batches):
            return
        batches.order.set_epoch(self.current_epoch)  # a run that goes on within an epoch meets no start of one
        self._minibatch = batches.order.batch_size
        norms = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
        if batches.smallest == 1 and any(isinstance(layer, norms) for layer in self.modules()):
            raise UserError(
                f"`data.batch_size` (= {batches.order.batch_size}) leaves a batch of one image at the end of each epoch"
                f" of {batches.order.images}, and batch normalisation needs two: choose another."
            )

    # ---- inside ----

    def _measured(self, argument: str, name: str) -> Tensor:
        metrics = self.trainer.callback_metrics
        if name not in metrics:
            there = ", ".join(sorted(metrics))
            rule = f"is not measured in this run; there are {there} (val/* needs data.val_fraction above 0)"
            raise NotMeasured(argument, name, rule)
        return metrics[name]


def _scaled_step(scaler: torch.amp.GradScaler, optimizer: Optimizer) -> Callable[[], bool]:
    """A step by scaled gradients; False where they were not finite, and the step was left out. Asking has a GPU waited
    for at every step."""
    leave_scaling(optimizer)

    def step() -> bool:
        scale = scaler.get_scale()
        scaler.step(optimizer)
        scaler.update()
        return scaler.get_scale() >= scale

    return step
