"""Upsampling to an explicit size, against plain NumPy."""

import numpy as np
import pytest
import torch

from diabolo.errors import ConfigError
from diabolo.upsampling import Upsample

SIZES = [((4, 4), (8, 8)), ((4, 5), (7, 9)), ((1, 3), (2, 6)), ((5, 7), (9, 13)), ((3, 3), (3, 3))]


def nearest(size: int, target: int) -> np.ndarray:
    """The target x size matrix that picks, for each place, the value whose cell it falls into."""
    matrix = np.zeros((target, size))
    matrix[np.arange(target), np.arange(target) * size // target] = 1
    return matrix


def linear(size: int, target: int) -> np.ndarray:
    """The target x size matrix that mixes the two values between whose centres a place lies; the ends are repeated."""
    matrix = np.zeros((target, size))
    for place in range(target):
        centre = np.clip((place + 0.5) * size / target - 0.5, 0, size - 1)
        low = int(centre)
        matrix[place, low] += 1 - (centre - low)
        matrix[place, min(low + 1, size - 1)] += centre - low
    return matrix


@pytest.mark.parametrize(("size", "target"), SIZES)
@pytest.mark.parametrize(("mode", "axis"), [("nearest", nearest), ("bilinear", linear)])
def test_each_mode_is_its_matrix_along_rows_and_columns(mode, axis, size, target):
    maps = np.random.default_rng(0).normal(size=(2, 3, *size))
    wanted = axis(size[0], target[0]) @ maps @ axis(size[1], target[1]).T
    np.testing.assert_allclose(Upsample(target, mode)(torch.from_numpy(maps)), wanted, atol=1e-7)


def test_nearest_by_two_repeats_every_value():
    maps = torch.arange(6.0).view(1, 1, 2, 3)
    wanted = [[0, 0, 1, 1, 2, 2], [0, 0, 1, 1, 2, 2], [3, 3, 4, 4, 5, 5], [3, 3, 4, 4, 5, 5]]
    assert Upsample((4, 6))(maps).tolist() == [[wanted]]


def test_an_unknown_mode_is_answered_with_the_known_ones():
    with pytest.raises(ConfigError, match=r"`upsample` \(= 'bicubic'\) must be one of nearest, bilinear"):
        Upsample((4, 4), "bicubic")
