"""The training images that are nearest to others, pixel by pixel."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from diabolo.data.datamodule import ImageData
from diabolo.data.pixels import unit_interval
from diabolo.use.progress import progress


class Nearest(NamedTuple):
    """The nearest of a split to each of N images."""

    places: Tensor  # N int64, in the split
    errors: Tensor  # N float32: mean squared difference per pixel in [0, 1]


def nearest_images(images: Tensor, data: ImageData, split: str = "train") -> Nearest:
    """The images of a split with the least mean squared difference to each of `images`, N x C x H x W in the scale of
    [0, 1]. The split is read once, batch by batch."""
    asked = images.flatten(1)
    best = torch.full((len(asked),), torch.inf)
    places = torch.zeros(len(asked), dtype=torch.int64)
    with progress("comparing", data.count(split)) as advance:
        for first, part in zip(range(0, data.count(split), data.eval_batch_size), data.parts(split), strict=True):
            distances, near = torch.cdist(asked, unit_interval(part).flatten(1)).min(1)
            closer = distances < best
            best[closer], places[closer] = distances[closer], near[closer] + first
            advance(len(part))
    found = unit_interval(data.images(split, places)).flatten(1)  # once more, since fast distances are rounded
    return Nearest(places, (asked - found).square().mean(1))
