"""Gaussians fitted to codes."""

import pytest
import torch

from diabolo.measures.mixture import CodeMixture


def test_draws_follow_the_codes():
    torch.manual_seed(0)
    codes = torch.cat([torch.randn(500, 2) * 0.1 + torch.tensor([9.0, 0]), torch.randn(500, 2) - 5])
    mixture = CodeMixture(codes, 2)
    drawn = mixture.sample(4000)
    assert str(mixture) == "a mixture of 2 Gaussians"
    high = drawn[:, 0] > 4
    assert float(high.float().mean()) == pytest.approx(0.5, abs=0.05)
    torch.testing.assert_close(drawn[high].mean(0), torch.tensor([9.0, 0]), rtol=0, atol=0.05)
    torch.testing.assert_close(drawn[~high].std(0), torch.ones(2), rtol=0.1, atol=0)


def test_few_codes_or_dead_units_still_give_a_gaussian():
    mixture = CodeMixture(torch.zeros(8, 3), 5)
    drawn = mixture.sample(6)
    assert (drawn.shape, str(mixture)) == ((6, 3), "a Gaussian")
    assert drawn.isfinite().all()
