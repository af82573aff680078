"""Augmentation: training images that are changed anew in each epoch, so that a network does not learn them by heart.

The network sees the changed image, and the loss compares with it; a corruption comes after. Validation and test images
stay as they are.

An augmentation is a function of images, N x C x H x W float32 in [0, 1], and of a `Chance`, from which it takes all its
random numbers, a few for each image; it gives images of the same shape. The numbers depend on the run's seed, on the
epoch and on the image alone. So a run that is stopped within an epoch goes on as if it had not been, and neither
blocks, workers nor the count of processes change what an image becomes.
"""

from collections.abc import Mapping, Sequence
from math import log
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from diabolo.data.chance import Chance
from diabolo.data.images import LUMINANCE
from diabolo.data.pixels import unit_interval
from diabolo.errors import UserError, check_choice, check_int, check_interval, check_number

PADDINGS = ("border", "reflection", "zeros")  # what stands beyond the image, in the words of `grid_sample`


class Augments(Protocol):
    """What a single augmentation is."""

    def __call__(self, images: Tensor, chance: Chance) -> Tensor:
        """N x C x H x W float32 in [0, 1] to the same."""
        ...


class Augmentation:
    """Several augmentations, one after the other in the order of their names, so that a run is the same however they
    are listed.

    Args:
        parts: name -> augmentation.
    """

    def __init__(self, parts: Mapping[str, Augments]) -> None:
        self.parts = dict(sorted(parts.items()))

    @torch.no_grad()
    def __call__(self, images: Tensor, chance: Chance) -> Tensor:
        """N x C x H x W, as stored or floats in [0, 1] -> float32 in [0, 1].

        Raises:
            UserError: an augmentation gives images of another shape.
        """
        shape = images.shape
        with torch.autocast(images.device.type, enabled=False):  # bfloat16 knows a place to half a pixel in 128
            images = unit_interval(images)
            for name, part in self.parts.items():
                images = part(images, chance)
                if images.shape != shape:
                    raise UserError(
                        f"augmentation.{name}: gives images of the shape {list(images.shape)}, not {list(shape)}."
                    )
        return images.clamp(0, 1)


class Flip:
    """Mirrors some images.

    Args:
        horizontal: the probability that left and right are exchanged.
        vertical: the probability that top and bottom are.

    Raises:
        ConfigError: one of them is no probability.
    """

    def __init__(self, horizontal: float = 0.5, vertical: float = 0.0) -> None:
        self.horizontal = check_number("horizontal", horizontal, 0, 1)
        self.vertical = check_number("vertical", vertical, 0, 1)

    def __call__(self, images: Tensor, chance: Chance) -> Tensor:
        across, down = chance.uniform(2, 1, 1, 1).unbind(1)  # each N x 1 x 1 x 1
        images = torch.where(across < self.horizontal, images.flip(3), images)
        return torch.where(down < self.vertical, images.flip(2), images) if self.vertical else images


class Shift:
    """Moves each image by whole pixels, sideways and up or down; no pixel changes its value.

    Args:
        pixels: the most, in each direction; each number up to it is as likely.
        padding: what comes in at the side: the pixels of the edge (border), the image mirrored (reflection) or black
            (zeros).

    Raises:
        ConfigError: no such number or padding.
    """

    def __init__(self, pixels: int = 2, padding: str = "border") -> None:
        self.pixels, self.padding = check_int("pixels", pixels), check_choice("padding", padding, PADDINGS)

    def __call__(self, images: Tensor, chance: Chance) -> Tensor:
        height, width = images.shape[2:]
        right, down = ((chance.uniform(2) * (2 * self.pixels + 1)).floor() - self.pixels).unbind(1)  # each N
        one, zero = torch.ones_like(right), torch.zeros_like(right)
        return _resampled(
            images, (one, zero, -2 * right / width), (zero, one, -2 * down / height), self.padding, "nearest"
        )


class Crop:
    """Cuts a part out of each image, at a random place, and enlarges it to the whole (Szegedy et al., "Going deeper
    with convolutions", 2015, section 6; bilinear).

    Args:
        area: the least and the largest part of the image's area; each is as likely.
        ratio: width to height of a part, as multiples of the image's own: least and largest, uniform in the logarithm.
            No side of a part is longer than the image's.

    Raises:
        ConfigError: no two such numbers.
    """

    def __init__(self, area: Sequence[float] = (0.6, 1.0), ratio: Sequence[float] = (0.8, 1.25)) -> None:
        self.area, self.ratio = check_interval("area", area, 0.01, 1), check_interval("ratio", ratio, 0.1, 10)

    def __call__(self, images: Tensor, chance: Chance) -> Tensor:
        area, ratio, across, down = chance.uniform(4).unbind(1)  # each N
        side = _between(*self.area, area).sqrt()
        ratio = _between(log(self.ratio[0]) / 2, log(self.ratio[1]) / 2, ratio).exp()
        width, height = (side * ratio).clamp(max=1), (side / ratio).clamp(max=1)
        zero = torch.zeros_like(width)
        rows = (width, zero, (1 - width) * (2 * across - 1)), (zero, height, (1 - height) * (2 * down - 1))
        return _resampled(images, *rows, "border")


class Rotate:
    """Rotates each image about its centre (bilinear).

    Args:
        degrees: the largest angle, to either side; each up to it is as likely.
        padding: what comes in at the corners; as in `Shift`.

    Raises:
        ConfigError: no such angle or padding.
    """

    def __init__(self, degrees: float = 10, padding: str = "border") -> None:
        self.degrees = check_number("degrees", degrees, 0, 180)
        self.padding = check_choice("padding", padding, PADDINGS)

    def __call__(self, images: Tensor, chance: Chance) -> Tensor:
        height, width = images.shape[2:]
        angle = torch.deg2rad(_between(-self.degrees, self.degrees, chance.uniform()))
        sine, cosine, zero = angle.sin(), angle.cos(), torch.zeros_like(angle)
        rows = (cosine, -sine * height / width, zero), (sine * width / height, cosine, zero)
        return _resampled(images, *rows, self.padding)


class Photometric:
    """Makes each image brighter or darker, then richer or poorer in contrast, then in colour, each by a factor of its
    own, as torchvision's `ColorJitter`.

    Args:
        brightness, contrast: factors are uniform between 1 - this and 1 + this; 0 for none.
        saturation: the same, of images of three channels; others have none.

    Raises:
        ConfigError: one is not from 0 to 1.
    """

    def __init__(self, brightness: float = 0.2, contrast: float = 0.2, saturation: float = 0.2) -> None:
        self.brightness = check_number("brightness", brightness, 0, 1)
        self.contrast = check_number("contrast", contrast, 0, 1)
        self.saturation = check_number("saturation", saturation, 0, 1)

    def __call__(self, images: Tensor, chance: Chance) -> Tensor:
        factors = 2 * chance.uniform(3, 1, 1, 1) - 1
        brightness, contrast, saturation = factors.unbind(1)  # each N x 1 x 1 x 1
        images = (images * (1 + self.brightness * brightness)).clamp(0, 1)
        mean = _grey(images).mean((1, 2, 3), keepdim=True)
        images = mean.lerp(images, 1 + self.contrast * contrast).clamp(0, 1)
        if images.shape[1] != 3:
            return images
        return _grey(images).lerp(images, 1 + self.saturation * saturation).clamp(0, 1)


Row = tuple[Tensor, Tensor, Tensor]  # of an affine map for each of N images: factor of x, factor of y, constant


def _resampled(images: Tensor, x: Row, y: Row, padding: str, mode: str = "bilinear") -> Tensor:
    """Images whose pixel at (x, y), from -1 to 1 across the image, is that of the given at the mapped place."""
    maps = torch.stack([torch.stack(x, 1), torch.stack(y, 1)], 1)  # N x 2 x 3
    grid = F.affine_grid(maps, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, mode, padding, align_corners=False)


def _between(low: float, high: float, part: Tensor) -> Tensor:
    return low + (high - low) * part


def _grey(images: Tensor) -> Tensor:
    """N x 1 x H x W: the luminance of three channels, the mean of any other number of them."""
    if images.shape[1] != 3:
        return images.mean(1, keepdim=True)
    return (images * images.new_tensor(LUMINANCE).view(3, 1, 1)).sum(1, keepdim=True)
