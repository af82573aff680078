"""Images from random codes of a prior."""

import numpy as np
import pytest
import torch
from PIL import Image

from diabolo.callbacks.pictures import encoded
from diabolo.callbacks.sampling import drawn
from diabolo.measures.mixture import CodeMixture
from diabolo.runs.loading import load
from support import TINY, opened_data, tiles

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


def test_gaussians_are_fitted_to_codes_from_all_over_the_split(run):
    """A source may be sorted by class, and its first images then show a few classes alone."""
    model, data = load(run.path), opened_data(run.config())
    places = torch.linspace(0, data.count("train") - 1, 5).round().long()
    few = encoded(model, data, "train", 5, spread=True)
    assert torch.equal(few, model.encode(data.images("train", places)))
    codes, words = drawn(model, data, 3, "gaussian", fit_on=5)
    assert "fitted to 5 training codes" in words
    assert torch.equal(codes, CodeMixture(few, 1, 0).sample(3))
