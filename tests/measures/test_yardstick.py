"""The yardstick, against plain NumPy and scikit-image."""

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity

from diabolo.measures.yardstick import RADIUS, Yardstick, ssim_per_image

SHAPES = [(1, 28, 28), (3, 32, 32), (1, 12, 40), (1, 11, 11), (1, 8, 8), (3, 9, 30), (1, 10, 6)]
SHAPES += [(3, 64, 64), (1, 65, 65), (3, 128, 96), (2, 40, 256), (4, 256, 250), (3, 9, 100), (1, 70, 10)]  # long sides


def noisy(count: int, shape: tuple[int, ...]) -> tuple[torch.Tensor, torch.Tensor]:
    """Images and reconstructions with more noise from one to the next, which leave [0, 1]."""
    draw = torch.Generator().manual_seed(0)
    images = torch.rand(count, *shape, generator=draw)
    noise = torch.randn(count, *shape, generator=draw) * torch.linspace(0.05, 0.5, count).view(-1, 1, 1, 1)
    return images + noise, images


def reference(ours: np.ndarray, theirs: np.ndarray) -> float:
    """scikit-image's SSIM as in the paper; it leaves out a border of 5, so an axis too short for that gets one."""
    border = [(0, 0), *((RADIUS, RADIUS) if side < 11 else (0, 0) for side in ours.shape[1:])]
    return structural_similarity(
        *(np.pad(image, border, mode="reflect") for image in (ours, theirs)),
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=1,
        channel_axis=0,
    )


@pytest.mark.parametrize("shape", SHAPES)
def test_ssim_is_scikit_images(shape):
    ours, theirs = noisy(4, shape)
    wanted = [reference(*images) for images in zip(ours.double().numpy(), theirs.double().numpy(), strict=True)]
    np.testing.assert_allclose(ssim_per_image(ours, theirs), wanted, atol=1e-5)
    assert min(wanted) < 0.9 < max(wanted)


def test_over_uneven_batches_it_measures_as_over_the_whole():
    ours, theirs = noisy(9, (1, 12, 14))
    yardstick = Yardstick()
    for part in (slice(0, 5), slice(5, 8), slice(8, 9)):
        yardstick.update(ours[part], theirs[part])
    difference = ours.double().numpy() - theirs.double().numpy()
    mse = (difference**2).mean()
    ssim = np.mean([reference(*images) for images in zip(ours.numpy(), theirs.numpy(), strict=True)])
    wanted = {"mse": mse, "mae": np.abs(difference).mean(), "psnr": 10 * np.log10(1 / mse), "ssim": ssim}
    assert {name: float(value) for name, value in yardstick.compute().items()} == pytest.approx(wanted, abs=1e-5)


def test_after_a_reset_it_has_seen_nothing():
    ours, theirs = noisy(3, (1, 8, 8))
    yardstick = Yardstick()
    yardstick.update(theirs + 1, theirs)
    yardstick.reset()
    yardstick.update(ours, theirs)
    assert float(yardstick.compute()["mse"]) == pytest.approx(float((ours - theirs).square().mean()), rel=1e-6)


def test_values_outside_the_unit_interval_count_as_they_are():
    theirs = torch.ones(2, 1, 8, 8)
    yardstick = Yardstick()
    yardstick.update(theirs + 0.5, theirs)
    values = yardstick.compute()
    assert (float(values["mse"]), float(values["mae"])) == (0.25, 0.5)


def test_equal_images_have_no_error_and_ssim_one():
    _, images = noisy(2, (3, 16, 16))
    yardstick = Yardstick()
    yardstick.update(images, images)
    values = {name: float(value) for name, value in yardstick.compute().items()}
    assert values == {"mse": 0, "mae": 0, "psnr": float("inf"), "ssim": pytest.approx(1, abs=1e-6)}


def test_many_small_batches_lose_no_digits():
    ours, theirs = noisy(1, (1, 8, 8))
    yardstick = Yardstick()
    for _ in range(300):
        yardstick.update(ours, theirs)
    one = Yardstick()
    one.update(ours, theirs)
    for name, value in one.compute().items():
        assert float(yardstick.compute()[name]) == pytest.approx(float(value), rel=1e-12)
