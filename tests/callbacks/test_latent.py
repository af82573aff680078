"""Traversals and the latent map, against codes varied by hand."""

import numpy as np
import pytest
import torch
from PIL import Image

from diabolo.callbacks.latent import LatentMap, Traversals
from diabolo.callbacks.pictures import encoded
from diabolo.runs.loading import load
from support import TINY, opened_data, tiles

QUIET = (*TINY, "logger=none")


def picture(run, name: str) -> np.ndarray:
    return np.asarray(Image.open(run.pictures / name / "final.png").convert("RGB"))


@pytest.fixture(scope="module")
def variational(trained):
    return trained(*QUIET, "bottleneck=variational", "callbacks=[traversals,latent_map]")


@pytest.fixture(scope="module")
def best(variational):
    """The module with the best weights, and its data."""
    data = opened_data(variational.config())
    return load(variational.path).requires_grad_(False), data


@pytest.mark.parametrize("bottleneck", ["vector", "nested", "vq", "fsq"])
def test_all_pictures_are_drawn_of_any_bottleneck(trained, bottleneck):
    run = trained(*QUIET, f"bottleneck={bottleneck}", "callbacks=[samples,traversals,latent_map]")
    for name in ("samples", "traversals", "latent_map"):
        assert picture(run, name).std() > 5, name


def test_traversals_vary_one_unit_between_percentiles_and_sort_by_what_it_changes(variational, best):
    module, data = best
    codes = encoded(module, data, "test", 2000)
    assert torch.equal(codes, module.encode(data.images("test")))
    low, high = codes.quantile(0.01, 0), codes.quantile(0.99, 0)
    lines = []
    for unit in range(4):
        varied = codes[:1].repeat(11, 1)
        varied[:, unit] = low[unit] + torch.arange(11) / 10 * (high - low)[unit]
        lines.append(module.decode(varied))
    order = sorted(range(4), key=lambda unit: -(lines[unit] - lines[unit].mean(0)).square().mean().item())
    drawn = picture(variational, "traversals")
    left = drawn.shape[1] - 11 * 58 + 2  # what the labels take
    for row, unit in enumerate(order, start=1):
        ours = tiles(drawn[-5 * 58 + 2 :, left:], row, 11).astype(float)
        assert np.abs(ours - (lines[unit].clamp(0, 1) * 255).round().numpy()).max() <= 1
    head = tiles(drawn[-5 * 58 + 2 :, left:], 0, 2)
    assert np.array_equal(head[0][:1], data.images("test", [0])[0].numpy())


def test_no_more_units_are_drawn_than_asked_for(best):
    few, all_four = (Traversals(units=units).draw(*best) for units in (2, 10))
    assert all_four.shape[1] - few.shape[1] == 2 * 58


class Plain:
    """A module whose image of a code (a, b) is a on the left half and b on the right half."""

    device = torch.device("cpu")

    def __init__(self, codes: torch.Tensor) -> None:
        self.codes, self.autoencoder = codes, type("A", (), {"bottleneck": None, "code_size": codes.shape[1]})

    def encode(self, images, labels=None):
        return self.codes

    def decode(self, codes, labels=None):
        return codes[:, :2].repeat_interleave(4, 1).view(-1, 1, 1, 8).expand(-1, 1, 8, 8)


class Labels:
    """Data of which only the labels matter."""

    image_shape, eval_batch_size = (1, 8, 8), 512

    def count(self, split):
        return 200

    def images(self, split, indices):
        return torch.zeros(len(indices), 1, 8, 8, dtype=torch.uint8)

    def labels(self, split):
        return torch.arange(200) % 3

    def shown(self, images):
        return images


def grid_of(monkeypatch, codes: torch.Tensor, side: int):
    """The decoded images of a latent map, with the ends of its axes and its title."""
    seen = {}
    monkeypatch.setattr(LatentMap, "_plot", lambda self, *args: seen.update(args=args) or torch.zeros(3, 8, 8))
    LatentMap(side=side).draw(Plain(codes), Labels())
    images, flat, _, ends, _, title = seen["args"]
    return images.view(side, side, 8, 8), flat, ends, title


def test_a_map_of_two_units_decodes_a_grid_of_them_with_the_second_upwards(monkeypatch):
    codes = torch.rand(200, 2, generator=torch.Generator().manual_seed(0)) * torch.tensor([0.5, 1.0])
    grid, flat, (low, high), title = grid_of(monkeypatch, codes, 3)
    assert np.allclose(flat, codes)
    torch.testing.assert_close(low, codes.quantile(0.01, 0))
    for row in range(3):
        for column in range(3):
            expected = low + (high - low) * torch.tensor([column, 2 - row]) / 2
            torch.testing.assert_close(grid[row, column, 0, ::7], expected)
    assert title == "the plane of the two code units"


def test_a_map_of_more_units_is_that_of_the_principal_components(monkeypatch):
    draw = torch.randn(200, 4, generator=torch.Generator().manual_seed(0))
    codes = draw * torch.tensor([0.3, 0.2, 0.01, 0.01]) + 0.5
    grid, flat, _, title = grid_of(monkeypatch, codes, 3)
    from sklearn.decomposition import PCA

    theirs = PCA(2).fit(codes.numpy())
    assert np.allclose(np.abs(flat), np.abs(theirs.transform(codes.numpy())), atol=1e-4)
    share = theirs.explained_variance_ratio_.sum()
    assert title.endswith(f"components of the 4 code units: {share:.0%} of their variance")
    corners = grid[[0, 0, -1, -1], [0, -1, 0, -1]][:, 0, ::7]
    assert float(corners.std(0).min()) > 0.2


def test_a_code_of_one_number_has_no_map(diabolo):
    ended = diabolo("train", *QUIET, "bottleneck.size=1", "callbacks=latent_map")
    assert ended.code == 2
    assert "a code of one number spans no plane: set bottleneck.size above 1" in ended.err
