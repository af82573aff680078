"""The best affine map, against least squares by NumPy."""

import numpy as np
import pytest
import torch

from diabolo.measures.ridge import RIDGE, LinearMap


def test_it_is_ridge_regression_on_all_parts_together():
    draw = torch.Generator().manual_seed(0)
    clean, noise = (torch.rand(300, 2, 4, 5, generator=draw) for _ in range(2))
    given = 0.6 * clean + 0.4 * noise
    ours = LinearMap(zip(given.split(70), clean.split(70), strict=True))
    x = np.concatenate([given.flatten(1).double().numpy(), np.ones((300, 1))], 1)
    rows = np.concatenate([x, np.sqrt(300 * RIDGE) * np.eye(41)])  # the ridge as further observations of 0
    weights = np.linalg.lstsq(rows, np.concatenate([clean.flatten(1).double().numpy(), np.zeros((41, 40))]))[0]
    expected = (x @ weights).clip(0, 1).reshape(given.shape)
    np.testing.assert_allclose(ours(given).numpy(), expected, atol=2e-4)
    wrong = [float((strip - clean).square().mean()) for strip in (ours(given), given)]
    assert wrong[0] < wrong[1]


def test_images_that_do_not_span_all_directions_are_no_trouble():
    flat = torch.rand(50, 1, 1, 1).expand(-1, 1, 4, 4)
    assert LinearMap([(flat, flat)])(flat).numpy() == pytest.approx(flat.numpy(), abs=2e-3)
