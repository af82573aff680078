"""Interpolation: pixels blended over codes blended, the originals at both ends."""

import numpy as np
import pytest
import torch

from diabolo.callbacks.interpolation import first_of_labels
from diabolo.data.datamodule import ImageData
from diabolo.data.images import MemoryImages, Splits
from diabolo.errors import UserError
from diabolo.runs.loading import load
from support import TINY, drawn, opened_data, tiles, unnamed

CHOSEN = ("callbacks.interpolation.pairs=[[4,9]]", "callbacks.interpolation.labels=[[3,8],[2,2]]")
CHOSEN += ("callbacks.interpolation.random=2",)


def opened(run):
    return opened_data(run.config())


def ends(run, pairs):
    """The first and the last tile of each pair's row of pixels."""
    picture = unnamed(drawn(run.path, "interpolation/final")[2], 12)
    return [tiles(picture, 2 * pair, 12)[[0, -1], :1] for pair in range(pairs)]


@pytest.fixture(scope="module")
def run(trained):
    return trained(*TINY, *CHOSEN)


@pytest.mark.parametrize("channels", [1, 3])
def test_the_rows_are_the_plain_blends(run, trained, channels):
    if channels == 3:
        run = trained(*TINY, *CHOSEN, "data.image_shape=[3,8,8]", "data.mean=.3", "data.std=.4")
    picture = unnamed(drawn(run.path, "interpolation/final")[2], 12)
    start, end = opened(run).images("test", [4, 9]).numpy() / 255
    model = load(run.path)
    with torch.no_grad():
        first, last = model.encode(torch.tensor(np.stack([start, end])).float()).numpy()
        pixels, decoded = [start], [start]
        for step in range(10):
            pixels.append(start * (9 - step) / 9 + end * step / 9)
            code = first * (9 - step) / 9 + last * step / 9
            decoded.append(model.decode(torch.tensor(code)[None].float())[0].numpy())
    for row, expected in ((0, [*pixels, end]), (1, [*decoded, end])):
        expected = np.broadcast_to(np.clip(expected, 0, 1) * 255, (12, 3, 8, 8))
        assert np.abs(tiles(picture, row, 12) - expected).max() <= 0.51
    assert picture.shape == (2 * 5 * 58 - 2, 12 * 58 - 2, 3)


def test_pairs_come_by_index_then_by_label_then_by_lot(run):
    data, found = opened(run), ends(run, 5)
    places = {label: torch.nonzero(data.labels("test") == label).flatten().tolist() for label in (2, 3, 8)}
    named = [[4, 9], [places[3][0], places[8][0]], places[2][:2]]
    for pair, both in zip(named, found, strict=False):
        assert np.array_equal(both, data.images("test", pair))
    everything = data.images("test").numpy()
    for start, end in found[3:]:
        first, second = (np.flatnonzero((everything == one).all((1, 2, 3))) for one in (start, end))
        assert len(first) == len(second) == 1
        assert first != second


def test_pairs_by_lot_are_drawn_by_their_own_seed(run, trained):
    lot = np.stack(ends(run, 5)[3:])
    assert np.array_equal(np.stack(ends(trained(*TINY, *CHOSEN, "seed=3"), 5)[3:]), lot)
    assert not np.array_equal(np.stack(ends(trained(*TINY, *CHOSEN, "callbacks.interpolation.seed=1"), 5)[3:]), lot)


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["pairs=[[0,99]]"], "`pairs` names image 99, but the test split has 32 images."),
        (
            ["pairs=[[0]]"],
            "`callbacks.interpolation.pairs` (= [[0]]) must be a list of pairs, such as [[0,1],[2,3]]; [0]",
        ),
        (["labels=[[3,77]]"], "`labels` asks for image 1 of label 77; the test split has 0."),
        (["random=0"], "name no pair; to draw none, set callbacks.interpolation=null."),
        (["random=-1"], "`callbacks.interpolation.random` (= -1) must be a whole number of at least 0."),
        (["steps=1"], "`callbacks.interpolation.steps` (= 1) must be a whole number of at least 2."),
    ],
)
def test_pairs_that_are_not_there_are_named(trained, overrides, sentence):
    with pytest.raises(UserError) as failed:
        trained(*TINY, *[f"callbacks.interpolation.{override}" for override in overrides])
    assert sentence in str(failed.value)


def test_a_single_image_goes_to_itself(trained):
    run = trained(*TINY, "data.test_limit=1")
    picture = unnamed(drawn(run.path, "interpolation/final")[2], 12)
    originals, decoded = tiles(picture, 0, 12), tiles(picture, 1, 12)
    assert originals.shape == (12, 3, 8, 8)
    assert all(np.array_equal(tile, originals[0]) for tile in originals), "blended with itself in pixels"
    assert np.array_equal(decoded[0], originals[0])
    assert all(np.array_equal(tile, decoded[1]) for tile in decoded[1:-1])


def test_labels_name_their_first_images_and_the_same_label_twice_two_of_them():
    images = MemoryImages(torch.zeros(7, 1, 8, 8, dtype=torch.uint8), torch.tensor([3, 1, 4, 1, 5, 3, 3]))
    data = ImageData(lambda **_: Splits(images, images), (1, 8, 8), val_fraction=0)
    data.setup()
    assert first_of_labels(data, "test", [3, 1]) == [0, 1]
    assert first_of_labels(data, "test", [1, 1]) == [1, 3]
    assert first_of_labels(data, "test", [3, 4, 3, 3]) == [0, 2, 5, 6]
    with pytest.raises(UserError, match=r"`labels` asks for image 2 of label 4; the test split has 1\."):
        first_of_labels(data, "test", [4, 4])
