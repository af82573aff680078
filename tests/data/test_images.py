"""Bringing images to a shape: grey and colour, sizes."""

import numpy as np
import torch
from PIL import Image

from diabolo.data.images import MemoryImages, fit_shape

DRAW = np.random.default_rng(0)
GREY = DRAW.integers(0, 256, (5, 1, 12, 20), dtype=np.uint8)
COLOUR = DRAW.integers(0, 256, (5, 3, 12, 20), dtype=np.uint8)


def test_images_that_fit_are_left_as_they_are():
    assert np.array_equal(fit_shape(torch.tensor(COLOUR), (3, 12, 20)), COLOUR)


def test_grey_becomes_colour_by_repetition():
    colour = fit_shape(torch.tensor(GREY), (3, 12, 20))
    assert colour.is_contiguous()
    for channel in range(3):
        assert np.array_equal(colour[:, channel], GREY[:, 0])


def test_colour_becomes_grey_by_luminance():
    grey = fit_shape(torch.tensor(COLOUR), (1, 12, 20))[:, 0]
    for ours, image in zip(grey.numpy(), COLOUR, strict=True):
        pillow = np.asarray(Image.fromarray(image.transpose(1, 2, 0)).convert("L"))
        assert np.abs(ours.astype(int) - pillow).max() <= 1  # Pillow cuts where we round


def test_resizing_up_and_down_is_pillows_antialiased_bilinear():
    for height, width in ((30, 16), (8, 8), (25, 33)):
        resized = fit_shape(torch.tensor(GREY), (1, height, width))[:, 0]
        assert resized.shape == (5, height, width)
        for ours, image in zip(resized.numpy(), GREY[:, 0], strict=True):
            pillow = np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))
            assert np.abs(ours.astype(int) - pillow).max() <= 1


def test_a_subset_keeps_images_and_labels_together():
    images = MemoryImages(torch.tensor(GREY), torch.arange(5) * 10)
    part = images.subset(torch.tensor([4, 1]))
    assert part.labels.tolist() == [40, 10]
    assert np.array_equal(part.take([1, 0]), GREY[[1, 4]])
