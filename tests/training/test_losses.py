"""Reconstruction losses, against plain NumPy."""

import numpy as np
import pytest
import torch

from diabolo.errors import UserError
from diabolo.training.losses import BCE, MAE, MSE, Huber, Mix, SmoothL1
from diabolo.training.structural_losses import MSSSIM, SSIM
from made_images import noisy, pair


def huber(difference: np.ndarray, delta: float) -> np.ndarray:
    size = np.abs(difference)
    return np.where(size < delta, size**2 / 2, delta * (size - delta / 2))


def cross_entropy(logits: np.ndarray, y: np.ndarray) -> np.ndarray:
    """-y log(p) - (1 - y) log(1 - p) for p = sigmoid(logits), written so that nothing overflows."""
    return np.maximum(logits, 0) - logits * y + np.log1p(np.exp(-np.abs(logits)))


@pytest.mark.parametrize(
    ("make", "formula"),
    [
        (MSE, lambda x, y: (x - y) ** 2),
        (MAE, lambda x, y: np.abs(x - y)),
        (Huber, lambda x, y: huber(x - y, 0.1)),
        (lambda **given: Huber(delta=0.2, **given), lambda x, y: huber(x - y, 0.2)),
        (SmoothL1, lambda x, y: huber(x - y, 0.1) / 0.1),
        (lambda **given: SmoothL1(beta=0.2, **given), lambda x, y: huber(x - y, 0.2) / 0.2),
        (BCE, cross_entropy),
    ],
)
def test_a_pixel_loss_is_its_formula_under_both_reductions(make, formula):
    ours, theirs = pair(3, 2, 5, 4, low=-2, high=3)
    each = formula(ours.double().numpy(), theirs.double().numpy())
    assert make(reduction="mean")(ours, theirs).item() == pytest.approx(each.mean(), rel=1e-5)
    assert make(reduction="sum")(ours, theirs).item() == pytest.approx(each.sum((1, 2, 3)).mean(), rel=1e-5)
    assert make()(ours, theirs) == make(reduction="mean")(ours, theirs)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_bce_and_its_gradient_are_right_for_logits_far_out(dtype):
    logits, targets = (grid.flatten() for grid in np.meshgrid([-200.0, -20.0, 0.0, 20.0, 200.0], [0.0, 0.5, 1.0]))
    ours = torch.tensor(logits, dtype=dtype, requires_grad=True)
    loss = BCE("sum")(ours[None], torch.tensor(targets, dtype=torch.float32)[None])
    loss.backward()
    assert loss.item() == pytest.approx(
        cross_entropy(logits, targets).sum(), rel=1e-2 if ours.grad.itemsize < 4 else 1e-6
    )
    np.testing.assert_allclose(ours.grad.float(), 1 / (1 + np.exp(-logits)) - targets, atol=1e-6)


@pytest.mark.parametrize("loss", [MSE(), MAE(), Huber(), SmoothL1(), SSIM(), MSSSIM()])
def test_equal_images_cost_nothing(loss):
    _, images = pair(2, 1, 28, 28)
    assert loss(images, images).item() == pytest.approx(0, abs=1e-6)


def test_a_mix_is_the_weighted_sum_of_its_terms():
    ours, theirs = noisy(2, 1, 9, 8)
    terms = {"mse": MSE("sum"), "mae": MAE(), "ssim": SSIM()}
    mix = Mix(terms, {"mse": 0.5, "mae": 2, "ssim": 0.25})
    wanted = 0.5 * terms["mse"](ours, theirs) + 2 * terms["mae"](ours, theirs) + 0.25 * terms["ssim"](ours, theirs)
    assert mix(ours, theirs).item() == pytest.approx(wanted.item(), rel=1e-6)
    assert not mix.on_logits


def test_a_mix_with_bce_takes_logits_and_gives_the_other_terms_probabilities():
    logits, theirs = pair(2, 1, 8, 8, low=-5, high=5)
    mix = Mix({"bce": BCE(), "mse": MSE()}, {"bce": 0.3, "mse": 4})
    wanted = 0.3 * BCE()(logits, theirs) + 4 * MSE()(logits.sigmoid(), theirs)
    assert mix(logits, theirs).item() == pytest.approx(wanted.item(), rel=1e-6)
    assert mix.on_logits


def test_terms_of_weight_zero_are_left_out():
    ours, theirs = pair(2, 1, 8, 8)  # too small for MS-SSIM, and not on logits
    mix = Mix({"mse": MSE(), "bce": BCE(), "ms_ssim": MSSSIM()}, {"mse": 1, "bce": 0, "ms_ssim": 0.0})
    assert list(mix.terms) == ["mse"]
    assert not mix.on_logits
    assert mix(ours, theirs) == MSE()(ours, theirs)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MSE("max"), r"`reduction` \(= 'max'\) must be one of mean, sum"),
        (lambda: Huber(0), r"`delta` \(= 0\) must be a number above 0"),
        (lambda: SmoothL1(-1), r"`beta` \(= -1\) must be a number above 0"),
        (lambda: SSIM(6), r"`window` \(= 6\) must be odd"),
        (lambda: SSIM(1), r"`window` \(= 1\) must be a whole number of at least 3"),
        (lambda: MSSSIM(levels=6), r"`levels` \(= 6\) must be at most 5"),
        (lambda: SSIM(9)(*pair(1, 1, 28, 8)), r"`loss.window` \(= 9\) must not exceed .* \(8\)"),
        (lambda: Mix({"mse": MSE()}, {"mae": 1}), r"`weights` names \['mae'\], which `terms` \(\['mse'\]\)"),
        (lambda: Mix({"mse": MSE()}, {"mse": 0}), "must have a positive and no negative weight"),
        (lambda: Mix({"mse": MSE(), "mae": MAE()}, {"mse": 1, "mae": -1}), "a positive and no negative weight"),
    ],
)
def test_a_value_that_cannot_work_is_refused(make, message):
    with pytest.raises(UserError, match=message):
        make()
