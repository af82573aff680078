"""From one image to another, by blending pixels and by blending codes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from diabolo.callbacks.layout import labelled, rows
from diabolo.callbacks.pictures import Drawing, decode, images_at
from diabolo.data.pixels import unit_interval
from diabolo.errors import ConfigError, UserError, check_int

if TYPE_CHECKING:
    from diabolo.data.datamodule import ImageData
    from diabolo.training.autoencoder_module import AutoencoderModule


class Interpolation(Drawing):
    """Draws two rows for each pair of images: above, their pixels blended; below, their codes blended and decoded. A
    bottleneck that cannot give every code is asked for the nearest one that it can give.

    The images themselves stand at both ends of both rows. A conditional network is given the first one's label all the
    way.

    Args:
        pairs: pairs of indices into the split.
        labels: pairs of labels; the split's first image of each is taken (its first and second if they are equal).
        random: how many further pairs to draw with `seed`.
        seed: of the random pairs.
        steps: images in between; the first and the last of the lower row are the reconstructions of the two images.
        split, every_n_epochs: as in `Drawing`.

    Raises:
        ConfigError: `pairs` or `labels` holds something else than pairs.
        UserError: when drawing, an image or label that the split does not have, or no pair at all.
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
        every_n_epochs: int = 5,
    ) -> None:
        super().__init__(split, every_n_epochs)
        for name, value in (("pairs", pairs), ("labels", labels)):
            if bad := [pair for pair in value if len(pair) != 2]:
                raise ConfigError(name, value, f"must be a list of pairs, such as [[0,1],[2,3]]; {bad[0]} is no pair")
        self.pairs, self.labels = pairs, labels
        self.random, self.seed = check_int("random", random, 0), seed
        self.steps = check_int("steps", steps, 2)

    def draw(self, module: AutoencoderModule, data: ImageData) -> Tensor:
        lines = []
        for pair in self.all_pairs(data):
            pixels = images_at(data, self.split, pair, "pairs").to(module.device)
            start, end = unit_interval(pixels)  # C x H x W
            labels = data.labels(self.split)[pair]
            codes = module.encode(pixels, labels)  # 2 x size
            share = torch.linspace(0, 1, self.steps, device=module.device)
            blended = torch.lerp(start, end, share.view(-1, 1, 1, 1))  # steps x C x H x W
            decoded = decode(module, torch.lerp(codes[0], codes[1], share.view(-1, 1)), labels[0])  # steps x C x H x W
            lines += [torch.cat([start[None], line, end[None]]) for line in (blended, decoded)]
        if not lines:
            raise UserError(
                "callbacks.interpolation: `pairs`, `labels` and `random` name no pair; to draw none, set"
                " callbacks.interpolation=null."
            )
        return labelled(rows(map(data.shown, lines)), ["in pixels", "in codes"] * (len(lines) // 2))

    def all_pairs(self, data: ImageData) -> list[list[int]]:
        """All pairs as indices into the split."""
        draw, count = torch.Generator().manual_seed(self.seed), data.count(self.split)
        drawn = [torch.randperm(count, generator=draw)[:2].tolist() for _ in range(self.random)]
        drawn = [pair if len(pair) == 2 else pair * 2 for pair in drawn if pair]  # a single image goes to itself
        named = [first_of_labels(data, self.split, pair) for pair in self.labels]
        return [*(list(pair) for pair in self.pairs), *named, *drawn]


def first_of_labels(data: ImageData, split: str, labels: Sequence[int]) -> list[int]:
    """The first image of each label in turn; a label named twice gives its first and its second image.

    Raises:
        UserError: the split has too few images of a label.
    """
    indices = []
    for place, label in enumerate(labels):
        found = torch.nonzero(data.labels(split) == label).flatten()
        seen = list(labels[:place]).count(label)
        if len(found) <= seen:
            raise UserError(f"`labels` asks for image {seen + 1} of label {label}; the {split} split has {len(found)}.")
        indices.append(int(found[seen]))
    return indices
