"""The plain vector between encoder and decoder."""

import pytest
import torch

from diabolo.errors import UserError
from diabolo.network.bottlenecks.vector import Vector

FEATURES = torch.tensor([[-1.0, 0.0, 2.0], [3.0, -4.0, 0.5]])


def test_without_an_activation_the_code_is_what_the_encoder_gave():
    code, _ = Vector(3)(FEATURES)
    assert torch.equal(code, FEATURES)


def test_with_an_activation_the_code_has_passed_it():
    code, _ = Vector(3, "relu")(FEATURES)
    assert torch.equal(code, torch.tensor([[0.0, 0.0, 2.0], [3.0, 0.0, 0.5]]))


def test_it_asks_the_encoder_for_as_many_numbers_as_its_size():
    assert (Vector(7).size, Vector(7).in_features) == (7, 7)


def test_there_is_no_penalty():
    _, penalty = Vector(3)(FEATURES)
    assert penalty is None


@pytest.mark.parametrize("size", [0, -3, "abc", 2.5, True, None])
def test_a_size_that_is_no_positive_whole_number_is_refused(size):
    with pytest.raises(UserError, match=rf"`size` \(= {size!r}\) must be a whole number of at least 1"):
        Vector(size)
