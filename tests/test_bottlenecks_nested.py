"""Nested dropout: which numbers are lost how often, and what is left of a truncated code."""

import pytest
import torch

from diabolo.bottlenecks.nested import Nested
from diabolo.build import build_module
from diabolo.config import compose_config
from diabolo.errors import ConfigError

CODES = torch.arange(1.0, 9).view(2, 4)


@pytest.mark.parametrize(("power", "decay"), [(0, 1), (1, 1), (-1, 1), (0, 0.5), (0.5, 0.8)])
def test_k_is_drawn_in_proportion_to_a_power_and_a_decay(power, decay):
    size, count = 6, 30_000
    torch.manual_seed(0)
    code, penalty = Nested(size, None, power, decay, truncations=2, hidden=0)(torch.randn(count, size))
    assert penalty == 0
    lost = code == 0
    assert torch.equal(lost, lost.cummax(1).values), "the lost numbers are the last ones"
    weights = torch.tensor([k**power * decay**k for k in range(1, size + 1)])
    found = torch.bincount((~lost).sum(1), minlength=size + 1)[1:] / (2 * count)
    torch.testing.assert_close(found, weights / weights.sum(), rtol=0, atol=0.01)


def test_only_the_sizes_that_are_named_are_drawn():
    torch.manual_seed(0)
    code, _ = Nested(6, [5, 2], power=1, hidden=0)(torch.randn(5000, 6))
    found = torch.bincount((code != 0).sum(1), minlength=7) / 20_000
    torch.testing.assert_close(found, torch.tensor([0, 0, 2 / 7, 0, 0, 5 / 7, 0]), rtol=0, atol=0.01)


def test_each_code_is_cut_at_several_places_in_training():
    features = torch.randn(50, 4, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    code, _ = Nested(4, truncations=3, hidden=0)(features)
    again = features.repeat(3, 1)
    assert code.shape == (150, 4)
    assert torch.equal(code, again.where(code != 0, 0))
    assert not torch.equal(code[:50] == 0, code[50:100] == 0)


def test_in_evaluation_the_code_is_the_encoders_numbers():
    bottleneck = Nested(4).eval()
    assert torch.equal(bottleneck(CODES)[0], CODES)


def test_a_code_is_truncated_at_one_place_or_each_at_its_own():
    assert Nested(4, hidden=0).truncate(CODES, 1).tolist() == [[1, 0, 0, 0], [5, 0, 0, 0]]
    assert Nested(4, hidden=0).truncate(CODES, torch.tensor([3, 2])).tolist() == [[1, 2, 3, 0], [5, 6, 0, 0]]


def test_lost_numbers_are_estimated_from_the_known_ones_alone():
    torch.manual_seed(0)
    bottleneck = Nested(4)
    ours = bottleneck.truncate(CODES, 2)
    known = torch.tensor([1.0, 1, 0, 0]).expand(2, 4)
    assert torch.equal(ours[:, :2], CODES[:, :2])
    torch.testing.assert_close(ours[:, 2:], bottleneck.estimate(torch.cat([CODES * known, known], 1))[:, 2:])
    other = torch.cat([CODES[:, :2], torch.randn(2, 2)], 1)
    assert torch.equal(bottleneck.truncate(other, 2), ours)
    assert torch.equal(bottleneck.truncate(CODES, 4), CODES)


def test_the_loss_is_the_mean_over_all_truncations():
    torch.manual_seed(0)
    small = ("model=fc", "data.image_shape=[1,8,8]", "bottleneck=nested", "bottleneck.size=4")
    module = build_module(compose_config((*small, "bottleneck.truncations=3")))
    images = torch.randint(0, 256, (6, 1, 8, 8), dtype=torch.uint8)
    torch.manual_seed(1)
    loss = module.training_loss(images, torch.zeros(6))
    torch.manual_seed(1)
    codes, _ = module.autoencoder.bottleneck(module.autoencoder.encoder(images / 255))
    parts = [(module.decode(part) - images / 255).square().mean() for part in codes.split(6)]
    torch.testing.assert_close(loss, sum(parts) / 3)


@pytest.mark.parametrize(("arguments", "words"), [
    ({"sizes": [2, 9]}, r"`sizes` names 9, more than `size` \(= 4\)"),
    ({"sizes": [0]}, r"`sizes\[0\]` \(= 0\) must be a whole number of at least 1"),
    ({"power": "steep"}, r"`power` \(= 'steep'\) must be a number"),
    ({"decay": 1.5}, r"`decay` \(= 1.5\) must be above 0 and at most 1"),
    ({"decay": 0}, r"`decay` \(= 0\) must be a number above 0"),
    ({"truncations": 0}, r"`truncations` \(= 0\) must be a whole number of at least 1"),
    ({"hidden": -1}, r"`hidden` \(= -1\) must be a whole number of at least 0"),
])  # fmt: skip
def test_values_out_of_range_are_refused(arguments, words):
    with pytest.raises(ConfigError, match=words):
        Nested(4, **arguments)
