"""The LightningModule of a classifier: an encoder that is trained to name the label. Nothing is reconstructed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer
from torchmetrics.classification import MulticlassConfusionMatrix

from diabolo.data.pixels import PixelScale
from diabolo.errors import ReconstructsNothing, UserError
from diabolo.measures.precise import precise
from diabolo.network.classifier import Classifier
from diabolo.training.given import given
from diabolo.training.learner import Learner
from diabolo.training.lightning_internals import datamodule_of
from diabolo.training.protocols import Augments, Batch, Corrupts

if TYPE_CHECKING:
    import numpy as np

    from diabolo.data.datamodule import ImageData


class ClassifierModule(Learner):
    """Trains a classifier by cross-entropy and measures loss, accuracy and the accuracy on each class.

    Outside training it speaks of images in [0, 1]: `encode`, `classify`, `features`, and called itself it gives the
    logits. It has no decoder, so that `decode` and `reconstruct` raise a UserError.

    Args:
        encoder, bottleneck, penalty: the network's; `task.head` puts a linear layer from the code to the classes.
        image_shape: (channels, height, width).
        classes: how many; labels are 0 to classes - 1.
        optimizer, scheduler, pixels, corruption, augmentation: as in `Learner`.

    Raises:
        UserError: the network does not fit the classes, or, when the training begins, the labels do not.
    """

    def __init__(
        self,
        encoder: nn.Module,
        bottleneck: nn.Module,
        image_shape: Sequence[int],
        classes: int,
        head: bool = False,
        optimizer: Callable[..., Optimizer] | None = None,
        scheduler: Callable[[Optimizer, int], dict[str, Any]] | None = None,
        pixels: PixelScale | None = None,
        corruption: Corrupts | None = None,
        penalty: nn.Module | None = None,
        augmentation: Augments | None = None,
    ) -> None:
        super().__init__(optimizer, scheduler, pixels, corruption, augmentation)
        self.classifier = Classifier(encoder, bottleneck, image_shape, classes, head, penalty)
        self.counts = nn.ModuleDict({split: MulticlassConfusionMatrix(classes) for split in ("val", "test")})

    # ---- the model, in [0, 1] ----

    def encode(self, images: Tensor | np.ndarray) -> Tensor:
        """N x C x H x W, as stored or floats in [0, 1] -> codes, N x size."""
        return self.classifier.encode(self._given(images))

    def forward(self, images: Tensor | np.ndarray) -> Tensor:
        """N x C x H x W, as stored or floats in [0, 1] -> logits, N x classes, float32."""
        return self.classifier(self._given(images))[0]

    def features(self, images: Tensor | np.ndarray) -> Tensor:
        """N x C x H x W, as stored or floats in [0, 1] -> what the last linear layer gets, N x numbers float32: what
        the network has made of the images when all that is left is to tell the classes apart by a plane."""
        return self.classifier.features(self._given(images))

    def _given(self, images: Tensor | np.ndarray) -> Tensor:
        return self.pixels.to_network(given("images", images, self.classifier.image_shape, self.device))

    def classify(self, images: Tensor | np.ndarray) -> Tensor:
        """N x C x H x W, as stored or floats in [0, 1] -> the likeliest label of each, N int64."""
        return self(images).argmax(1)

    @property
    def autoencoder(self) -> NoReturn:
        raise self._reconstructs_nothing()

    def decode(self, codes: Tensor) -> NoReturn:
        raise self._reconstructs_nothing()

    def reconstruct(self, images: Tensor) -> NoReturn:
        raise self._reconstructs_nothing()

    # ---- steps ----

    def trained(self) -> nn.Module:
        return self.classifier

    def training_loss(self, images: Tensor, labels: Tensor) -> Tensor:
        seen = images if self.corruption is None else self.corruption(images)
        logits, penalty = self.classifier(self.pixels.to_network(seen))
        return self._objective(logits, penalty, labels)

    def on_fit_start(self) -> None:
        data: ImageData = datamodule_of(self.trainer)
        labels = torch.cat([data.labels(split) for split in ("train", "val", "test")])
        classes = self.classifier.classes
        if strange := [label for label in labels.unique().tolist() if not 0 <= label < classes]:
            raise UserError(
                f"the data have images {f'of label {strange[-1]}' if strange[-1] >= 0 else 'without a label'}, and"
                f" `task.classes` (= {classes}) needs labels from 0 to {classes - 1}: set it, or choose labelled data."
            )

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self._measure("val", batch)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        self._measure("test", batch)

    def on_validation_epoch_end(self) -> None:
        self._report("val")

    def on_test_epoch_end(self) -> None:
        self._report("test")

    # ---- inside ----

    def _reconstructs_nothing(self) -> UserError:
        return ReconstructsNothing(
            "this run is a classifier: it has no decoder, and reconstructs nothing (its callbacks are"
            " callbacks=[classify])."
        )

    def _objective(self, logits: Tensor, penalty: Tensor | None, labels: Tensor) -> Tensor:
        """Cross-entropy in nats plus penalty, in float32 whatever the precision of the network."""
        with torch.autocast(logits.device.type, enabled=False):
            loss = F.cross_entropy(logits, labels)
            return loss if penalty is None else loss + penalty.float()

    def _measure(self, split: str, batch: Batch) -> None:
        images, labels = batch
        logits, penalty = self.classifier(self.pixels.to_network(self.corrupted(images)))
        self._counts(split).update(logits.argmax(1), labels)
        self.log(f"{split}/loss", self._objective(logits, penalty, labels), batch_size=len(labels), sync_dist=True)

    def _counts(self, split: str) -> MulticlassConfusionMatrix:
        return cast(MulticlassConfusionMatrix, self.counts[split])

    def _report(self, split: str) -> None:
        counts = precise(self._counts(split).compute())  # true class x named class
        self._counts(split).reset()
        right, images = counts.diagonal(), counts.sum(1)
        self.log(f"{split}/accuracy", (right.sum() / images.sum()).float())
        if split == "test":
            shares = enumerate((right / images).tolist())
            self.log_dict({f"test/class_{label}_accuracy": share for label, share in shares if images[label]})
