"""Top-k and noisy codes."""

import math

import pytest
import torch

from diabolo.errors import UserError
from diabolo.network.bottlenecks.restricted import Noisy, TopK

FEATURES = torch.randn(400, 6, generator=torch.Generator().manual_seed(0)) * 3 + 1


@pytest.mark.parametrize("k", [1, 3, 6])
def test_the_k_largest_stay_and_the_others_are_0(k):
    code, penalty = TopK(6, k)(FEATURES)
    for ours, given in zip(code, FEATURES, strict=True):
        kept = sorted(range(6), key=lambda unit: -given[unit])[:k]
        assert torch.equal(ours, torch.tensor([given[i] if i in kept else 0.0 for i in range(6)]))
    assert penalty is None


def test_only_what_stays_has_a_gradient():
    features = FEATURES.clone().requires_grad_()
    code = TopK(6, 2)(features)[0]
    code.sum().backward()
    assert torch.equal(features.grad != 0, code != 0)


def test_diagnostics_count_the_units_that_are_ever_used():
    figures = TopK(4, 2).diagnostics(torch.tensor([[3.0, 2, 1, 0], [3, 1, 2, 0], [3, 2, 1, 0], [3, 2, 1, 0]]))
    assert int(figures["used_units"]) == 3
    assert figures["use_of_units"].tolist() == [1, 0.75, 0.25, 0]


def test_more_units_than_there_are_cannot_stay():
    with pytest.raises(UserError, match=r"`k` \(= 7\) must not exceed `size` \(= 6\)"):
        TopK(6, 7)


def test_noise_is_added_to_units_of_variance_1_in_training_alone():
    bottleneck = Noisy(6, noise=0.5)
    normal = (FEATURES - FEATURES.mean(0)) / FEATURES.var(0, unbiased=False).sqrt()
    torch.manual_seed(0)
    noise = bottleneck(FEATURES)[0] - normal
    assert float(noise.std()) == pytest.approx(0.5, rel=0.05)
    assert abs(float(noise.mean())) < 0.05
    for _ in range(200):  # the running averages arrive
        bottleneck(FEATURES)
    code, penalty = bottleneck.eval()(FEATURES)
    torch.testing.assert_close(code, normal, rtol=0, atol=0.01)
    assert penalty is None


def test_a_larger_scale_of_the_features_does_not_evade_the_noise():
    torch.manual_seed(0)
    small = Noisy(6)(FEATURES)[0]
    torch.manual_seed(0)
    torch.testing.assert_close(Noisy(6)(FEATURES * 1000)[0], small, rtol=0, atol=1e-4)


def test_diagnostics_are_the_bits_of_gaussian_channels():
    bottleneck = Noisy(2, noise=0.25).eval()
    features = torch.tensor([[1.0, 3.0], [-1.0, -3.0]])  # variances 1 and 9, running variances 1
    expected = [0.5 * math.log2(1 + variance / 0.25**2) for variance in (1, 9)]
    figures = bottleneck.diagnostics(features)
    assert figures["bits_of_units"].tolist() == pytest.approx(expected, rel=1e-4)
    assert float(figures["bits"]) == pytest.approx(sum(expected), rel=1e-4)


def test_noise_must_be_some():
    with pytest.raises(UserError, match=r"`noise` \(= 0\) must be a number above 0"):
        Noisy(6, noise=0)
