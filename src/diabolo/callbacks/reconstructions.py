"""Images over their reconstructions, and the same images over the epochs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lightning import LightningModule, Trainer
from torch import Tensor

from diabolo.callbacks.layout import ERROR_LIMIT, as_bytes, diverging, labelled, rows
from diabolo.callbacks.pictures import Drawing, images_at
from diabolo.data.pixels import unit_interval
from diabolo.errors import UserError, check_int

if TYPE_CHECKING:
    from diabolo.data.datamodule import ImageData
    from diabolo.training.autoencoder_module import AutoencoderModule


class Reconstructions(Drawing):
    """Draws the images in the first row, their reconstructions in the second and the error in the third: red where the
    reconstruction is too bright, blue where it is too dark. If there is a corruption, the corrupted images stand
    between the images and their restorations.

    Args:
        images: how many from the start of the split, or a list of indices.
        error_map: whether to draw the error.
        split, every_n_epochs: as in `Drawing`.

    Raises:
        UserError: when drawing, an image that the split does not have, or none at all.
    """

    name = "reconstructions"

    def __init__(
        self,
        images: int | Sequence[int] = 10,
        error_map: bool = True,
        split: str = "test",
        every_n_epochs: int = 5,
    ) -> None:
        super().__init__(split, every_n_epochs)
        self.images = images
        self.error_map = error_map

    def draw(self, module: AutoencoderModule, data: ImageData) -> Tensor:
        chosen = probe_indices(data, self.split, self.images)
        pixels = images_at(data, self.split, chosen, "images").to(module.device)
        originals, corrupted = unit_interval(pixels), module.corrupted(pixels)
        made = module.reconstruct(corrupted, data.labels(self.split)[chosen])
        lines = seen_by(module, originals, corrupted)
        lines["reconstruction" if module.corruption is None else "restored"] = made
        lines = {name: data.shown(images) for name, images in lines.items()}
        if self.error_map:
            lines["error"] = diverging(made - originals, ERROR_LIMIT)
        return labelled(rows(lines.values()), list(lines))


class Progression(Drawing):
    """Draws the same images over the epochs: the images in the first row, the corrupted ones in the second if there is
    a corruption, then a row of reconstructions for each drawn epoch.

    Args:
        images: how many from the start of the split, or a list of indices.
        most_rows: of reconstructions; with more epochs every second row is dropped, so that the picture stays readable.
        split, every_n_epochs: as in `Drawing`.

    Raises:
        UserError: when drawing, an image that the split does not have, or none at all.
    """

    name = "progression"

    def __init__(
        self,
        images: int | Sequence[int] = 10,
        most_rows: int = 16,
        split: str = "test",
        every_n_epochs: int = 5,
    ) -> None:
        super().__init__(split, every_n_epochs)
        self.images = images
        self.most_rows = check_int("most_rows", most_rows, 2)
        self.past: list[Tensor] = []  # what is shown of the reconstructions, as bytes, oldest first
        self.names: list[str] = []  # of these rows
        self.epoch: int | None = None  # that is being drawn; None: the best weights

    def show(self, trainer: Trainer, module: LightningModule, epoch: int | None) -> None:
        self.epoch = epoch
        super().show(trainer, module, epoch)

    def draw(self, module: AutoencoderModule, data: ImageData) -> Tensor:
        chosen = probe_indices(data, self.split, self.images)
        pixels = images_at(data, self.split, chosen, "images").to(module.device)
        corrupted = module.corrupted(pixels)
        reconstructions = data.shown(module.reconstruct(corrupted, data.labels(self.split)[chosen]).clamp(0, 1))
        self.past.append(as_bytes(reconstructions).cpu())
        self.names.append("best" if self.epoch is None else f"epoch {self.epoch}")
        if len(self.past) > self.most_rows:
            self.past, self.names = _thinned(self.past), _thinned(self.names)
        lines = {name: data.shown(images) for name, images in seen_by(module, unit_interval(pixels), corrupted).items()}
        return labelled(rows([*lines.values(), *map(unit_interval, self.past)]), [*lines, *self.names])

    def state_dict(self) -> dict[str, Any]:
        return {"past": self.past, "names": self.names}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.past = list(state_dict["past"])
        self.names = list(state_dict.get("names", [""] * len(self.past)))  # older checkpoints have none


def _thinned(rows: list[Any]) -> list[Any]:
    """Every second row, and the last."""
    return rows[::2] + ([rows[-1]] if len(rows) % 2 == 0 else [])


def seen_by(module: AutoencoderModule, originals: Tensor, corrupted: Tensor) -> dict[str, Tensor]:
    """The images with their name and, where there is a corruption, what the network sees of them."""
    return {"image": originals} | ({"corrupted": corrupted} if module.corruption is not None else {})


def probe_indices(data: ImageData, split: str, images: int | Sequence[int]) -> list[int]:
    """Where the first `images` of a split are, or those at the indices.

    Raises:
        UserError: no image at all.
    """
    if isinstance(images, int):
        images = range(min(check_int("images", images), data.count(split)))
    if not len(images):
        raise UserError(f"there is nothing to draw: the {split} split is empty, or `images` names no image.")
    return list(images)
