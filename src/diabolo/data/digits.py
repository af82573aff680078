"""The handwritten digits that come with scikit-learn: no download."""

from collections.abc import Sequence

import torch
from sklearn.datasets import load_digits

from diabolo.data.images import MemoryImages, Splits, fit_shape
from diabolo.data.pixels import to_depth


def digit_images(image_shape: Sequence[int], root: str | None = None, depth: str = "uint8") -> Splits:
    """1,797 digits of 8x8 pixels with 17 grey levels, resized, with their labels; they have no test images of
    their own.

    From Alpaydin & Kaynak, "Optical recognition of handwritten digits" (UCI, 1998), its test part.

    Args:
        image_shape: (channels, height, width).
        root: not needed; every source is called with it.
        depth: how pixels are stored.
    """
    bunch = load_digits()
    pixels = to_depth(bunch.images, depth, (0, 16))[:, None]  # N x 1 x 8 x 8
    return Splits(MemoryImages(fit_shape(pixels, image_shape), torch.from_numpy(bunch.target).long()), None)
