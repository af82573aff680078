"""The distances of generated from real images: the values of plain computations."""

import numpy as np
import pytest
import scipy.linalg
import torch
from torch import Tensor

from diabolo.errors import UserError
from diabolo.measures import generation
from diabolo.measures.generation import (
    Features,
    frechet_distance,
    generation_figures,
    kernel_distance,
    precision_and_recall,
)


@pytest.fixture(params=[1, 5], ids=["one number", "five numbers"])
def sets(request, monkeypatch) -> tuple[Tensor, Tensor]:
    """Two sets of 40 and 30 images, taken in parts of which the last is smaller."""
    monkeypatch.setattr(generation, "ROWS", 16)
    torch.manual_seed(0)
    numbers = request.param
    return torch.randn(40, numbers) @ torch.randn(numbers, numbers) + 3, 1.4 * torch.randn(30, numbers) + 2.5


def plain_frechet(one: Tensor, other: Tensor) -> float:
    one, other = one.double().numpy(), other.double().numpy()
    covariances = [np.atleast_2d(np.cov(values, rowvar=False)) for values in (one, other)]
    root = scipy.linalg.sqrtm(covariances[0] @ covariances[1]).real
    difference = one.mean(0) - other.mean(0)
    return difference @ difference + np.trace(covariances[0] + covariances[1] - 2 * root)


def test_frechet_distance_is_that_of_the_matrix_root(sets):
    one, other = sets
    assert frechet_distance(Features(one), Features(other)) == pytest.approx(plain_frechet(one, other), rel=1e-9)


def test_frechet_distance_of_known_gaussians():
    """Of independent numbers: the squared differences of means and of deviations."""
    torch.manual_seed(0)
    one, other = torch.randn(60_000, 2), torch.randn(60_000, 2) * torch.tensor([2.0, 0.5]) + torch.tensor([3.0, 0])
    assert frechet_distance(Features(one), Features(other)) == pytest.approx(9 + 1 + 0.25, rel=0.02)


def test_equal_sets_are_at_no_distance_also_where_features_are_dead():
    torch.manual_seed(0)
    values = torch.randn(100, 8) @ torch.randn(8, 40)  # 40 features that span 8 dimensions
    values[:, :5] = 0
    figures = generation_figures(Features(values), Features(values))
    assert figures["frechet_distance"] == pytest.approx(0, abs=1e-9)
    assert (figures["precision"], figures["recall"]) == (1, 1)


def test_images_that_are_the_same_but_for_rounding_are_in_place():
    """A network gives an image other last digits in another batch; here balls of radius 0 lie around such images."""
    torch.manual_seed(0)
    values = (torch.rand(1, 30) * 1000).expand(9, 30).double()
    assert precision_and_recall(Features(values), Features(values * (1 + 1e-7))) == (1, 1)


def test_kernel_distance_is_that_of_a_double_loop(sets):
    one, other = (values.double().numpy() for values in sets)

    def kernel(x, y):
        return (x @ y / len(x) + 1) ** 3

    within = [
        np.mean([kernel(a, b) for i, a in enumerate(values) for j, b in enumerate(values) if i != j])
        for values in (one, other)
    ]
    expected = sum(within) - 2 * np.mean([kernel(a, b) for a in one for b in other])
    assert kernel_distance(*map(Features, sets)) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("neighbours", [1, 3])
def test_precision_and_recall_are_those_of_a_plain_search(sets, neighbours):
    one, other = (values.double().numpy() for values in sets)

    def covered(points, of):
        """The share of the points that lie in a ball around one of `of`."""
        inside = np.zeros(len(points), bool)
        for i, centre in enumerate(of):
            radius = sorted(np.linalg.norm(centre - another) for j, another in enumerate(of) if j != i)[neighbours - 1]
            inside |= np.linalg.norm(points - centre, axis=1) <= radius
        return inside.mean()

    expected = covered(other, one), covered(one, other)
    assert 0 < min(expected) < 1
    assert precision_and_recall(*map(Features, sets), neighbours) == pytest.approx(expected)


def test_sets_far_apart_have_no_precision_and_no_recall():
    near = torch.rand(20, 3)
    assert precision_and_recall(Features(near), Features(near + 100)) == (0, 0)


def test_features_are_the_same_in_parts_of_any_size():
    images = torch.rand(21, 1, 4, 4)
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 6), torch.nn.Tanh())
    whole = Features.of([images], network)
    assert whole.values.dtype == torch.float64
    for size in (1, 4, 20):
        torch.testing.assert_close(Features.of(images.split(size), network).values, whole.values, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("real", "made", "words"),
    [
        (torch.rand(1, 4), torch.rand(9, 4), "on two images or more, and there is 1"),
        (torch.rand(9, 4), torch.full((9, 4), torch.nan), "not finite"),
        (torch.rand(9, 4), torch.rand(9, 5), "these are 4 and 5 numbers an image"),
        (torch.rand(9, 4), torch.rand(3, 4), "`neighbours` (= 3) must be below the 3 images of a kind"),
    ],
)
def test_what_cannot_be_measured_is_refused(real, made, words):
    with pytest.raises(UserError) as refused:
        generation_figures(Features(real), Features(made))
    assert words in str(refused.value)
