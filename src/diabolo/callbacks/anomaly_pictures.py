"""Pictures of an anomaly detector: how the scores lie, its curves, and the images that it finds strangest."""

from __future__ import annotations

import io
from collections.abc import Mapping

import numpy as np
import torch
from matplotlib import rc_context
from matplotlib.figure import Figure
from PIL import Image
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score, roc_curve
from torch import Tensor

from diabolo.plotting import COLOURS, STYLE

NORMAL, ANOMALOUS = COLOURS[:2]
BINS = 60
A_ROW = 8  # images in a row of the sheet


def histogram(scores: Tensor, anomalous: Tensor) -> Tensor:
    """The scores of normal and of anomalous images, each as a density; C x H x W bytes."""
    edges = np.linspace(0, float(scores.quantile(0.999)), BINS + 1)
    with rc_context(STYLE):
        figure = Figure(figsize=(6.4, 4), layout="constrained")
        axes = figure.add_subplot()
        for kind, colour, which in (("normal", NORMAL, ~anomalous), ("anomalous", ANOMALOUS, anomalous)):
            label = f"{kind}, {int(which.sum()):,} images"
            axes.hist(scores[which].numpy(), edges.tolist(), density=True, color=colour, alpha=0.55, label=label)
        axes.set(xlabel="score: mean squared error of the reconstruction", ylabel="density", xlim=(0, edges[-1]))
        axes.legend(loc="upper right")
        return _picture(figure)


def curves(scores: Mapping[str, Tensor], anomalous: Tensor) -> Tensor:
    """ROC and precision-recall curves of all methods, with the areas under them; C x H x W bytes."""
    truth = anomalous.numpy()
    with rc_context(STYLE):
        figure = Figure(figsize=(9.6, 4.6), layout="constrained")
        roc, precision = figure.subplots(1, 2)
        for place, (name, values) in enumerate(scores.items()):
            label = name.replace("_", " ").replace("pca", "PCA") or "this run"
            alike = {"color": COLOURS[place], "lw": 2 if place == 0 else 1.2, "zorder": -place}
            false, true, _ = roc_curve(truth, values.numpy())
            roc.plot(false, true, label=f"{label}, area {roc_auc_score(truth, values.numpy()):.3f}", **alike)
            height, recall, _ = precision_recall_curve(truth, values.numpy())
            area = average_precision_score(truth, values.numpy())
            precision.plot(recall, height, label=f"{label}, average {area:.3f}", drawstyle="steps-post", **alike)
        roc.plot([0, 1], [0, 1], color="0.6", ls=":", label="chance")
        precision.axhline(truth.mean(), color="0.6", ls=":", label=f"chance, {truth.mean():.3f}")
        roc.set(xlabel="false positive rate", ylabel="true positive rate", title="ROC", aspect="equal")
        precision.set(xlabel="recall", ylabel="precision", title="precision and recall", aspect="equal", ylim=(0, 1.02))
        roc.legend(loc="lower right")
        precision.legend(loc="lower left")
        return _picture(figure)


def most_anomalous(images: Tensor, ours: Tensor, scores: Tensor, labels: Tensor, anomalous: Tensor) -> Tensor:
    """Each image over its reconstruction, with score and label; those of normal classes, false alarms, in blue.

    `images` and `ours` are N x C x H x W in [0, 1]; gives C x H x W bytes.
    """
    lines = -(-len(images) // A_ROW)
    gap = torch.ones_like(images[:, :, : max(1, images.shape[2] // 14)])  # white, N x C x h x W
    pairs = torch.cat([images, gap, ours.clamp(0, 1)], 2).permute(0, 2, 3, 1).squeeze(3).numpy()  # N x 2H+h x W (x 3)
    with rc_context(STYLE | {"axes.grid": False}):
        figure = Figure(figsize=(1.25 * A_ROW, 2.85 * lines + 0.4), layout="constrained")
        figure.suptitle("highest scores first; images over reconstructions; blue: of a class that was trained on")
        for place, axes in enumerate(figure.subplots(lines, A_ROW, squeeze=False).flat):
            axes.axis("off")
            if place < len(pairs):
                axes.imshow(pairs[place], cmap="gray", vmin=0, vmax=1)
                colour = ANOMALOUS if anomalous[place] else NORMAL
                axes.set_title(f"{scores[place]:.4f}\nclass {int(labels[place])}", fontsize=9, color=colour)
        return _picture(figure)


def _picture(figure: Figure) -> Tensor:
    figure.savefig(file := io.BytesIO(), format="png", dpi=110, facecolor="white")
    return torch.from_numpy(np.array(Image.open(file).convert("RGB"))).permute(2, 0, 1)
