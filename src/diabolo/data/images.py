"""Sets of images: what a data source gives, and what batches are cut from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from torch import Tensor

LUMINANCE = (0.299, 0.587, 0.114)  # ITU-R BT.601, as Pillow's "L"


@runtime_checkable
class ImageSet(Protocol):
    """N images of one shape as bytes, each with a label."""

    labels: Tensor  # N int64, -1 for an image without a label

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Tensor:
        """One image, C x H x W, uint8."""
        ...

    def take(self, indices: Tensor | Sequence[int]) -> Tensor:
        """Several images, N x C x H x W, uint8."""
        ...

    def subset(self, indices: Tensor) -> ImageSet:
        """The set of only the images at `indices`, int64."""
        ...


class Splits(NamedTuple):
    """What a source gives: training images, and the test and validation images of a set that has its own.

    Args:
        classes: the name of each label, where the source knows names.
        said: in a few lines, what the source understood: parts, classes, what was left out and why.
    """

    train: ImageSet
    test: ImageSet | None = None
    val: ImageSet | None = None
    classes: tuple[str, ...] = ()
    said: tuple[str, ...] = ()


Source = Callable[..., Splits]  # called with root= (a folder or None) and image_shape= ((C, H, W))


@dataclass
class MemoryImages:
    """An `ImageSet` in memory.

    Args:
        pixels: N x C x H x W uint8.
        labels: N int64, -1 for an image without a label.
    """

    pixels: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, index: int) -> Tensor:
        return self.pixels[index]

    def take(self, indices: Tensor | Sequence[int]) -> Tensor:
        return self.pixels[torch.as_tensor(indices)]

    def subset(self, indices: Tensor) -> MemoryImages:
        return MemoryImages(self.pixels[indices], self.labels[indices])


@dataclass
class MappedImages:
    """An `ImageSet` in a file that is mapped into memory: the system reads what is asked for, and all processes share
    what it has read.

    Args:
        pixels: M x C x H x W uint8, the whole file.
        labels: N int64, -1 for an image without a label.
        rows: N int64, the place in the file of each image.
    """

    pixels: Tensor
    labels: Tensor
    rows: Tensor

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Tensor:
        return self.pixels[self.rows[index]]

    def take(self, indices: Tensor | Sequence[int]) -> Tensor:
        return self.pixels.index_select(0, self.rows[torch.as_tensor(indices)])

    def subset(self, indices: Tensor) -> MappedImages:
        return MappedImages(self.pixels, self.labels[indices], self.rows[indices])


def fit_shape(pixels: Tensor, image_shape: Sequence[int]) -> Tensor:
    """Images brought to `image_shape`, (C, H, W): grey is repeated for colour, colour becomes its luminance, sides are
    resized (bilinear, antialiased). N x C' x H' x W' uint8 -> N x C x H x W uint8."""
    channels, height, width = image_shape
    if pixels.shape[1] != channels:
        if channels == 1:
            weights = torch.tensor(LUMINANCE).view(1, 3, 1, 1)
            pixels = torch.cat([(part * weights).sum(1, keepdim=True).round().byte() for part in pixels.split(4096)])
        else:
            pixels = pixels.expand(-1, channels, -1, -1)
    if pixels.shape[2:] != (height, width):
        pixels = torch.cat([_resize(part.float(), height, width) for part in pixels.split(4096)])
    return pixels.contiguous()


def _resize(images: Tensor, height: int, width: int) -> Tensor:
    resized = F.interpolate(images, (height, width), mode="bilinear", align_corners=False, antialias=True)
    return resized.round().clamp(0, 255).byte()
