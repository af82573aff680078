"""Reconstructions and their progression: every pixel is what plain code says."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from diabolo.callbacks.reconstructions import Progression
from diabolo.data.datamodule import ImageData
from diabolo.data.images import MemoryImages, Splits
from diabolo.errors import UserError
from diabolo.runs.loading import load
from diabolo.runs.train import resume
from support import TINY, drawn, opened_data, tiles, unnamed

EVERY_EPOCH = ("callbacks.reconstructions.every_n_epochs=1", "callbacks.progression.every_n_epochs=1")


def images_of(run, indices):
    data = opened_data(run.config())
    return data.images("test")[indices]


def to_bytes(images):
    return np.floor(np.clip(np.asarray(images, dtype=np.float32), 0, 1) * 255 + 0.5)


@pytest.fixture(scope="module")
def runs(trained):
    """A run in grey, and one in colour with normalised pixels and an output that leaves [0, 1]."""
    colour = ("data.image_shape=[3,8,8]", "model.output=identity", "data.mean=[.1,.2,.3]", "data.std=.5")
    return [trained(*TINY, *EVERY_EPOCH), trained(*TINY, *EVERY_EPOCH, *colour)]


@pytest.mark.parametrize("which", [0, 1])
def test_the_rows_are_images_reconstructions_and_errors(runs, which):
    run = runs[which]
    picture = unnamed(drawn(run.path, "reconstructions/final")[2], 10)
    images = images_of(run, list(range(10)))
    with torch.no_grad():
        ours = load(run.path).reconstruct(images)
    assert np.array_equal(tiles(picture, 0, 10), images.expand(-1, 3, -1, -1))
    assert np.abs(tiles(picture, 1, 10) - to_bytes(ours.expand(-1, 3, -1, -1))).max() <= 1
    error = (ours - images / 255).mean(1).numpy() / 0.5  # N x 8 x 8
    red, blue = 1 - np.clip(-error, 0, 1), 1 - np.clip(error, 0, 1)
    expected = to_bytes(np.stack([red, red + blue - 1, blue], 1))
    assert np.abs(tiles(picture, 2, 10) - expected).max() <= 1
    assert picture.shape == (3 * 58 - 2, 10 * 58 - 2, 3)


def test_the_images_are_the_same_in_every_epoch_and_for_every_seed(runs, trained):
    pictures = drawn(runs[0].path, "reconstructions") | {9: drawn(trained(*TINY, "seed=5").path, "reconstructions")[2]}
    pictures = {epoch: unnamed(picture, 10) for epoch, picture in pictures.items()}
    assert sorted(pictures) == [0, 1, 2, 9]
    for picture in pictures.values():
        assert np.array_equal(tiles(picture, 0, 10), tiles(pictures[0], 0, 10))
    rows = {tiles(picture, 1, 10).tobytes() for picture in pictures.values()}
    assert len(rows) == 4, "while the reconstructions differ"


def test_averaged_weights_are_drawn_while_they_are_averaged(trained):
    run = trained(*TINY, "trainer.ema=0.9", "data.val_fraction=0", "optimizer.lr=0.05")  # so that the last are the best
    last, final = (run.pictures / "reconstructions" / f"{name}.png" for name in ("epoch_0002", "final"))
    assert last.read_bytes() == final.read_bytes()
    code = {row["epoch"]: row["code/dead_units"] for row in map(json.loads, run.history.read_text().splitlines())}
    assert code[2] == run.metrics()["code/dead_units"]
    assert (run.pictures / "reconstructions" / "epoch_0000.png").read_bytes() != final.read_bytes()


def test_images_are_chosen_by_index_and_the_error_map_can_be_left_out(trained):
    chosen = ("callbacks.reconstructions.images=[7,3,31]", "callbacks.reconstructions.error_map=false")
    run = trained(*TINY, *chosen)
    picture = unnamed(drawn(run.path, "reconstructions/final")[2], 3)
    assert picture.shape == (2 * 58 - 2, 3 * 58 - 2, 3)
    assert np.array_equal(tiles(picture, 0, 3), images_of(run, [7, 3, 31]).expand(-1, 3, -1, -1))


@pytest.mark.parametrize("which", [0, 1])
def test_the_progression_has_a_row_for_each_drawn_epoch(runs, which):
    epochs = {epoch: unnamed(one, 10) for epoch, one in drawn(runs[which].path, "reconstructions").items()}
    rows = [tiles(epochs[0], 0, 10)] + [tiles(epochs[epoch], 1, 10) for epoch in (0, 1, 2)]
    progression = {epoch: unnamed(one, 10) for epoch, one in drawn(runs[which].path, "progression").items()}
    for epoch in (0, 1, 2):
        assert progression[epoch].shape[0] == (epoch + 2) * 58 - 2
        for row in range(epoch + 2):
            assert np.array_equal(tiles(progression[epoch], row, 10), rows[row])


@pytest.mark.filterwarnings("ignore:Checkpoint directory:UserWarning")
def test_the_progression_goes_on_where_a_continued_run_left_it(trained):
    short = trained(*TINY, *EVERY_EPOCH, "scheduler=none")
    resume(short.path, ["trainer.max_epochs=3"])
    whole = trained(*TINY, *EVERY_EPOCH, "scheduler=none", "trainer.max_epochs=3")
    for name in ("epoch_0003.png", "final.png"):
        ours, theirs = (np.asarray(Image.open(run.pictures / "progression" / name)) for run in (short, whole))
        assert np.array_equal(ours, theirs)


def labelled(labels):
    """Test images that are black, with these labels."""
    images = MemoryImages(torch.zeros(len(labels), 1, 8, 8, dtype=torch.uint8), torch.tensor(labels))
    data = ImageData(lambda **_: Splits(images, images), (1, 8, 8), val_fraction=0)
    data.setup()
    return data


@pytest.mark.parametrize("most", [2, 3, 4, 7])
def test_a_long_progression_is_thinned_between_its_first_and_its_last_row(most):
    progression, data = Progression(1, most_rows=most), labelled([0])
    for epoch in range(40):
        shade = torch.full((1, 1, 8, 8), epoch / 255)
        module = SimpleNamespace(
            device="cpu",
            corruption=None,
            corrupted=lambda images: images,
            reconstruct=lambda images, labels, shade=shade: shade,
        )
        progression.epoch = epoch
        picture = (progression.draw(module, data) * 255).round().byte().numpy()
        shades = picture[0, 58::58, -56].tolist()
        assert progression.names == [f"epoch {shade}" for shade in shades]
        assert shades[0] == 0
        assert shades[-1] == epoch
        assert shades == sorted(set(shades))
        assert min(epoch + 1, 2) <= len(shades) <= most


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("callbacks.reconstructions.images=[5,99]", "`images` names image 99, but the test split has 32 images."),
        (
            "callbacks.reconstructions.images=0",
            "`callbacks.reconstructions.images` (= 0) must be a whole number of at least 1.",
        ),
        ("callbacks.reconstructions.images=[]", "there is nothing to draw"),
        (
            "callbacks.reconstructions.split=all",
            "`callbacks.reconstructions.split` (= 'all') must be one of train, val, test.",
        ),
        (
            "callbacks.progression.most_rows=1",
            "`callbacks.progression.most_rows` (= 1) must be a whole number of at least 2.",
        ),
    ],
)
def test_images_that_are_not_there_are_named(trained, override, sentence):
    with pytest.raises(UserError) as failed:
        trained(*TINY, override)
    assert sentence in str(failed.value)
