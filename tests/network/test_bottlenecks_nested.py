"""Nested dropout: which numbers are lost how often, and what is left of a truncated code."""

import pytest
import torch

from diabolo.errors import UserError
from diabolo.network.bottlenecks.nested import Nested
from diabolo.runs.build import build_module
from diabolo.runs.config import compose_config
from diabolo.training.autoencoder_module import geometric_mean

CODES = torch.arange(1.0, 9).view(2, 4)


@pytest.mark.parametrize("power", [0, 1, -1, 0.5])
@pytest.mark.parametrize("truncations", [1, 4])
def test_k_is_drawn_in_proportion_to_a_power(power, truncations):
    torch.manual_seed(0)
    bottleneck = Nested(6, power=power, truncations=truncations)
    drawn = torch.cat([bottleneck.drawn() for _ in range(20_000 // truncations)])
    weights = torch.tensor([k**power for k in range(1, 7)])
    found = torch.bincount(drawn, minlength=7)[1:] / len(drawn)
    torch.testing.assert_close(found, weights / weights.sum(), rtol=0, atol=0.015)


def test_the_k_of_a_step_are_spread_over_their_distribution():
    assert all(Nested(4, truncations=4).drawn().tolist() == [1, 2, 3, 4] for _ in range(20))
    assert all(Nested(8, [2, 8], truncations=4).drawn().tolist() == [2, 2, 8, 8] for _ in range(20))


def test_only_the_sizes_that_are_named_are_drawn():
    torch.manual_seed(0)
    bottleneck = Nested(6, [5, 2], power=1, truncations=1)
    drawn = torch.cat([bottleneck.drawn() for _ in range(10_000)])
    found = torch.bincount(drawn, minlength=7) / 10_000
    torch.testing.assert_close(found, torch.tensor([0, 0, 2 / 7, 0, 0, 5 / 7, 0]), rtol=0, atol=0.015)


def test_each_code_is_cut_at_several_places_in_training():
    features = torch.randn(50, 4, generator=torch.Generator().manual_seed(0))
    code, penalty = Nested(4, [1, 3, 4], truncations=3, hidden=0)(features)
    expected = torch.cat([features.where(torch.arange(4) < k, 0) for k in (1, 3, 4)])
    assert torch.equal(code, expected)
    assert penalty is None


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


def test_losses_are_brought_together_by_what_they_change_relative_to_themselves():
    losses = [torch.tensor(value, requires_grad=True) for value in (4.0, 1.0)]
    mean = geometric_mean(losses)
    assert float(mean.detach()) == pytest.approx(2)
    relative = [float(g * loss.detach()) for g, loss in zip(torch.autograd.grad(mean, losses), losses, strict=True)]
    assert relative == pytest.approx([1, 1])


def test_the_loss_is_the_geometric_mean_over_the_truncations():
    torch.manual_seed(0)
    small = ("model=fc", "data.image_shape=[1,8,8]", "bottleneck=nested", "bottleneck.size=4")
    module = build_module(compose_config((*small, "bottleneck.truncations=3")))
    images = torch.randint(0, 256, (6, 1, 8, 8), dtype=torch.uint8)
    torch.manual_seed(1)
    loss = module.training_loss(images, torch.zeros(6))
    torch.manual_seed(1)
    codes, _ = module.autoencoder.bottleneck(module.autoencoder.encoder(images / 255))
    parts = [(module.decode(part) - images / 255).square().mean() for part in codes.split(6)]
    torch.testing.assert_close(loss, (parts[0] * parts[1] * parts[2]) ** (1 / 3))


@pytest.mark.parametrize(("arguments", "words"), [
    ({"sizes": [2, 9]}, r"`sizes` names 9, more than `size` \(= 4\)"),
    ({"sizes": [0]}, r"`sizes\[0\]` \(= 0\) must be a whole number of at least 1"),
    ({"power": "steep"}, r"`power` \(= 'steep'\) must be a number"),
    ({"truncations": 0}, r"`truncations` \(= 0\) must be a whole number of at least 1"),
    ({"hidden": -1}, r"`hidden` \(= -1\) must be a whole number of at least 0"),
])  # fmt: skip
def test_values_out_of_range_are_refused(arguments, words):
    with pytest.raises(UserError, match=words):
        Nested(4, **arguments)
