"""Evenly spaced subsets, against fractions; random samples, against each label's share."""

from fractions import Fraction

import pytest
import torch

from diabolo.data.subsets import evenly_spaced, sampled


@pytest.mark.parametrize(("count", "most"), [(0, 3), (1, 1), (5, 9), (9, 9), (10, 2), (96, 18), (60_001, 10_000)])
def test_indices_lie_where_fractions_put_them_from_the_first_to_the_last(count, most):
    number = min(count, most)
    exact = [Fraction(place * (count - 1), max(number - 1, 1)) for place in range(number)]
    ours = evenly_spaced(count, most).tolist()
    assert all(abs(index - place) <= Fraction(1, 2) for index, place in zip(ours, exact, strict=True))
    assert len(set(ours)) == number


def test_one_of_many_is_the_first():
    assert evenly_spaced(7, 1).tolist() == [0]


LABELS = torch.tensor([0] * 600 + [1] * 300 + [2] * 97 + [-1] * 2 + [3])


@pytest.mark.parametrize("count", [1, 4, 10, 100, 333, 999])
@pytest.mark.parametrize("seed", [0, 1])
def test_a_sample_holds_each_label_in_its_share(count, seed):
    chosen = sampled(LABELS, count, seed)
    assert len(chosen.unique()) == count
    assert torch.equal(chosen, chosen.sort().values)
    for label in LABELS.unique():
        share = Fraction(count * int((label == LABELS).sum()), len(LABELS))
        assert abs(int((LABELS[chosen] == label).sum()) - share) <= 1


def test_a_larger_sample_holds_a_smaller_one_and_the_seed_draws_it():
    small, large = (set(sampled(LABELS, count, 3).tolist()) for count in (50, 200))
    assert small < large
    assert small != set(sampled(LABELS, 50, 4).tolist())
    assert sampled(LABELS, 5000, 3).tolist() == list(range(1000))


def test_each_image_of_a_label_is_as_likely_as_another():
    drawn = torch.zeros(20)
    for seed in range(400):
        drawn[sampled(torch.tensor([0] * 16 + [1] * 4), 5, seed)] += 1
    assert (drawn - 100).abs().max() < 5 * (400 * 0.25 * 0.75) ** 0.5
