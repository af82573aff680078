"""Figures of single images, for comparing runs image by image, and what the code knows of the labels."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed
from lightning import Callback, LightningModule, Trainer
from sklearn.neighbors import KNeighborsClassifier
from torch import Tensor

from diabolo.callbacks.pictures import data_of, with_decoder
from diabolo.errors import check_int

FILE = "per_image.npz"


class PerImage(Callback):
    """Writes `per_image.npz`: MSE, MAE and SSIM of the kept weights on each test image, in the split's order.

    Beside `mse`, `mae` and `ssim` (N float32) it holds `labels` (N int32, -1 where unknown) and `images`, a hash of the
    images' bytes: two runs may be paired image by image where it is the same. An evaluation of a finished run leaves
    the file alone.

    Where there are labels, `test/knn_accuracy` is logged: the part of the labelled test images whose label is that of
    most of the `neighbours` nearest training codes (Euclidean distance).

    Args:
        neighbours: k of the k nearest neighbours; 0 to go without.
        most_codes: so many of the training codes at most, spread evenly over them.
    """

    def __init__(self, neighbours: int = 5, most_codes: int = 10_000) -> None:
        self.neighbours = check_int("neighbours", neighbours, 0)
        self.most_codes = check_int("most_codes", most_codes)
        self.parts: list[dict[str, Tensor]] = []

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        with_decoder(pl_module)

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
        if trainer.is_global_zero and trainer.global_step:  # an evaluation alone has made no step
            _write(Path(trainer.default_root_dir) / FILE, figures)
        if self.neighbours and (accuracy := self._accuracy(trainer, pl_module, figures)) is not None:
            pl_module.log("test/knn_accuracy", accuracy, rank_zero_only=True)

    def _accuracy(self, trainer: Trainer, module: LightningModule, test: dict[str, Tensor]) -> float | None:
        """None where training or test images have no labels, or fewer than k training images have one."""
        data = data_of(trainer)
        labels = data.labels("train")
        known, asked = (labels >= 0).nonzero().flatten(), test["labels"] >= 0
        if len(known) < self.neighbours or not bool(asked.any()):
            return None
        places = torch.linspace(0, len(known) - 1, min(len(known), self.most_codes), dtype=torch.float64)
        chosen = known[places.round().long()]
        codes = []
        with trainer.precision_plugin.forward_context():  # the precision in which the test images were encoded
            for part in chosen.split(data.eval_batch_size):
                given = module.corrupted(data.images("train", part).to(module.device))  # type: ignore[operator]
                codes.append(module.encode(given).float().cpu())  # type: ignore[operator]
        neighbours = KNeighborsClassifier(self.neighbours).fit(torch.cat(codes).numpy(), labels[chosen].numpy())
        return float(neighbours.score(test["codes"][asked].numpy(), test["labels"][asked].numpy()))


def _hashes(images: Tensor) -> Tensor:
    """SHA-256 of each image's bytes, N x 32."""
    digests = b"".join(hashlib.sha256(image.tobytes()).digest() for image in images.cpu().numpy())
    return torch.frombuffer(bytearray(digests), dtype=torch.uint8).view(-1, 32)


def gathered(mine: dict[str, Tensor], world: int) -> dict[str, Tensor]:
    """The figures of all processes, of which the r-th has every world-th image from r on, in the split's order."""
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
    """Whole or not at all, whenever the process may be killed."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    mse, mae, ssim = (figures[name].float().numpy() for name in ("mse", "mae", "ssim"))
    images = hashlib.sha256(figures["hashes"].numpy().tobytes()).hexdigest()
    with draft.open("wb") as file:
        labels = figures["labels"].int().numpy()
        np.savez(file, images=np.array(images), labels=labels, mse=mse, mae=mae, ssim=ssim)
    draft.replace(path)
