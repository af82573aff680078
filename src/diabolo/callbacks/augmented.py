"""Training images beside what an augmentation makes of them."""

from __future__ import annotations

from typing import cast

import torch
from lightning import Callback, LightningModule, Trainer

from diabolo.callbacks.layout import labelled, rows
from diabolo.callbacks.pictures import data_of, log_image
from diabolo.data.pixels import unit_interval
from diabolo.errors import check_int
from diabolo.training.learner import Learner


class Augmented(Callback):
    """Draws, before the first epoch, training images in the first row and below them what the run makes of them in its
    first epochs, an epoch a row. Draws nothing where there is no augmentation.

    Args:
        images: how many from the start of the training split.
        epochs: rows of augmented images.

    Raises:
        ConfigError: no such numbers.
    """

    def __init__(self, images: int = 10, epochs: int = 5) -> None:
        self.images, self.epochs = check_int("images", images), check_int("epochs", epochs)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        module = cast(Learner, pl_module)
        if module.augmentation is None or trainer.global_step or not trainer.is_global_zero:
            return
        data = data_of(trainer)
        indices = torch.arange(min(self.images, data.count("train")))
        pixels = data.images("train", indices).to(module.device)
        originals = unit_interval(pixels)
        drawn = [module.augmented(pixels, indices, epoch) for epoch in range(self.epochs)]
        names = ["image", *(f"epoch {epoch}" for epoch in range(1, self.epochs + 1))]
        log_image(trainer, "augmented", labelled(rows(map(data.shown, (originals, *drawn))), names), 0)
