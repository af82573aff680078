"""The metrics of each single test image, for comparing runs image by image, and the kNN accuracy of the codes."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
import torch.distributed
from lightning import Callback, LightningModule, Trainer
from torch import Tensor

from diabolo.callbacks.baseline import PCABaseline
from diabolo.callbacks.pictures import after_training, data_of, reconstructing
from diabolo.errors import check_int
from diabolo.measures.probes import Labelled, knn_accuracy, labelled_images
from diabolo.training.lightning_internals import callbacks_of
from diabolo.training.whole_files import whole

if TYPE_CHECKING:
    from diabolo.training.autoencoder_module import AutoencoderModule

FILE = "per_image.npz"
MEASURED = ("mse", "mae", "ssim", "pca_mse")


class PerImage(Callback):
    """Writes `per_image.npz`: MSE, MAE and SSIM of the best weights on each test image, in the split's order.

    Beside `mse`, `mae` and `ssim` (N float32, per pixel in [0, 1]) it holds `pca_mse`, where the run has PCA beside it,
    `labels` (N int32, -1 where unknown) and `images`, a hash of the images' bytes: two runs with the same hash can be
    compared image by image. An evaluation of a finished run leaves the file as it is.

    If there are labels, logs `test/knn_accuracy`: the accuracy on the codes of the labelled test images of the majority
    label of the `neighbours` nearest training codes (Euclidean distance).

    Args:
        neighbours: k of the k nearest neighbours; 0 for no accuracy.
        most_codes: the most training codes, spread evenly over those with a label.
    """

    def __init__(self, neighbours: int = 5, most_codes: int = 10_000) -> None:
        self.neighbours = check_int("neighbours", neighbours, 0)
        self.most_codes = check_int("most_codes", most_codes)
        self.parts: list[dict[str, Tensor]] = []

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        reconstructing(pl_module)

    def on_test_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.parts = []

    def on_test_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int, _: int = 0
    ) -> None:
        difference = (outputs["reconstructions"] - outputs["targets"]).flatten(1)
        figures = {
            "mse": difference.square().mean(1),
            "mae": difference.abs().mean(1),
            "ssim": outputs["ssim"],
            "codes": outputs["codes"],
            "labels": batch[1],
            "hashes": _hashes(batch[0]),
        }
        self.parts.append({name: values.cpu() for name, values in figures.items()})

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        mine = {name: torch.cat([part[name] for part in self.parts]) for name in self.parts[0]}
        figures = gathered(mine, trainer.world_size)
        self.parts = []
        if after_training(trainer):
            for baseline in (each for each in callbacks_of(trainer) if isinstance(each, PCABaseline)):
                figures["pca_mse"] = baseline.errors(trainer, pl_module)
            _write(Path(trainer.default_root_dir) / FILE, figures)
        if self.neighbours and (accuracy := self._accuracy(trainer, pl_module, figures)) is not None:
            pl_module.log("test/knn_accuracy", accuracy, rank_zero_only=True)

    def _accuracy(self, trainer: Trainer, module: LightningModule, test: dict[str, Tensor]) -> float | None:
        """None if fewer than `neighbours` training images or no test image has a label."""
        data, module = data_of(trainer), cast("AutoencoderModule", module)
        labelled = test["labels"] >= 0
        if len(labelled_images(data, "train")) < self.neighbours or not bool(labelled.any()):
            return None
        chosen, codes = labelled_images(data, "train", self.most_codes), []
        with trainer.precision_plugin.forward_context():  # the precision in which the test images were encoded
            for part in chosen.split(data.eval_batch_size):
                codes.append(
                    module.encode(module.corrupted(data.images("train", part).to(module.device))).float().cpu()
                )
        train = Labelled(torch.cat(codes), data.labels("train")[chosen])
        return knn_accuracy(train, Labelled(test["codes"][labelled], test["labels"][labelled]), self.neighbours)


def _hashes(images: Tensor) -> Tensor:
    """SHA-256 of each image's bytes, N x 32."""
    digests = b"".join(hashlib.sha256(image.tobytes()).digest() for image in images.cpu().numpy())
    return torch.frombuffer(bytearray(digests), dtype=torch.uint8).view(-1, 32)


def gathered(mine: dict[str, Tensor], world: int) -> dict[str, Tensor]:
    """Figures of single images of all processes, in the split's order: name -> N values.

    Args:
        mine: name -> the values of this process, which has every `world`-th image from its rank on.
        world: processes.
    """
    if world == 1:
        return mine
    parts: list[Any] = [None] * world
    torch.distributed.all_gather_object(parts, mine)
    count = sum(len(part["mse"]) for part in parts)
    everything = {name: values.new_empty(count, *values.shape[1:]) for name, values in mine.items()}
    for rank, part in enumerate(parts):
        for name, values in part.items():
            everything[name][rank::world] = values
    return everything


def _write(path: Path, figures: dict[str, Tensor]) -> None:
    measured: dict[str, Any] = {name: figures[name].float().numpy() for name in MEASURED if name in figures}
    images = hashlib.sha256(figures["hashes"].numpy().tobytes()).hexdigest()
    labels = figures["labels"].int().numpy()
    with whole(path) as draft, draft.open("wb") as file:
        np.savez(file, images=np.array(images), labels=labels, **measured)
