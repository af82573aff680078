"""Anomaly detection: images that the network was not trained on are those that it reconstructs badly."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from lightning import Callback, LightningModule, Trainer
from sklearn.metrics import average_precision_score, roc_auc_score
from torch import Tensor

from diabolo.callbacks.anomaly_pictures import curves, histogram, most_anomalous
from diabolo.callbacks.per_image import gathered
from diabolo.callbacks.pictures import asking, data_of, log_image, with_decoder
from diabolo.data.datamodule import ImageData
from diabolo.errors import UserError, check_int
from diabolo.measures.pca import LinearCode, fitting_images


class Scored(NamedTuple):
    """The labelled test images with what the methods say of them, all N long on the CPU."""

    places: Tensor  # in the test split
    labels: Tensor
    anomalous: Tensor  # bool: of a class that was not trained on
    scores: dict[str, Tensor]  # method -> score, the higher the stranger; the run's own is the first


class Anomaly(Callback):
    """Scores each test image by the mean squared error of its reconstruction and logs how well that tells images of
    classes that were not trained on from the others: `test/auroc`, the area under the ROC curve (the chance that an
    anomalous image has the higher score), and `test/average_precision`, that under the precision-recall curve.

    Beside them, scored on the same images: `test/pca_*` by the reconstruction error of PCA of the same size, and
    `test/mean_image_*` by the squared distance from the mean training image. For each class, `test/class_K_auroc` and
    `test/class_K_average_precision` tell it from all classes of the other kind. Images without a label are left out.

    Histogram, curves and the most anomalous images with their reconstructions go to `pictures/anomaly_*/final.png`
    and to TensorBoard.

    Args:
        images: how many of the most anomalous images are drawn.
        most_images: PCA is fitted on so many of the training images at most.

    Raises:
        UserError: the training has all classes of the test, or images without a label.
    """

    def __init__(self, images: int = 24, most_images: int = 60_000) -> None:
        self.images = check_int("images", images)
        self.most_images = check_int("most_images", most_images, 2)
        self.parts: list[dict[str, Tensor]] = []

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        with_decoder(pl_module)
        labels = data_of(trainer).labels("train").unique()
        if bool((labels < 0).any()):
            raise UserError("callbacks.anomaly needs a class for every training image: these data have no labels.")
        asked = data_of(trainer).labels("test").unique()
        known = torch.isin(asked[asked >= 0], labels)
        if bool(known.all()) or not bool(known.any()):
            raise UserError(
                "callbacks.anomaly needs test images of classes that are trained on and of others: leave some out of"
                " the training by data.exclude_classes=[8] or data.train_classes=[8]."
            )

    def on_test_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.parts = []

    def on_test_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int, _: int = 0
    ) -> None:
        error = (outputs["reconstructions"] - outputs["targets"]).flatten(1).square().mean(1)
        self.parts.append({"mse": error.cpu(), "labels": batch[1].cpu()})

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        mine = {name: torch.cat([part[name] for part in self.parts]) for name in self.parts[0]}
        figures = gathered(mine, trainer.world_size)
        if not trainer.is_global_zero:
            return
        self.scored = self._score(data_of(trainer), pl_module, figures["mse"], figures["labels"])
        pl_module.log_dict(measure(self.scored), rank_zero_only=True)

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.is_global_zero or not trainer.global_step:  # an evaluation alone has made no step
            return
        scored, data, module = self.scored, data_of(trainer), pl_module
        own = next(iter(scored.scores.values()))
        top = own.argsort(descending=True)[: self.images]
        images = data.images("test", scored.places[top])
        with asking(module):
            ours = module.reconstruct(module.corrupted(images.to(module.device))).cpu()  # type: ignore[operator]
        log_image(trainer, "anomaly_scores", histogram(own, scored.anomalous), None)
        log_image(trainer, "anomaly_curves", curves(scored.scores, scored.anomalous), None)
        sheet = most_anomalous(images.float() / 255, ours, own[top], scored.labels[top], scored.anomalous[top])
        log_image(trainer, "anomaly_images", sheet, None)

    def _score(self, data: ImageData, module: Any, errors: Tensor, labels: Tensor) -> Scored:
        fitting = data.images("train", fitting_images(data.count("train"), data.image_shape, self.most_images))
        pca, mean = LinearCode(fitting, module.autoencoder.code_size), fitting.float().mean(0) / 255
        given: Callable[[Tensor], Tensor] = module.corrupted
        theirs: dict[str, list[Tensor]] = {"pca": [], "mean_image": []}
        for part in data.parts("test"):
            for name, guess in (("pca", pca.reconstruct(given(part))), ("mean_image", mean)):
                theirs[name].append((part.float() / 255 - guess).flatten(1).square().mean(1))
        scores = {"": errors} | {name: torch.cat(values) for name, values in theirs.items()}
        places = (labels >= 0).nonzero().flatten()
        anomalous = ~torch.isin(labels[places], data.labels("train").unique())
        return Scored(places, labels[places], anomalous, {name: values[places] for name, values in scores.items()})


def measure(scored: Scored) -> dict[str, float]:
    """The metrics that `Anomaly` logs."""
    figures: dict[str, float] = {}
    for name, scores in scored.scores.items():
        figures |= _areas(f"test/{name}_" if name else "test/", scored.anomalous, scores)
    own = next(iter(scored.scores.values()))
    for label in scored.labels.unique().tolist():
        of_class = scored.labels == label
        among = of_class | (scored.anomalous != scored.anomalous[of_class][0])  # the class and the other kind
        figures |= _areas(f"test/class_{label}_", scored.anomalous[among], own[among])
    return figures


def _areas(prefix: str, anomalous: Tensor, scores: Tensor) -> dict[str, float]:
    truth, values = anomalous.numpy(), scores.numpy()
    return {
        f"{prefix}auroc": float(roc_auc_score(truth, values)),
        f"{prefix}average_precision": float(average_precision_score(truth, values)),
    }
