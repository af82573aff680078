"""Corruptions: what is done to images before the network sees them, while the loss compares with the clean ones.

A corruption takes N x C x H x W images, as stored or floats in [0, 1], before any normalisation, and gives float32
images of the same shape in [0, 1]. All images of a batch are corrupted at once, on their device. A class of your own
defines `corrupt` and takes all random numbers from the `Chance` that it is given:

- calling the corruption takes new numbers from torch's global generator each time: for training;
- `fixed` computes them from the image itself, so that an image is corrupted in the same way in every epoch and run, on
  every device and in batches of any size: for validation, test and pictures.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from diabolo.data.chance import Chance, Seeded, counted, mixed
from diabolo.data.pixels import unit_interval
from diabolo.errors import ConfigError, check_int, check_positive


class Corruption(nn.Module):
    """What all corruptions share: how they are called. A subclass defines `corrupt`."""

    def forward(self, images: Tensor) -> Tensor:
        """The images, corrupted with new random numbers: N x C x H x W to the same, float32 in [0, 1]."""
        images = unit_interval(images)
        return self.corrupt(images, _Drawn(images))

    def fixed(self, images: Tensor) -> Tensor:
        """The images, each always corrupted in the same way: N x C x H x W to the same, float32 in [0, 1]."""
        images = unit_interval(images)
        return self.corrupt(images, _Hashed(images))

    def corrupt(self, images: Tensor, chance: Chance) -> Tensor:
        """The corrupted images: N x C x H x W float32 in [0, 1] to the same."""
        raise NotImplementedError


class Gaussian(Corruption):
    """Adds normal noise to every value.

    Args:
        std: standard deviation of the noise, in the units of [0, 1].
        clip: whether the result is clipped to [0, 1].

    Raises:
        ConfigError: `std` is not above 0.
    """

    def __init__(self, std: float = 0.5, clip: bool = True) -> None:
        super().__init__()
        self.std, self.clip = check_positive("std", std), clip

    def corrupt(self, images: Tensor, chance: Chance) -> Tensor:
        noisy = images + self.std * chance.normal(*images.shape[1:])
        return noisy.clamp(0, 1) if self.clip else noisy


class SaltAndPepper(Corruption):
    """Sets some pixels to white or black, with equal probability, all channels of a pixel alike.

    Args:
        part: the probability of each pixel to be set, above 0 and at most 1.

    Raises:
        ConfigError: `part` is no such number.
    """

    def __init__(self, part: float = 0.25) -> None:
        super().__init__()
        self.part = _part(part)

    def corrupt(self, images: Tensor, chance: Chance) -> Tensor:
        drawn = chance.uniform(1, *images.shape[2:])
        return torch.where(drawn < self.part, (drawn < self.part / 2).float(), images)


class Masking(Corruption):
    """Sets some pixels to black, all channels alike (Vincent et al., "Extracting and composing robust features with
    denoising autoencoders", 2008, section 2.3).

    Args:
        part: the probability of each pixel to be set, above 0 and at most 1.

    Raises:
        ConfigError: `part` is no such number.
    """

    def __init__(self, part: float = 0.5) -> None:
        super().__init__()
        self.part = _part(part)

    def corrupt(self, images: Tensor, chance: Chance) -> Tensor:
        return torch.where(chance.uniform(1, *images.shape[2:]) < self.part, 0, images)


class Downsample(Corruption):
    """Averages blocks of pixels and enlarges the result again by nearest neighbour.

    If a side is no multiple of `factor`, the side of the small image is rounded up, and its pixels are averages over
    the parts into which `torch.nn.AdaptiveAvgPool2d` cuts the image.

    Args:
        factor: side of a block in pixels, 2 or more.

    Raises:
        ConfigError: `factor` is no such number; or, when corrupting, larger than a side of the images.
    """

    def __init__(self, factor: int = 2) -> None:
        super().__init__()
        self.factor = check_int("factor", factor, 2)

    def reduce(self, images: Tensor) -> Tensor:
        """The small images: N x C x H x W, as stored or floats in [0, 1] -> N x C x H / factor x W / factor, float32.

        Raises:
            ConfigError: the images have a side shorter than `factor`.
        """
        height, width = images.shape[2:]
        if min(height, width) < self.factor:
            raise ConfigError("corruption.factor", self.factor, f"is more than a side of {height}x{width} images")
        return F.adaptive_avg_pool2d(unit_interval(images), (-(-height // self.factor), -(-width // self.factor)))

    def corrupt(self, images: Tensor, chance: Chance) -> Tensor:
        return F.interpolate(self.reduce(images), images.shape[2:], mode="nearest")


class Block(Corruption):
    """Fills a square with a grey value. Each place inside the image has the same probability.

    Args:
        side: of the square, in pixels.
        fill: the grey value, from 0 (black) to 1 (white).

    Raises:
        ConfigError: `side` or `fill` is no such number; or, when corrupting, `side` is larger than a side of the
            images.
    """

    def __init__(self, side: int = 10, fill: float = 0.0) -> None:
        super().__init__()
        self.side, self.fill = check_int("side", side), fill
        if isinstance(fill, bool) or not isinstance(fill, int | float) or not 0 <= fill <= 1:
            raise ConfigError("fill", fill, "must be a number from 0 (black) to 1 (white)")

    def corrupt(self, images: Tensor, chance: Chance) -> Tensor:
        return torch.where(self._inside(images, chance), self.fill, images)

    def mask(self, images: Tensor) -> Tensor:
        """Where `fixed` fills these images: N x C x H x W, as stored or floats in [0, 1] -> N x 1 x H x W, bool."""
        images = unit_interval(images)
        return self._inside(images, _Hashed(images))

    def _inside(self, images: Tensor, chance: Chance) -> Tensor:
        height, width = images.shape[2:]
        if self.side > min(height, width):
            raise ConfigError("corruption.side", self.side, f"is more than a side of {height}x{width} images")
        places = torch.tensor([height, width], device=images.device) - self.side + 1
        top, left = (chance.uniform(2) * places).long().view(-1, 2, 1, 1, 1).unbind(1)  # each N x 1 x 1 x 1
        rows = torch.arange(height, device=images.device).view(-1, 1)
        columns = torch.arange(width, device=images.device)
        return (rows >= top) & (rows < top + self.side) & (columns >= left) & (columns < left + self.side)


class _Drawn:
    """Random numbers from torch's global generator."""

    def __init__(self, images: Tensor) -> None:
        self.images = images

    def uniform(self, *shape: int) -> Tensor:
        return torch.rand(len(self.images), *shape, device=self.images.device)

    def normal(self, *shape: int) -> Tensor:
        return torch.randn(len(self.images), *shape, device=self.images.device)


LEVELS = 255  # to which pixels are rounded before they are hashed, whatever their depth


class _Hashed(Seeded):
    """Random numbers that depend on the image alone: its pixels are hashed to its seed."""

    def __init__(self, images: Tensor) -> None:
        pixels = (images * LEVELS).round().long().flatten(1)  # N x CHW
        super().__init__(mixed((pixels * mixed(counted(0, pixels.shape[1], pixels.device))).sum(1)))  # modulo 2^64


def _part(value: float) -> float:
    if check_positive("part", value) > 1:
        raise ConfigError("part", value, "must be at most 1: it is the part of the pixels")
    return value
