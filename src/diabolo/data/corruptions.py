"""Corruptions: what is done to images before the network sees them, while the loss compares with the clean ones.

A corruption takes N x C x H x W images, bytes or floats in [0, 1], before any normalisation, and gives float32 images
of the same shape in [0, 1]: what is corrupted is an image again. All images of a batch are corrupted at once, on their
device. A class of one's own defines `corrupt`, and draws all chance from the `Chance` it is handed:

- called, it draws from torch's global generator, anew each time: for training, so that a run is reproducible;
- `fixed` draws from the image itself, so that an image is corrupted in the same way in every epoch and run, on every
  device and in batches of any size: for validation, test and pictures.
"""

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from diabolo.errors import ConfigError, UserError, check_int, check_positive


class Chance(Protocol):
    """Where a corruption's randomness comes from."""

    def uniform(self, *shape: int) -> Tensor:
        """N x `shape` numbers, uniform between 0 and 1, float32."""
        ...

    def normal(self, *shape: int) -> Tensor:
        """N x `shape` numbers, normal with mean 0 and variance 1, float32."""
        ...


class Corruption(nn.Module):
    """What all corruptions share."""

    def forward(self, images: Tensor) -> Tensor:
        """The images, corrupted anew."""
        images = _unit(images)
        return self.corrupt(images, _Drawn(images))

    def fixed(self, images: Tensor) -> Tensor:
        """The images, each corrupted as ever."""
        images = _unit(images)
        return self.corrupt(images, _Hashed(images))

    def corrupt(self, images: Tensor, chance: Chance) -> Tensor:
        """N x C x H x W float32 in [0, 1] to the same."""
        raise NotImplementedError


class Gaussian(Corruption):
    """Adds normal noise of standard deviation `std` to every value, then clips to [0, 1] unless `clip` is false."""

    def __init__(self, std: float = 0.5, clip: bool = True) -> None:
        super().__init__()
        self.std, self.clip = check_positive("std", std), clip

    def corrupt(self, images: Tensor, chance: Chance) -> Tensor:
        noisy = images + self.std * chance.normal(*images.shape[1:])
        return noisy.clamp(0, 1) if self.clip else noisy


class SaltAndPepper(Corruption):
    """Sets pixels, each with probability `part`, to white or black at equal odds, all channels of a pixel alike."""

    def __init__(self, part: float = 0.25) -> None:
        super().__init__()
        self.part = _part(part)

    def corrupt(self, images: Tensor, chance: Chance) -> Tensor:
        drawn = chance.uniform(1, *images.shape[2:])
        return torch.where(drawn < self.part, (drawn < self.part / 2).float(), images)


class Masking(Corruption):
    """Sets pixels, each with probability `part`, to black, all channels alike (Vincent et al., "Extracting and
    composing robust features with denoising autoencoders", 2008, section 2.3)."""

    def __init__(self, part: float = 0.5) -> None:
        super().__init__()
        self.part = _part(part)

    def corrupt(self, images: Tensor, chance: Chance) -> Tensor:
        return torch.where(chance.uniform(1, *images.shape[2:]) < self.part, 0, images)


class Downsample(Corruption):
    """Averages blocks of `factor` x `factor` pixels and blows the result up again by nearest neighbour.

    Where a side is no multiple of `factor`, the small image has the side rounded up, and its pixels are averages over
    equal parts as `torch.nn.AdaptiveAvgPool2d` cuts them.
    """

    def __init__(self, factor: int = 2) -> None:
        super().__init__()
        self.factor = check_int("factor", factor, 2)

    def reduce(self, images: Tensor) -> Tensor:
        """N x C x H x W in [0, 1] to the small images, N x C x H / factor x W / factor.

        Raises:
            UserError: the images have a side shorter than `factor`.
        """
        height, width = images.shape[2:]
        if min(height, width) < self.factor:
            raise UserError(f"corruption: `factor` (= {self.factor}) is more than a side of {height}x{width} images.")
        return F.adaptive_avg_pool2d(_unit(images), (-(-height // self.factor), -(-width // self.factor)))

    def corrupt(self, images: Tensor, chance: Chance) -> Tensor:
        return F.interpolate(self.reduce(images), images.shape[2:], mode="nearest")


class Block(Corruption):
    """Fills a square of `side` pixels with the grey value `fill`; each place within the image is as likely.

    Raises:
        UserError: `fill` is not in [0, 1]; or, met with images, `side` is more than one of theirs.
    """

    def __init__(self, side: int = 10, fill: float = 0.0) -> None:
        super().__init__()
        self.side, self.fill = check_int("side", side), fill
        if isinstance(fill, bool) or not isinstance(fill, int | float) or not 0 <= fill <= 1:
            raise ConfigError("fill", fill, "must be a number from 0 (black) to 1 (white)")

    def corrupt(self, images: Tensor, chance: Chance) -> Tensor:
        return torch.where(self._inside(images, chance), self.fill, images)

    def mask(self, images: Tensor) -> Tensor:
        """Where `fixed` fills these images: N x 1 x H x W, bool."""
        images = _unit(images)
        return self._inside(images, _Hashed(images))

    def _inside(self, images: Tensor, chance: Chance) -> Tensor:
        height, width = images.shape[2:]
        if self.side > min(height, width):
            raise UserError(f"corruption: `side` (= {self.side}) is more than a side of {height}x{width} images.")
        places = torch.tensor([height, width], device=images.device) - self.side + 1
        top, left = (chance.uniform(2) * places).long().view(-1, 2, 1, 1, 1).unbind(1)  # each N x 1 x 1 x 1
        rows = torch.arange(height, device=images.device).view(-1, 1)
        columns = torch.arange(width, device=images.device)
        return (rows >= top) & (rows < top + self.side) & (columns >= left) & (columns < left + self.side)


class _Drawn:
    """Chance from torch's global generator."""

    def __init__(self, images: Tensor) -> None:
        self.images = images

    def uniform(self, *shape: int) -> Tensor:
        return torch.rand(len(self.images), *shape, device=self.images.device)

    def normal(self, *shape: int) -> Tensor:
        return torch.randn(len(self.images), *shape, device=self.images.device)


GOLDEN = -0x61C8864680B583EB  # 2^64 / golden ratio, odd, as a signed number: the step of splitmix64


class _Hashed:
    """Chance that is a function of the image alone: its bytes are hashed to the seed of a counter-based generator,
    splitmix64 (Steele, Lea & Flood, "Fast splittable pseudorandom number generators", 2014, figure 15)."""

    def __init__(self, images: Tensor) -> None:
        pixels = (images * 255).round().long().flatten(1)  # N x CHW
        self.seeds = _mixed((pixels * _mixed(_count(0, pixels.shape[1], pixels.device))).sum(1))  # N, modulo 2^64
        self.drawn = 0

    def uniform(self, *shape: int) -> Tensor:
        numbers = torch.Size(shape).numel()
        counters = _count(self.drawn, numbers, self.seeds.device)
        self.drawn += numbers
        top = _mixed(self.seeds[:, None] + counters) >> 41 & 0x7FFFFF  # 23 bits; with the half, float32 is just full
        return ((top + 0.5) / 2**23).view(-1, *shape)

    def normal(self, *shape: int) -> Tensor:
        return torch.special.ndtri(self.uniform(*shape))  # neither 0 nor 1 is ever drawn


def _count(start: int, numbers: int, device: torch.device) -> Tensor:
    return torch.arange(start + 1, start + numbers + 1, device=device) * GOLDEN


def _mixed(state: Tensor) -> Tensor:
    """The finaliser of splitmix64 on int64, whose products wrap; its shifts are those of unsigned numbers."""
    state = (state ^ (state >> 30 & (1 << 34) - 1)) * -0x40A7B892E31B1A47  # 0xBF58476D1CE4E5B9
    state = (state ^ (state >> 27 & (1 << 37) - 1)) * -0x6B2FB644ECCEEE15  # 0x94D049BB133111EB
    return state ^ (state >> 31 & (1 << 33) - 1)


def _unit(images: Tensor) -> Tensor:
    return images.float() / 255 if images.dtype == torch.uint8 else images.float()


def _part(value: float) -> float:
    if check_positive("part", value) > 1:
        raise ConfigError("part", value, "must be at most 1: it is the part of the pixels")
    return value
