"""Inputs over reconstructions, and the same images over the epochs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from diabolo.callbacks.pictures import Drawing, chosen, diverging, rows
from diabolo.errors import UserError, check_int

if TYPE_CHECKING:
    from diabolo.data.datamodule import ImageData
    from diabolo.training.autoencoder_module import AutoencoderModule

ERROR_LIMIT = 0.5  # the error at which the map is fully red or blue


class Reconstructions(Drawing):
    """First row the images, second their reconstructions, third the error (red too bright, blue too dark). Where there
    is a corruption, the corrupted images stand between the images and their restorations.

    Args:
        images: how many from the start of the split, or a list of indices.
        error_map: whether to draw the third row.
    """

    name = "reconstructions"

    def __init__(
        self,
        images: int | Sequence[int] = 10,
        error_map: bool = True,
        split: str = "test",
        every_n_epochs: int = 1,
    ) -> None:
        super().__init__(split, every_n_epochs)
        self.images = images
        self.error_map = error_map

    def draw(self, module: AutoencoderModule, data: ImageData) -> Tensor:
        pixels = probe(data, self.split, self.images).to(module.device)
        originals, given = pixels.float() / 255, module.corrupted(pixels)
        ours = module.reconstruct(given)
        error = [diverging(ours - originals, ERROR_LIMIT)] if self.error_map else []
        return rows([originals, *([given] if module.corruption is not None else []), ours, *error])


class Progression(Drawing):
    """One batch over the epochs: the images in the first row (corrupted ones in the second, where there is a
    corruption), then a row of reconstructions per drawn epoch.

    Args:
        images: how many from the start of the split, or a list of indices.
        most_rows: beyond so many epochs every second row is dropped, so that the picture stays readable.
    """

    name = "progression"

    def __init__(
        self,
        images: int | Sequence[int] = 10,
        most_rows: int = 16,
        split: str = "test",
        every_n_epochs: int = 1,
    ) -> None:
        super().__init__(split, every_n_epochs)
        self.images = images
        self.most_rows = check_int("most_rows", most_rows, 2)
        self.past: list[Tensor] = []  # reconstructions as bytes, oldest first

    def draw(self, module: AutoencoderModule, data: ImageData) -> Tensor:
        pixels = probe(data, self.split, self.images).to(module.device)
        given = module.corrupted(pixels)
        ours = module.reconstruct(given).clamp(0, 1)
        self.past.append((ours * 255).round().byte().cpu())
        if len(self.past) > self.most_rows:
            self.past = self.past[::2] + ([self.past[-1]] if len(self.past) % 2 == 0 else [])
        past = [image.float() / 255 for image in self.past]
        return rows([pixels.float() / 255, *([given] if module.corruption is not None else []), *past])

    def state_dict(self) -> dict[str, Any]:
        return {"past": self.past}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.past = list(state_dict["past"])


def probe(data: ImageData, split: str, images: int | Sequence[int]) -> Tensor:
    """The first `images` of a split, or those at the indices: N x C x H x W uint8."""
    if isinstance(images, int):
        images = range(min(check_int("images", images), data.count(split)))
    if not len(images):
        raise UserError(f"there is nothing to draw: the {split} split is empty or `images` names none.")
    return chosen(data, split, list(images), "images")


def first_of_labels(data: ImageData, split: str, labels: Sequence[int]) -> list[int]:
    """The first image of each label in turn; a label named twice gives its first and its second image.

    Raises:
        UserError: the split has not so many images of a label.
    """
    indices = []
    for place, label in enumerate(labels):
        found = torch.nonzero(data.labels(split) == label).flatten()
        seen = list(labels[:place]).count(label)
        if len(found) <= seen:
            raise UserError(f"`labels` asks for image {seen + 1} of label {label}; the {split} split has {len(found)}.")
        indices.append(int(found[seen]))
    return indices
