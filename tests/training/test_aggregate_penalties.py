"""Distances of codes from the standard normal distribution against double loops and sorted lists."""

import math

import pytest
import torch
from scipy.stats import wasserstein_distance

from diabolo.errors import UserError
from diabolo.runs.loading import load
from diabolo.training.aggregate_penalties import MMD, SlicedWasserstein

CODES = torch.randn(7, 3, generator=torch.Generator().manual_seed(0)) * 2 + 0.5


def drawn(rows: int) -> torch.Tensor:
    """The numbers that evaluation draws."""
    return torch.randn(rows, 3, generator=torch.Generator().manual_seed(0))


def said(penalty, codes: torch.Tensor) -> float:
    return float(penalty.eval()(torch.empty(0), codes, lambda images: codes))


@pytest.mark.parametrize("kernel", ["imq", "gaussian"])
def test_mmd_is_the_papers_sum_over_pairs(kernel):
    prior, scales, total = drawn(7), (0.5, 2.0), 0.0

    def k(one, other, width):
        distance = float((one - other).square().sum())
        return width / (width + distance) if kernel == "imq" else math.exp(-distance / width)

    for scale in scales:
        for i in range(7):
            for j in range(7):
                width = 2 * 3 * scale
                if i != j:
                    total += (k(CODES[i], CODES[j], width) + k(prior[i], prior[j], width)) / (7 * 6)
                total -= 2 * k(CODES[i], prior[j], width) / 49
    assert said(MMD(0.3, kernel, scales), CODES) == pytest.approx(0.3 * total, rel=1e-5)


def test_mmd_is_0_on_average_for_codes_of_the_prior_and_not_for_others():
    torch.manual_seed(0)
    values = {name: [] for name in ("prior", "shifted", "narrow")}
    for _ in range(200):
        codes = torch.randn(50, 3)
        for name, given in (("prior", codes), ("shifted", codes + 1), ("narrow", codes / 2)):
            values[name].append(float(MMD(1.0)(torch.empty(0), given, lambda images: images)))
    means = {name: sum(one) / 200 for name, one in values.items()}
    assert abs(means["prior"]) < 0.001
    assert min(means["shifted"], means["narrow"]) > 0.03


def test_the_sliced_distance_sorts_the_projections():
    numbers = drawn(4 + 7)
    directions, prior = numbers[:4], numbers[4:]
    expected = 0.0
    for direction in directions:
        direction = direction / direction.norm()
        ours, theirs = (sorted((one @ direction).tolist()) for one in (CODES, prior))
        expected += sum((a - b) ** 2 for a, b in zip(ours, theirs, strict=True)) / 7 / 4
    assert said(SlicedWasserstein(0.3, 4), CODES) == pytest.approx(0.3 * expected, rel=1e-5)


def test_codes_that_are_moved_as_a_whole_are_as_far_as_scipy_says():
    """In one dimension, where every direction is the axis: a shift moves each rank by as much."""
    codes = torch.randn(5000, 1, generator=torch.Generator().manual_seed(1)) + 3
    distance = wasserstein_distance(codes[:, 0].numpy(), drawn_of_one(5000, 10).numpy())
    assert said(SlicedWasserstein(1.0, 10), codes) == pytest.approx(distance**2, rel=0.01)


def drawn_of_one(rows: int, projections: int) -> torch.Tensor:
    return torch.randn(projections + rows, 1, generator=torch.Generator().manual_seed(0))[projections:, 0]


@pytest.mark.parametrize("penalty", [MMD(1.0), SlicedWasserstein(1.0)])
def test_gradients_bring_codes_to_the_prior(penalty):
    torch.manual_seed(0)
    codes = (torch.randn(256, 2) * 0.3 + 1).requires_grad_()
    optimizer = torch.optim.Adam([codes], lr=0.08)
    for step in range(300):
        optimizer.param_groups[0]["lr"] = 0.08 * (1 - step / 300)
        optimizer.zero_grad()
        penalty(torch.empty(0), codes, lambda images: images).backward()
        optimizer.step()
    found = codes.detach()
    torch.testing.assert_close(found.mean(0), torch.zeros(2), rtol=0, atol=0.2)
    torch.testing.assert_close(found.T.cov(), torch.eye(2), rtol=0, atol=0.3)


@pytest.mark.parametrize("penalty", [MMD(1.0), SlicedWasserstein(1.0)])
def test_a_batch_of_one_image_is_finite(penalty):
    assert math.isfinite(said(penalty, CODES[:1]))


@pytest.mark.parametrize(("make", "words"), [
    (lambda: MMD(0), r"`weight` \(= 0\) must be a number above 0"),
    (lambda: MMD(1.0, "rbf"), r"`kernel` \(= 'rbf'\) must be one of imq, gaussian"),
    (lambda: MMD(1.0, scales=[1, -1]), r"`scales\[1\]` \(= -1\) must be a number above 0"),
    (lambda: SlicedWasserstein(1.0, 0), r"`projections` \(= 0\) must be a whole number of at least 1"),
])  # fmt: skip
def test_values_out_of_range_are_refused(make, words):
    with pytest.raises(UserError, match=words):
        make()


def test_codes_are_drawn_from_what_they_are_held_to(trained, tiny):
    quiet = ("callbacks=none", "logger=none", "trainer.max_epochs=1")
    plain, held = (load(trained(*tiny, *quiet, *more).path).autoencoder for more in ((), ("penalty=mmd",)))
    assert (plain.has_prior, held.has_prior) == (False, True)
    torch.manual_seed(0)
    codes = held.sample(50_000)
    torch.testing.assert_close(codes.T.cov(), torch.eye(held.code_size), rtol=0, atol=0.03)
    with pytest.raises(UserError, match=r"neither the bottleneck \(Vector\) nor a penalty has a prior"):
        plain.sample(3)
