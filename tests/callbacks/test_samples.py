"""Images from random codes: of a prior, or of Gaussians fitted to the training codes."""

import numpy as np
import pytest
import torch
from PIL import Image

from diabolo.callbacks.samples import Samples
from diabolo.runs.loading import load
from support import TINY, tiles

QUIET = (*TINY, "logger=none", "bottleneck=variational")
TITLE = 30  # pixels of a title of one line: 18 and a margin of 6 on both sides


@pytest.fixture(scope="module")
def run(trained):
    return trained(*QUIET, "callbacks=samples", "callbacks.samples.columns=5", "callbacks.samples.lines=2")


def test_samples_of_a_prior_are_the_same_draws_in_every_epoch(run):
    module = load(run.path)
    torch.manual_seed(0)
    with torch.no_grad():
        expected = module.decode(torch.randn(10, 4))
    drawn = np.asarray(Image.open(run.pictures / "samples" / "final.png").convert("RGB"))
    for row in (0, 1):
        ours = tiles(drawn[TITLE:], row, 5)
        theirs = (expected[5 * row : 5 * row + 5].clamp(0, 1) * 255).round()
        assert np.abs(ours.astype(float) - theirs.numpy()).max() <= 1


def test_drawing_samples_leaves_the_training_alone(run, trained):
    bare = trained(*QUIET, "callbacks=none")
    one, other = (torch.load(r.checkpoint("last"), weights_only=True)["state_dict"] for r in (run, bare))
    assert all(torch.equal(one[name], other[name]) for name in other)


def test_without_a_prior_the_draws_follow_the_training_codes():
    torch.manual_seed(0)
    codes = torch.cat([torch.randn(500, 2) * 0.1 + torch.tensor([9.0, 0]), torch.randn(500, 2) - 5])
    drawn, components = Samples(components=2)._fitted(codes, 4000)
    assert components == 2
    high = drawn[:, 0] > 4
    assert float(high.float().mean()) == pytest.approx(0.5, abs=0.05)
    torch.testing.assert_close(drawn[high].mean(0), torch.tensor([9.0, 0]), rtol=0, atol=0.05)
    torch.testing.assert_close(drawn[~high].std(0), torch.ones(2), rtol=0.1, atol=0)


def test_few_codes_or_dead_units_still_give_a_gaussian():
    drawn, components = Samples(components=5)._fitted(torch.zeros(8, 3), 6)
    assert (drawn.shape, components) == ((6, 3), 1)
    assert drawn.isfinite().all()
