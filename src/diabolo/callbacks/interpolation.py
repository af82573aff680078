"""From one image to another, in pixels and in codes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from diabolo.callbacks.latent import decode
from diabolo.callbacks.pictures import Drawing, chosen, rows
from diabolo.callbacks.reconstructions import first_of_labels
from diabolo.errors import UserError, check_int

if TYPE_CHECKING:
    from diabolo.data.datamodule import ImageData
    from diabolo.training.autoencoder_module import AutoencoderModule


class Interpolation(Drawing):
    """Two rows per pair: above, the pixels blended in `steps`; below, the codes blended and decoded (a
    bottleneck that cannot give every code is asked for the nearest it can).

    The originals stand at both ends of both rows.

    Args:
        pairs: pairs of indices into the split.
        labels: pairs of labels; of each the split's first image is taken (first and second where they are equal).
        random: how many further pairs to draw with `seed`.
        steps: images between the originals, the first and the last being the reconstructions themselves.
    """

    name = "interpolation"

    def __init__(
        self,
        pairs: Sequence[Sequence[int]] = (),
        labels: Sequence[Sequence[int]] = (),
        random: int = 4,
        seed: int = 0,
        steps: int = 10,
        split: str = "test",
        every_n_epochs: int = 1,
    ) -> None:
        super().__init__(split, every_n_epochs)
        for name, given in (("pairs", pairs), ("labels", labels)):
            if bad := [pair for pair in given if len(pair) != 2]:
                raise UserError(f"`{name}` (= {given}) must be pairs of two; {bad[0]} is not.")
        self.pairs, self.labels = pairs, labels
        self.random, self.seed = check_int("random", random, 0), seed
        self.steps = check_int("steps", steps, 2)

    def draw(self, module: AutoencoderModule, data: ImageData) -> Tensor:
        lines = []
        for pair in self.all_pairs(data):
            pixels = chosen(data, self.split, pair, "pairs").to(module.device)
            start, end = pixels.float() / 255  # C x H x W
            codes = module.encode(pixels)  # 2 x size
            share = torch.linspace(0, 1, self.steps, device=module.device)
            blended = torch.lerp(start, end, share.view(-1, 1, 1, 1))  # steps x C x H x W
            decoded = decode(module, torch.lerp(codes[0], codes[1], share.view(-1, 1)))  # steps x C x H x W
            lines += [torch.cat([start[None], line, end[None]]) for line in (blended, decoded)]
        if not lines:
            raise UserError("`pairs`, `labels` and `random` of the interpolation name no pair; switch it off instead.")
        return rows(lines)

    def all_pairs(self, data: ImageData) -> list[list[int]]:
        """All pairs as indices into the split."""
        draw, count = torch.Generator().manual_seed(self.seed), data.count(self.split)
        drawn = [torch.randperm(count, generator=draw)[:2].tolist() for _ in range(self.random)]
        drawn = [pair if len(pair) == 2 else pair * 2 for pair in drawn if pair]  # a single image goes to itself
        named = [first_of_labels(data, self.split, pair) for pair in self.labels]
        return [*(list(pair) for pair in self.pairs), *named, *drawn]
