"""Perceptual metrics, against plain NumPy after the papers."""

import numpy as np
import pytest
import torch

from diabolo.errors import UserError
from diabolo.measures.perceptual import GMSD, MDSI, HaarPSI

METRICS = (HaarPSI, GMSD, MDSI)
YIQ = [[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]]
LHM = [[0.2989, 0.587, 0.114], [0.3, 0.04, -0.35], [0.34, -0.6, 0.17]]
PREWITT = np.outer([1, 1, 1], [-1, 0, 1]) / 3


def pair(*shape: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Blots, and the same with noise that leaves [0, 1]."""
    draw = torch.Generator().manual_seed(0)
    images = torch.nn.functional.interpolate(torch.rand(shape[0], shape[1], 5, 5, generator=draw), shape[2:])
    return images + 0.3 * torch.randn(images.shape, generator=draw), images


def filtered(image: np.ndarray, kernel: np.ndarray, before: int) -> np.ndarray:
    """The products of a kernel with the places of an H x W image around which zeros lie, `before` above and left."""
    side = len(kernel)
    padded = np.pad(image, (before, side - 1 - before))
    return np.einsum("ijkl,kl->ij", np.lib.stride_tricks.sliding_window_view(padded, (side, side)), kernel)


def halved(image: np.ndarray) -> np.ndarray:
    odd = max(side % 2 for side in image.shape)
    image = np.pad(image, (0, odd))
    height, width = (side // 2 for side in image.shape)
    return image[: 2 * height, : 2 * width].reshape(height, 2, width, 2).mean((1, 3))


def alike(x: np.ndarray, y: np.ndarray, constant: float) -> np.ndarray:
    return (2 * x * y + constant) / (x**2 + y**2 + constant)


def slope(image: np.ndarray) -> np.ndarray:
    return np.hypot(filtered(image, PREWITT, 1), filtered(image, PREWITT.T, 1))


def plain_haarpsi(ours: np.ndarray, theirs: np.ndarray) -> float:
    """That of Reisenhofer et al. for C x H x W in [0, 1]."""
    images = [255 * (np.tensordot(YIQ, x, 1) if len(x) == 3 else x) for x in (ours, theirs)]
    images = [[halved(channel) for channel in image] for image in images]
    similarities, weights = [], []
    for turn in (lambda kernel: kernel, np.transpose):
        sizes = []
        for scale in (1, 2, 3):
            kernel = np.full((2**scale, 2**scale), 2.0**-scale)
            kernel[2 ** (scale - 1) :] *= -1
            sizes.append([abs(filtered(image[0], turn(kernel), 2 ** (scale - 1) - 1)) for image in images])
        similarities.append((alike(*sizes[0], 30) + alike(*sizes[1], 30)) / 2)
        weights.append(np.maximum(*sizes[2]))
    if len(ours) == 3:
        means = [[abs(filtered(channel, np.full((2, 2), 0.25), 0)) for channel in image[1:]] for image in images]
        similarities.append((alike(means[0][0], means[1][0], 30) + alike(means[0][1], means[1][1], 30)) / 2)
        weights.append((weights[0] + weights[1]) / 2)
    squeezed = 1 / (1 + np.exp(-4.2 * np.array(similarities)))
    score = (squeezed * weights).sum() / np.sum(weights)
    return float((np.log(score / (1 - score)) / 4.2) ** 2)


def plain_gmsd(ours: np.ndarray, theirs: np.ndarray) -> float:
    """That of Xue et al., with their constant of 170 for pixels up to 255."""
    grey = [np.tensordot(YIQ[0], x, 1) if len(x) == 3 else x[0] for x in (ours, theirs)]
    return float(alike(*(slope(255 * halved(image)) for image in grey), 170).std())


def plain_mdsi(ours: np.ndarray, theirs: np.ndarray) -> float:
    """That of Nafchi et al., pooled with q = o = 1/4 and weighted with alpha = .6."""
    (l1, h1, m1), (l2, h2, m2) = (
        255 * np.tensordot(LHM, np.broadcast_to(x, (3, *x.shape[1:])), 1) for x in (ours, theirs)
    )
    one, two, both = slope(l1), slope(l2), slope((l1 + l2) / 2)
    structure = alike(one, two, 140) + alike(one, both, 55) - alike(two, both, 55)
    colour = (2 * (h1 * h2 + m1 * m2) + 550) / (h1**2 + h2**2 + m1**2 + m2**2 + 550)
    root = (0.6 * structure + 0.4 * colour).astype(complex) ** 0.25
    return float(abs(root - root.mean()).mean() ** 0.25)


@pytest.mark.parametrize("shape", [(3, 1, 28, 28), (2, 3, 33, 20), (2, 1, 17, 24)])
@pytest.mark.parametrize(("metric", "plain"), [(HaarPSI, plain_haarpsi), (GMSD, plain_gmsd), (MDSI, plain_mdsi)])
def test_it_is_the_papers(metric, plain, shape):
    ours, theirs = pair(*shape)
    clipped = ours.clamp(0, 1).double().numpy(), theirs.double().numpy()
    np.testing.assert_allclose(metric()(ours, theirs), list(map(plain, *clipped)), rtol=2e-4)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("channels", [2, 4])
def test_other_numbers_of_channels_are_measured_one_by_one(metric, channels):
    ours, theirs = pair(2, channels, 20, 20)
    each = [metric()(ours[:, [i]], theirs[:, [i]]) for i in range(channels)]
    np.testing.assert_allclose(metric()(ours, theirs), torch.stack(each).mean(0), rtol=1e-6)


@pytest.mark.parametrize(("metric", "best"), [(HaarPSI, 1), (GMSD, 0), (MDSI, 0)])
def test_equal_images_are_the_best_and_noise_makes_them_worse(metric, best):
    ours, theirs = pair(2, 1, 20, 20)
    for images in (theirs, torch.zeros_like(theirs), torch.ones_like(theirs)):
        np.testing.assert_allclose(metric()(images, images), best, atol=1e-4)
    near, far = ((metric()(theirs + part * (ours - theirs), theirs) - best).abs() for part in (0.25, 1))
    assert (near > 0).all()
    assert (near < far).all()


@pytest.mark.parametrize("metric", METRICS)
def test_it_measures_the_smallest_images_and_refuses_smaller_ones(metric):
    side = metric.smallest
    assert metric()(*pair(2, 1, side, side + 1)).isfinite().all()
    with pytest.raises(UserError, match=f"needs images of at least {side} pixels a side, not {side}x{side - 1}: leave"):
        metric()(*pair(2, 1, side, side - 1))


@pytest.mark.parametrize("metric", METRICS)
def test_what_is_no_number_is_left_to_the_yardstick(metric):
    """Whose MSE then ends the run with a sentence."""
    assert metric()(torch.full((2, 1, 16, 16), torch.nan), pair(2, 1, 16, 16)[1]).isfinite().all()


@pytest.mark.parametrize("metric", [HaarPSI(), GMSD(), MDSI()])
def test_images_that_come_back_from_normalised_pixels_may_be_a_rounding_error_outside(metric):
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    images[0, 0, 0, :2] = torch.tensor([0.0, 1.0])
    beyond = images.clone()
    beyond[0, 0, 0, :2] = torch.tensor([-3e-8, 1.0000002])
    assert torch.equal(metric(images.flip(3), beyond), metric(images.flip(3), images))
