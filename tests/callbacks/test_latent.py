"""Samples, traversals, the latent map, and the words on them."""

import numpy as np
import pytest
import torch
from PIL import Image

from diabolo.callbacks.captions import labelled, titled
from diabolo.callbacks.latent import LatentMap, Traversals, decode, encoded
from diabolo.callbacks.pictures import rows
from diabolo.callbacks.samples import Samples
from diabolo.runs.build import build_data
from diabolo.runs.folder import load
from support import TINY, tiles

QUIET = (*TINY, "logger=none")
TITLE = 30  # pixels of a title of one line: 18 and a margin of 6 on both sides


def picture(run, name: str) -> np.ndarray:
    return np.asarray(Image.open(run.pictures / name / "final.png").convert("RGB"))


@pytest.fixture(scope="module")
def variational(trained):
    drawn = "callbacks=[samples,traversals,latent_map]"
    return trained(*QUIET, "bottleneck=variational", drawn, "callbacks.samples.columns=5", "callbacks.samples.lines=2")


@pytest.fixture(scope="module")
def kept(variational):
    """The module with the kept weights, and its data."""
    data = build_data(variational.config())
    data.setup()
    return load(variational.path).requires_grad_(False), data


def test_samples_of_a_prior_are_the_same_draws_in_every_epoch(variational, kept):
    torch.manual_seed(0)
    expected = kept[0].decode(torch.randn(10, 4))
    for row in (0, 1):
        ours = tiles(picture(variational, "samples")[TITLE:], row, 5)
        theirs = (expected[5 * row : 5 * row + 5].clamp(0, 1) * 255).round()
        assert np.abs(ours.astype(float) - theirs.numpy()).max() <= 1


def test_drawing_samples_leaves_the_training_alone(variational, trained):
    bare = trained(*QUIET, "bottleneck=variational", "callbacks=none")
    one, other = (torch.load(r.checkpoint("last"), weights_only=True)["state_dict"] for r in (variational, bare))
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


@pytest.mark.parametrize("bottleneck", ["vector", "nested", "vq", "fsq"])
def test_all_pictures_are_drawn_of_any_bottleneck(trained, bottleneck):
    run = trained(*QUIET, f"bottleneck={bottleneck}", "callbacks=[samples,traversals,latent_map]")
    for name in ("samples", "traversals", "latent_map"):
        assert picture(run, name).std() > 5, name


def test_made_codes_go_to_the_nearest_that_the_bottleneck_can_give(trained):
    module = load(trained(*QUIET, "bottleneck=fsq", "callbacks=none").path)
    codes = torch.full((2, 4), 0.3)
    with torch.no_grad():
        assert torch.equal(decode(module, codes), module.decode(torch.tensor([[0.25, 0.5, 0.5, 0.5]] * 2)))


def test_traversals_vary_one_unit_between_percentiles_and_sort_by_what_it_changes(variational, kept):
    module, data = kept
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


def test_no_more_units_are_drawn_than_asked_for(kept):
    few, all_four = (Traversals(units=units).draw(*kept) for units in (2, 10))
    assert all_four.shape[1] - few.shape[1] == 2 * 58


class Plain:
    """A module whose image of a code (a, b) is a on the left half and b on the right half."""

    device = torch.device("cpu")

    def __init__(self, codes: torch.Tensor) -> None:
        self.codes, self.autoencoder = codes, type("A", (), {"bottleneck": None, "code_size": codes.shape[1]})

    def encode(self, images):
        return self.codes

    def decode(self, codes):
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


def test_titles_and_labels_stand_beside_the_picture_and_change_nothing_of_it():
    base = rows([torch.rand(3, 1, 8, 8), torch.rand(3, 1, 8, 8)])
    below = titled(base, "a few words")
    assert below.shape == (1, base.shape[1] + TITLE, base.shape[2])
    assert torch.equal(below[:, TITLE:], base)
    assert below[:, :TITLE].min() < 0.3
    longer = titled(base, "many words " * 20)
    assert longer.shape[1] > below.shape[1]
    beside = labelled(base, ["one", "two"])
    assert torch.equal(beside[:, :, -base.shape[2] :], base)
    for half in beside[0, :, : -base.shape[2]].tensor_split(2):
        assert half.min() < 0.3
