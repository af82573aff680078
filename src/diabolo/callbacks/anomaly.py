"""Anomaly detection: images that the network was not trained on are those that it reconstructs badly."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from lightning import Callback, LightningModule, Trainer
from matplotlib import rc_context
from matplotlib.figure import Figure
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score, roc_curve
from torch import Tensor

from diabolo.callbacks.layout import figure_image
from diabolo.callbacks.per_image import gathered
from diabolo.callbacks.pictures import after_training, asking, data_of, log_image, reconstructing
from diabolo.data.pixels import unit_interval
from diabolo.errors import UserError, check_int
from diabolo.measures.pca import pca_of
from diabolo.plotting import COLOURS, STYLE

if TYPE_CHECKING:
    from diabolo.data.datamodule import ImageData
    from diabolo.training.autoencoder_module import AutoencoderModule

NORMAL, ANOMALOUS = COLOURS[:2]
BINS = 60  # of the histogram
IN_A_ROW = 8  # images of the picture of the most anomalous
DPI = 110


class Scored(NamedTuple):
    """The labelled test images and their anomaly scores by each method, all N long, on the CPU."""

    places: Tensor  # in the test split
    labels: Tensor
    anomalous: Tensor  # bool: of a class that was not trained on
    scores: dict[str, Tensor]  # method -> score, the higher the more anomalous; the run's own, "", comes first


class Anomaly(Callback):
    """Scores each test image by the mean squared error of its reconstruction and logs how well that tells images of
    classes that were not trained on from the others: `test/auroc`, the area under the ROC curve (the probability that
    an anomalous image has the higher score of two), and `test/average_precision`, the area under the precision-recall
    curve.

    Beside them, scored on the same images: `test/pca_*` by the reconstruction error of PCA of the same size, and
    `test/mean_image_*` by the squared distance from the mean training image. For each class, `test/class_K_auroc` and
    `test/class_K_average_precision` tell it from all classes of the other kind. Images without a label are left out.
    The protocol is that of Ruff et al., "Deep one-class classification", 2018, section 4.2.

    Histogram, curves and the most anomalous images with their reconstructions go to `pictures/anomaly_*/final.png`
    and to TensorBoard.

    Args:
        images: how many of the most anomalous images are drawn.
        most_images: the most training images that PCA is fitted on, spread evenly over them.

    Raises:
        UserError: the training has all classes of the test, or images without a label.
    """

    def __init__(self, images: int = 24, most_images: int = 60_000) -> None:
        self.images = check_int("images", images)
        self.most_images = check_int("most_images", most_images, 2)
        self.parts: list[dict[str, Tensor]] = []

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        reconstructing(pl_module)
        trained_on = data_of(trainer).labels("train").unique()
        if bool((trained_on < 0).any()):
            raise UserError("callbacks.anomaly needs a class for every training image: these data have no labels.")
        tested = data_of(trainer).labels("test").unique()
        known = torch.isin(tested[tested >= 0], trained_on)
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
        module = reconstructing(pl_module)
        self.scored = self._score(data_of(trainer), module, figures["mse"], figures["labels"])
        pl_module.log_dict(measure(self.scored), rank_zero_only=True)

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not after_training(trainer):
            return
        scored, module, data = self.scored, reconstructing(pl_module), data_of(trainer)
        own = scored.scores[""]
        top = own.argsort(descending=True)[: self.images]
        images = data.images("test", scored.places[top])
        with asking(module):
            seen = module.corrupted(images.to(module.device))
            reconstructions = module.reconstruct(seen, scored.labels[top]).cpu()
        log_image(trainer, "anomaly_scores", histogram(own, scored.anomalous), None)
        log_image(trainer, "anomaly_curves", curves(scored.scores, scored.anomalous), None)
        pairs = most_anomalous(
            data.shown(unit_interval(images)),
            data.shown(reconstructions),
            own[top],
            scored.labels[top],
            scored.anomalous[top],
        )
        log_image(trainer, "anomaly_images", pairs, None)

    def _score(self, data: ImageData, module: AutoencoderModule, errors: Tensor, labels: Tensor) -> Scored:
        pca = pca_of(data, module.autoencoder.code_size, self.most_images)
        baselines: dict[str, list[Tensor]] = {"pca": [], "mean_image": []}
        for part in data.parts("test"):
            for name, guess in (("pca", pca.reconstruct(module.corrupted(part))), ("mean_image", pca.mean_image)):
                baselines[name].append((unit_interval(part) - guess).flatten(1).square().mean(1))
        scores = {"": errors} | {name: torch.cat(values) for name, values in baselines.items()}
        places = (labels >= 0).nonzero().flatten()
        anomalous = ~torch.isin(labels[places], data.labels("train").unique())
        return Scored(places, labels[places], anomalous, {name: values[places] for name, values in scores.items()})


def measure(scored: Scored) -> dict[str, float]:
    """The metrics that `Anomaly` logs."""
    figures: dict[str, float] = {}
    for name, scores in scored.scores.items():
        figures |= _areas(f"test/{name}_" if name else "test/", scored.anomalous, scores)
    for label in scored.labels.unique().tolist():
        of_class = scored.labels == label
        among = of_class | (scored.anomalous != scored.anomalous[of_class][0])  # the class and the other kind
        figures |= _areas(f"test/class_{label}_", scored.anomalous[among], scored.scores[""][among])
    return figures


def _areas(prefix: str, anomalous: Tensor, scores: Tensor) -> dict[str, float]:
    truth, values = anomalous.numpy(), scores.numpy()
    return {
        f"{prefix}auroc": float(roc_auc_score(truth, values)),
        f"{prefix}average_precision": float(average_precision_score(truth, values)),
    }


def histogram(scores: Tensor, anomalous: Tensor) -> Tensor:
    """The scores of normal and of anomalous images, each as a density: N scores, N bool -> 3 x H x W in [0, 1]."""
    edges = np.linspace(0, float(scores.quantile(0.999)), BINS + 1)
    with rc_context(STYLE):
        figure = Figure(figsize=(6.4, 4), dpi=DPI, facecolor="white", layout="constrained")
        axes = figure.add_subplot()
        for kind, colour, which in (("normal", NORMAL, ~anomalous), ("anomalous", ANOMALOUS, anomalous)):
            label = f"{kind}, {int(which.sum()):,} images"
            axes.hist(scores[which].numpy(), edges.tolist(), density=True, color=colour, alpha=0.55, label=label)
        axes.set(xlabel="score: mean squared error of the reconstruction", ylabel="density", xlim=(0, edges[-1]))
        axes.legend(loc="upper right")
        return figure_image(figure)


def curves(scores: Mapping[str, Tensor], anomalous: Tensor) -> Tensor:
    """ROC and precision-recall curves of all methods, with the areas under them: 3 x H x W in [0, 1].

    Args:
        scores: method -> N scores; the run's own, "", comes first.
        anomalous: N bool.
    """
    truth = anomalous.numpy()
    with rc_context(STYLE):
        figure = Figure(figsize=(9.6, 4.6), dpi=DPI, facecolor="white", layout="constrained")
        roc, precision = figure.subplots(1, 2)
        for place, (name, values) in enumerate(scores.items()):
            label = name.replace("_", " ").replace("pca", "PCA") or "this run"
            style = {"color": COLOURS[place], "lw": 2 if place == 0 else 1.2, "zorder": -place}
            false, true, _ = roc_curve(truth, values.numpy())
            roc.plot(false, true, label=f"{label}, area {roc_auc_score(truth, values.numpy()):.3f}", **style)
            height, recall, _ = precision_recall_curve(truth, values.numpy())
            area = average_precision_score(truth, values.numpy())
            precision.plot(recall, height, label=f"{label}, average {area:.3f}", drawstyle="steps-post", **style)
        roc.plot([0, 1], [0, 1], color="0.6", ls=":", label="chance")
        precision.axhline(truth.mean(), color="0.6", ls=":", label=f"chance, {truth.mean():.3f}")
        roc.set(xlabel="false positive rate", ylabel="true positive rate", title="ROC", aspect="equal")
        precision.set(xlabel="recall", ylabel="precision", title="precision and recall", aspect="equal", ylim=(0, 1.02))
        roc.legend(loc="lower right")
        precision.legend(loc="lower left")
        return figure_image(figure)


def most_anomalous(
    images: Tensor, reconstructions: Tensor, scores: Tensor, labels: Tensor, anomalous: Tensor
) -> Tensor:
    """Each image over its reconstruction, with score and label; those of normal classes, false alarms, in blue.

    Args:
        images, reconstructions: N x C x H x W in [0, 1], grey or colour.
        scores, labels, anomalous: N each.

    Returns:
        3 x H' x W' in [0, 1].
    """
    lines = -(-len(images) // IN_A_ROW)
    gap = torch.ones_like(images[:, :, : max(1, images.shape[2] // 14)])  # white, N x C x h x W
    pairs = torch.cat([images, gap, reconstructions.clamp(0, 1)], 2)  # N x C x 2H+h x W
    pixels = pairs.permute(0, 2, 3, 1).squeeze(3).numpy()  # N x 2H+h x W (x 3)
    with rc_context(STYLE | {"axes.grid": False}):
        figure = Figure(figsize=(1.25 * IN_A_ROW, 2.85 * lines + 0.4), dpi=DPI, facecolor="white", layout="constrained")
        figure.suptitle("highest scores first; images over reconstructions; blue: of a class that was trained on")
        for place, axes in enumerate(figure.subplots(lines, IN_A_ROW, squeeze=False).flat):
            axes.axis("off")
            if place < len(pixels):
                axes.imshow(pixels[place], cmap="gray", vmin=0, vmax=1)
                colour = ANOMALOUS if anomalous[place] else NORMAL
                axes.set_title(f"{scores[place]:.4f}\nclass {int(labels[place])}", fontsize=9, color=colour)
        return figure_image(figure)
