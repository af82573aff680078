"""Evenly spaced subsets, against fractions."""

from fractions import Fraction

import pytest

from diabolo.data.subsets import evenly_spaced


@pytest.mark.parametrize(("count", "most"), [(0, 3), (1, 1), (5, 9), (9, 9), (10, 2), (96, 18), (60_001, 10_000)])
def test_indices_lie_where_fractions_put_them_from_the_first_to_the_last(count, most):
    number = min(count, most)
    exact = [Fraction(place * (count - 1), max(number - 1, 1)) for place in range(number)]
    ours = evenly_spaced(count, most).tolist()
    assert all(abs(index - place) <= Fraction(1, 2) for index, place in zip(ours, exact, strict=True))
    assert len(set(ours)) == number


def test_one_of_many_is_the_first():
    assert evenly_spaced(7, 1).tolist() == [0]
