"""Losses of structure, edges and frequencies, against scikit-image, plain loops and NumPy's Fourier transform."""

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity

from diabolo.errors import UserError
from diabolo.training.losses import BCE, MAE, MSE, Mix
from diabolo.training.structural_losses import MSSSIM, SSIM, FocalFrequency, Gradient
from made_images import noisy, pair


@pytest.mark.parametrize(("shape", "window"), [((2, 1, 28, 28), 7), ((2, 3, 9, 13), 5), ((1, 1, 8, 8), 7)])
def test_ssim_agrees_with_scikit_image_on_images_with_a_reflected_border(shape, window):
    """The loss averages over every pixel and reflects the border (without its last pixel) to do so. scikit-image
    averages where the window lies inside; so on images that are reflected beforehand the two are the same."""
    ours, theirs = noisy(*shape)
    border = [(0, 0)] + [(window // 2, window // 2)] * 2
    values = [
        structural_similarity(
            *(np.pad(image.double().numpy(), border, mode="reflect") for image in images),
            win_size=window,
            use_sample_covariance=False,
            data_range=1.0,
            channel_axis=0,
        )
        for images in zip(ours, theirs, strict=True)
    ]
    assert SSIM(window)(ours, theirs).item() == pytest.approx(1 - np.mean(values), abs=1e-5)


@pytest.mark.parametrize("loss", [SSIM, MSSSIM, Gradient, FocalFrequency])
def test_structural_losses_undo_the_normalisation(loss):
    ours, theirs = noisy(2, 3, 28, 28)
    mean, std = [0.1, 0.4, 0.5], [0.3, 0.2, 0.9]
    scale = [torch.tensor(values).view(3, 1, 1) for values in (mean, std)]
    normalised = [(images - scale[0]) / scale[1] for images in (ours, theirs)]
    unit = loss()(ours, theirs).item()
    assert loss(mean=mean, std=std, channels=3)(*normalised).item() == pytest.approx(unit, abs=1e-5)
    assert abs(loss()(*normalised).item() - unit) > 0.01


def test_ms_ssim_of_one_level_is_ssim_and_of_more_grows_with_the_noise():
    ours, theirs = noisy(2, 1, 28, 28)
    assert MSSSIM(levels=1)(ours, theirs).item() == pytest.approx(SSIM()(ours, theirs).item(), abs=1e-6)
    near = MSSSIM()(theirs + (ours - theirs) / 4, theirs)
    assert 0.001 < near < MSSSIM()(ours, theirs) < 1


def test_ms_ssim_is_the_papers_product_over_the_scales():
    ours, theirs = noisy(1, 1, 28, 28)
    small = [torch.nn.functional.avg_pool2d(images, 2) for images in (ours, theirs)]
    contrast = 0.0448 / (0.0448 + 0.2856)  # the weight of the first of two levels
    x, y = (images.unfold(2, 3, 1).unfold(3, 3, 1).flatten(4).double() for images in (ours, theirs))
    covariance = (x * y).mean(-1) - x.mean(-1) * y.mean(-1)
    cs = (2 * covariance + 0.0009) / (x.var(-1, correction=0) + y.var(-1, correction=0) + 0.0009)
    wanted = cs.mean() ** contrast * (1 - SSIM(3)(*small)) ** (1 - contrast)
    assert MSSSIM(3, levels=2)(ours, theirs).item() == pytest.approx(1 - wanted.item(), abs=1e-5)


@pytest.mark.parametrize("reconstruct", [torch.rand_like, torch.zeros_like, lambda images: 1 - images])
def test_ms_ssim_has_a_finite_gradient_for_images_that_have_nothing_in_common(reconstruct):
    _, images = pair(4, 1, 28, 28)
    ours = reconstruct(images).requires_grad_()
    loss = MSSSIM()(ours, images)
    loss.backward()
    assert 0.5 < loss <= 1
    assert ours.grad.isfinite().all()


@pytest.mark.parametrize("window", [3, 5, 7, 9])
@pytest.mark.parametrize("levels", [1, 2, 3, 4, 5])
def test_the_smallest_image_for_ms_ssim_is_the_one_that_its_message_names(window, levels):
    side = max(2 ** (levels - 1), (levels - 1) ** 2) * window
    assert MSSSIM(window, levels)(*pair(1, 1, side, side + 1)).isfinite()
    message = f"must be at least {side}" if levels > 1 else "must not exceed"
    with pytest.raises(UserError, match=message):
        MSSSIM(window, levels)(*pair(1, 1, side + 1, side - 1))


# ---- edges ----


def plain_gradient(ours: np.ndarray, theirs: np.ndarray, operator: str) -> tuple[np.ndarray, np.ndarray]:
    """The slopes of two images N x C x H x W along columns and rows, each as one vector, by loops over the pixels."""
    slopes: list[list[float]] = [[], []]
    for found, images in zip(slopes, (ours, theirs), strict=True):
        for image in images.reshape(-1, *images.shape[-2:]):
            height, width = image.shape
            for row in range(height):
                for column in range(width):
                    if operator == "difference":
                        found += [image[row + 1, column] - image[row, column]] if row + 1 < height else []
                        found += [image[row, column + 1] - image[row, column]] if column + 1 < width else []
                        continue
                    for axis in (0, 1):
                        total = 0.0
                        for side, step in ((-1, -1.0), (1, 1.0)):
                            for along, part in ((-1, 1), (0, 2), (1, 1)):
                                down, right = (side, along) if axis == 0 else (along, side)
                                y, x = min(max(row + down, 0), height - 1), min(max(column + right, 0), width - 1)
                                total += step * part * image[y, x] / 8
                        found.append(total)
    return np.array(slopes[0]), np.array(slopes[1])


@pytest.mark.parametrize("operator", ["difference", "sobel"])
@pytest.mark.parametrize(("pixel", "error"), [("mse", np.square), ("mae", np.abs)])
def test_the_gradient_loss_is_its_formula(operator, pixel, error):
    images = [image.double().numpy() for image in pair(2, 2, 5, 4, low=-0.5, high=1.5)]
    ours, theirs = plain_gradient(*images, operator)
    wanted = error(images[0] - images[1]).mean() + 0.3 * error(ours - theirs).mean()
    loss = Gradient(pixel, weight=0.3, operator=operator)
    assert loss(*pair(2, 2, 5, 4, low=-0.5, high=1.5)).item() == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("operator", ["difference", "sobel"])
def test_a_gradient_is_that_of_a_ramp_and_none_of_a_plane(operator):
    """A ramp of .1 a pixel has the slope .1 along its rows everywhere but at the border, which Sobel's repeats."""
    ramp = (0.1 * torch.arange(8)).expand(1, 1, 8, 8)
    slopes = Gradient(operator=operator).gradient(ramp).flatten()
    inside = {0.0, 0.1} if operator == "difference" else {0.0, 0.05, 0.1}
    assert {round(float(slope), 5) for slope in slopes} == inside
    assert Gradient(operator=operator, weight=5)(ramp + 0.2, ramp).item() == pytest.approx(0.04, rel=1e-5)


def test_a_blurred_edge_costs_more_than_a_pale_one_of_the_same_squared_error():
    edge = torch.zeros(1, 1, 8, 8)
    edge[..., 4:] = 1
    blurred = edge.clone()
    blurred[..., 3], blurred[..., 4] = 0.25, 0.75
    pale = edge - (blurred - edge).square().mean().sqrt()
    assert MSE()(pale, edge).item() == pytest.approx(MSE()(blurred, edge).item(), rel=1e-5)
    assert Gradient()(blurred, edge) > 2 * Gradient()(pale, edge)
    assert Gradient(weight=0)(blurred, edge) == MSE()(blurred, edge)
    assert Gradient("mae", weight=0)(blurred, edge) == MAE()(blurred, edge)


# ---- frequencies ----


def plain_focal_frequency(ours, theirs, alpha=1.0, patch_factor=1, ave_spectrum=False, log_matrix=False) -> float:
    """The loss as the authors' code computes it, with NumPy, a patch after the other."""
    height, width = (side // patch_factor for side in ours.shape[-2:])
    losses = []
    for row in range(patch_factor):
        for column in range(patch_factor):
            place = np.s_[:, :, row * height : (row + 1) * height, column * width : (column + 1) * width]
            spectra = [np.fft.fft2(images[place], norm="ortho") for images in (ours, theirs)]
            if ave_spectrum:
                spectra = [spectrum.mean(0, keepdims=True) for spectrum in spectra]
            distance = np.abs(spectra[0] - spectra[1])
            weights = distance**alpha
            weights = np.log(weights + 1) if log_matrix else weights
            weights = weights / weights.max((-2, -1), keepdims=True)
            losses.append((weights * distance**2).mean())
    return float(np.mean(losses))


@pytest.mark.parametrize("shape", [(3, 1, 28, 28), (2, 3, 9, 7), (2, 2, 6, 15)])
@pytest.mark.parametrize(
    "given", [{}, {"alpha": 0.5}, {"alpha": 3.0}, {"log_matrix": True}, {"ave_spectrum": True}, {"alpha": 0.0}]
)
def test_the_focal_frequency_loss_is_that_of_its_authors_in_numpy(shape, given):
    images = pair(*shape, low=-0.5, high=1.5)
    wanted = plain_focal_frequency(*(image.double().numpy() for image in images), **given)
    assert FocalFrequency(**given)(*images).item() == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("more", [{}, {"ave_spectrum": True}, {"log_matrix": True}])
def test_patches_have_a_spectrum_each(more):
    images = pair(2, 3, 12, 9)
    wanted = plain_focal_frequency(*(image.double().numpy() for image in images), patch_factor=3, **more)
    assert FocalFrequency(patch_factor=3, **more)(*images).item() == pytest.approx(wanted, rel=1e-5)
    with pytest.raises(UserError, match=r"`loss.patch_factor` \(= 5\) must divide both sides of the images, 12x9"):
        FocalFrequency(patch_factor=5)(*images)


def test_with_alpha_0_it_is_mse_by_parseval():
    images = pair(3, 2, 9, 8)
    for given in ({}, {"log_matrix": True}):
        assert FocalFrequency(alpha=0, **given)(*images).item() == pytest.approx(MSE()(*images).item(), rel=1e-5)


def test_its_weights_look_at_the_worst_frequency_and_have_no_gradient():
    """An error of two waves: the greater has the weight 1, the smaller the ratio of the two."""
    columns = torch.arange(16) * 2 * torch.pi / 16
    target = torch.zeros(1, 1, 16, 16)
    ours = (0.3 * torch.cos(2 * columns) + 0.1 * torch.cos(5 * columns)).expand(1, 1, 16, 16).clone().requires_grad_()
    loss = FocalFrequency()(ours, target)
    assert loss.item() == pytest.approx((0.3**2 + 0.1**2 / 3) / 2, rel=1e-4)
    loss.backward()
    wanted = 2 * (0.3 * torch.cos(2 * columns) + 0.1 / 3 * torch.cos(5 * columns)) / 256
    np.testing.assert_allclose(ours.grad[0, 0, 3], wanted, atol=1e-7)


# ---- both ----

NEW = [Gradient(), Gradient("mae"), Gradient(operator="sobel"), FocalFrequency(), FocalFrequency(log_matrix=True)]


@pytest.mark.parametrize("loss", NEW)
@pytest.mark.parametrize("shape", [(2, 1, 28, 28), (1, 3, 7, 5), (2, 4, 2, 3)])
def test_equal_images_cost_nothing_and_have_a_finite_gradient(loss, shape):
    _, images = pair(*shape)
    ours = images.clone().requires_grad_()
    value = loss(ours, images)
    value.backward()
    assert value.item() == 0
    assert ours.grad.isfinite().all()
    assert not ours.grad.any()


@pytest.mark.parametrize("loss", NEW)
def test_the_loss_is_the_same_mirrored_transposed_and_exchanged(loss):
    ours, theirs = pair(2, 3, 7, 7)
    wanted = loss(ours, theirs).item()
    for seen in (lambda images: images.flip(3), lambda images: images.flip(2), lambda images: images.mT):
        assert loss(seen(ours), seen(theirs)).item() == pytest.approx(wanted, rel=1e-5)
    assert loss(theirs, ours).item() == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("make", [Gradient, FocalFrequency, SSIM, MSSSIM])
def test_half_precision_is_compared_in_float32(make):
    images = noisy(2, 1, 28, 28)
    for dtype in (torch.float16, torch.bfloat16):
        halves = [image.to(dtype) for image in images]
        loss = make()(*halves)
        assert loss.dtype == torch.float32
        assert loss == make()(*(half.float() for half in halves))


@pytest.mark.parametrize("make", [lambda: Gradient(weight=0.5), lambda: FocalFrequency(patch_factor=3)])
def test_a_mix_takes_them_with_bce_too(make):
    logits, theirs = pair(2, 1, 9, 9, low=-5, high=5)
    mix = Mix({"bce": BCE(), "new": make()}, {"bce": 0.3, "new": 4})
    wanted = 0.3 * BCE()(logits, theirs) + 4 * make()(logits.sigmoid(), theirs)
    assert mix(logits, theirs).item() == pytest.approx(wanted.item(), rel=1e-6)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Gradient("huber"), r"`pixel` \(= 'huber'\) must be one of mse, mae"),
        (lambda: Gradient(weight=-1), r"`weight` \(= -1\) must be a number of at least 0"),
        (lambda: Gradient(operator="prewitt"), r"`operator` \(= 'prewitt'\) must be one of difference, sobel"),
        (lambda: FocalFrequency(alpha=-0.5), r"`alpha` \(= -0.5\) must be a number of at least 0"),
        (lambda: FocalFrequency(patch_factor=0), r"`patch_factor` \(= 0\) must be a whole number of at least 1"),
        (lambda: FocalFrequency(log_matrix="yes"), r"`log_matrix` \(= 'yes'\) must be true or false"),
    ],
)
def test_a_value_that_cannot_work_is_refused(make, message):
    with pytest.raises(UserError, match=message):
        make()
