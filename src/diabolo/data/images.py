"""Sets of images: what a data source gives, and what batches are cut from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from torch import Tensor

from diabolo.data.pixels import brightest
from diabolo.errors import UserError

LUMINANCE = (0.299, 0.587, 0.114)  # ITU-R BT.601, as Pillow's "L"


@runtime_checkable
class ImageSet(Protocol):
    """N images of one shape, each with a label. Pixels are stored as `diabolo.data.pixels` says: uint8, uint16 or
    float32."""

    labels: Tensor  # N int64, -1 for an image without a label

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Tensor:
        """One image, C x H x W, as stored."""
        ...

    def take(self, indices: Tensor | Sequence[int]) -> Tensor:
        """Several images, N x C x H x W, as stored."""
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


Source = Callable[..., Splits]
"""Called with root= (a folder or None) and image_shape= (C, H, W); also with depth= and value_range= where it takes
them. The images of one that does not are brought to that depth after it, if they are in memory."""


@dataclass
class MemoryImages:
    """An `ImageSet` in memory.

    Args:
        pixels: N x C x H x W, as stored.
        labels: N int64, -1 for an image without a label.
    """

    pixels: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, index: int) -> Tensor:
        return self.pixels[index]

    def take(self, indices: Tensor | Sequence[int]) -> Tensor:
        return self.pixels.index_select(0, torch.as_tensor(indices))  # torch 2.9 has no pixels[indices] of uint16

    def subset(self, indices: Tensor) -> MemoryImages:
        return MemoryImages(self.take(indices), self.labels[indices])


@dataclass
class MappedImages:
    """An `ImageSet` in a file that is mapped into memory: the system reads what is asked for, and all processes share
    what it has read.

    Args:
        pixels: M x C x H x W, as stored, the whole file.
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
    """Images brought to `image_shape`, (C, H, W): sides are resized (bilinear, antialiased), and channels are taken as
    in image files: one is grey, two are grey and alpha, three are colour, four are colour and alpha. Grey is repeated
    for more channels, colour becomes its luminance, alpha is dropped, or added as opaque.

    N x C' x H' x W', as stored, to N x C x H x W.

    Raises:
        UserError: images of five channels or more, of which others are wanted.
    """
    channels, height, width = image_shape
    if pixels.shape[1] != channels:
        pixels = _with_channels(pixels, channels)
    if pixels.shape[2:] != (height, width):
        pixels = torch.cat([_resize(part, height, width) for part in pixels.split(4096)])
    return pixels.contiguous()


def _with_channels(pixels: Tensor, channels: int) -> Tensor:
    there = pixels.shape[1]
    if there > 4 or (channels > 4 and there > 1):
        raise UserError(
            f"the images have {there} channels, and `data.image_shape` asks for {channels}: take"
            f" data.image_shape=[{there},HEIGHT,WIDTH]."
        )
    alpha = pixels[:, -1:] if there in (2, 4) else torch.full_like(pixels[:, :1], brightest(pixels))
    pixels = pixels[:, : there - 1] if there in (2, 4) else pixels
    wanted = channels - 1 if channels in (2, 4) else channels
    if pixels.shape[1] == 3 and wanted == 1:
        pixels = torch.cat([_luminance(part) for part in pixels.split(4096)])
    pixels = pixels.expand(-1, wanted, -1, -1)
    return torch.cat([pixels, alpha], 1) if channels in (2, 4) else pixels


def _luminance(colour: Tensor) -> Tensor:
    weighted = (colour * torch.tensor(LUMINANCE).view(1, 3, 1, 1)).sum(1, keepdim=True)
    return _stored(weighted, colour)


def _resize(images: Tensor, height: int, width: int) -> Tensor:
    floats = images.float()
    resized = F.interpolate(floats, (height, width), mode="bilinear", align_corners=False, antialias=True)
    return _stored(resized, images)


def _stored(values: Tensor, like: Tensor) -> Tensor:
    """Values in the units of `like`, of its type: whole numbers are rounded."""
    values = values if like.is_floating_point() else values.round()
    return values.clamp(0, brightest(like)).to(like.dtype)
