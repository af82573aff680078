"""Nested dropout: which numbers are lost how often, and what is left of a truncated code."""

import pytest
import torch

from diabolo.bottlenecks.nested import Nested
from diabolo.errors import ConfigError


def kept(bottleneck: Nested, count: int) -> torch.Tensor:
    """How many numbers of each code stay in training; features without a 0 tell."""
    torch.manual_seed(0)
    code, penalty = bottleneck(torch.randn(count, bottleneck.size))
    assert penalty == 0
    lost = code == 0
    assert torch.equal(lost, lost.cummax(1).values), "the lost numbers are the last ones"
    return (~lost).sum(1)


@pytest.mark.parametrize(("power", "decay"), [(0, 1), (1, 1), (-1, 1), (0, 0.5), (0.5, 0.8)])
def test_k_is_drawn_in_proportion_to_a_power_and_a_decay(power, decay):
    size, count = 6, 60_000
    weights = torch.tensor([k**power * decay**k for k in range(1, size + 1)])
    found = torch.bincount(kept(Nested(size, power, decay), count), minlength=size + 1)[1:] / count
    torch.testing.assert_close(found, weights / weights.sum(), rtol=0, atol=0.01)


def test_the_numbers_that_stay_are_those_of_the_whole_code_of_mean_0_and_variance_1():
    features = torch.randn(500, 4, generator=torch.Generator().manual_seed(0)) * 5 + 2
    code, _ = Nested(4)(features)
    whole = (features - features.mean(0)) / (features.var(0, unbiased=False) + 1e-5).sqrt()
    torch.testing.assert_close(code, whole.where(code != 0, 0), rtol=0, atol=1e-5)


def test_in_evaluation_nothing_is_lost_and_all_is_the_same_every_time():
    bottleneck = Nested(4).eval()
    features = torch.randn(5, 4, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(bottleneck(features)[0], features, rtol=0, atol=1e-4)
    assert torch.equal(bottleneck(features)[0], bottleneck(features)[0])


def test_a_code_is_truncated_at_one_place_or_each_at_its_own():
    codes = torch.arange(1.0, 9).view(2, 4)
    assert Nested(4).truncate(codes, 1).tolist() == [[1, 0, 0, 0], [5, 0, 0, 0]]
    assert Nested(4).truncate(codes, torch.tensor([3, 2])).tolist() == [[1, 2, 3, 0], [5, 6, 0, 0]]


@pytest.mark.parametrize(("arguments", "words"), [
    ({"power": "steep"}, r"`power` \(= 'steep'\) must be a number"),
    ({"decay": 1.5}, r"`decay` \(= 1.5\) must be above 0 and at most 1"),
    ({"decay": 0}, r"`decay` \(= 0\) must be a number above 0"),
])  # fmt: skip
def test_values_out_of_range_are_refused(arguments, words):
    with pytest.raises(ConfigError, match=words):
        Nested(4, **arguments)
