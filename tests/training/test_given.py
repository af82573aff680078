"""What a loaded model is given from Python: arrays as well as tensors, and in a sentence what it cannot take."""

import numpy as np
import pytest
import torch

from diabolo import load
from diabolo.errors import UserError
from support import TINY

IMAGES = "images must be N x 1 x 8 x 8 for this model, not"
BARE = (*TINY, "callbacks=none", "logger=none")


@pytest.fixture(scope="module")
def model(trained):
    return load(trained(*BARE).path)


def test_arrays_are_as_good_as_tensors_and_codes_bear_no_gradients(model):
    images = np.random.default_rng(0).integers(0, 256, (3, 1, 8, 8), dtype=np.uint8)
    codes = model.encode(images)
    np.testing.assert_array_equal(codes.numpy(), model.encode(torch.from_numpy(images)).numpy())
    np.testing.assert_array_equal(model.decode(codes.numpy()).numpy(), model.decode(codes).numpy())
    np.testing.assert_array_equal(model.reconstruct(images / 255).numpy(), model.reconstruct(images).numpy())


def test_codes_can_still_be_searched_by_gradients(model):
    codes = torch.zeros(1, 4, requires_grad=True)
    model.decode(codes).sum().backward()
    assert codes.grad.abs().sum() > 0


@pytest.mark.parametrize(
    ("ask", "shape", "sentence"),
    [
        ("encode", (2, 3, 8, 8), f"{IMAGES} 2 x 3 x 8 x 8"),
        (
            "encode",
            (1, 8, 8),
            "images must be N x 1 x 8 x 8 for this model, not 1 x 8 x 8: one of them is images[None]",
        ),
        ("reconstruct", (64,), f"{IMAGES} 64"),
        ("decode", (2, 5), "codes must be N x 4 for this model, not 2 x 5"),
        ("decode", (4,), "codes must be N x 4 for this model, not 4: one of them is codes[None]"),
        ("decode", (), "codes must be N x 4 for this model, not a number"),
    ],
)
def test_another_shape_is_refused_in_a_sentence(model, ask, shape, sentence):
    with pytest.raises(UserError) as refused:
        getattr(model, ask)(torch.zeros(shape))
    assert str(refused.value) == f"{sentence}."
