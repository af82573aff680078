"""`diabolo interpolate`: the ways between codes, and how they are drawn."""

import math

import numpy as np
import pytest
import torch
from PIL import Image, ImageSequence

from diabolo.runs.loading import load
from diabolo.use.interpolate import blends
from support import TINY, opened_data, pixels, tiles

QUIET = (*TINY, "callbacks=none", "logger=none")


def test_the_straight_way_is_even():
    found = blends(torch.tensor([[0.0, 0], [4, 8], [4, 0]]), 5)
    assert found.shape == (2, 5, 2)
    assert found[0].tolist() == [[0, 0], [1, 2], [2, 4], [3, 6], [4, 8]]
    assert found[1].tolist() == [[4, 8], [4, 6], [4, 4], [4, 2], [4, 0]]


def test_along_the_sphere_the_angle_is_even_and_the_length_stays():
    (found,) = blends(torch.tensor([[2.0, 0], [0, 2]]), 4, "sphere")
    angles = torch.linspace(0, math.pi / 2, 4)
    torch.testing.assert_close(found, 2 * torch.stack([angles.cos(), angles.sin()], 1))


@pytest.mark.parametrize("end", [[6.0, 0], [-2.0, 0], [0.0, 0]])
def test_where_there_is_no_way_along_the_sphere_it_is_straight(end):
    codes = torch.tensor([[2.0, 0], end])
    torch.testing.assert_close(blends(codes, 4, "sphere"), blends(codes, 4))


def test_a_strip_has_a_named_row_a_way_and_the_images_at_its_ends(diabolo, trained, tmp_path):
    run = trained(*QUIET, "bottleneck=variational")
    command = ("interpolate", str(run.path), "test:0", "test:1", "--steps", "4", "--out")
    ended = diabolo(*command, "strip.png")
    assert ended.code == 0, ended.err
    assert ended.out == "2 images, 4 steps from one to the next, straight and sphere -> strip.png\n"
    picture = pixels(tmp_path / "strip.png")[:, :, None].repeat(3, 2)
    picture = picture[:, picture.shape[1] - (6 * 58 - 2) :]  # without the names
    images = opened_data(run.config()).images("test", [0, 1])
    model = load(run.path)
    with torch.no_grad():
        codes = model.encode(images)
        ways = [images[0] + (images[1].float() - images[0]) * torch.linspace(0, 1, 4).view(-1, 1, 1, 1)]
        ways += [model.decode(blends(codes, 4, path)[0]) * 255 for path in ("straight", "sphere")]
    for row, way in enumerate(ways):
        found = tiles(picture, row, 6)[:, :1].astype(float)
        assert np.array_equal(found[[0, -1]], images)
        assert np.abs(found[1:-1] - way.clamp(0, 255).numpy()).max() <= 0.51
    assert picture.shape[0] == 3 * 58 - 2
    assert diabolo(*command, "one.png", "--path", "straight").code == 0
    assert len(pixels(tmp_path / "one.png")) == 2 * 58 - 2


@pytest.mark.parametrize(("bottleneck", "path"), [("vector", "straight"), ("variational", "sphere")])
def test_a_film_goes_forth_and_back(diabolo, trained, images, tmp_path, bottleneck, path):
    own = ("data=folder", f"data.root={images}", "data.image_shape=[1,8,8]", f"bottleneck={bottleneck}")
    run = trained(*QUIET, *own)
    ended = diabolo("interpolate", str(run.path), "test:0", "test:1", "test:2", "--steps", "4", "--out", "film.gif")
    assert ended.code == 0, ended.err
    assert ended.out == f"3 images, 4 steps from one to the next, {path} -> film.gif\n"
    with Image.open(tmp_path / "film.gif") as film:
        assert film.info["loop"] == 0
        frames = [np.asarray(frame.convert("L"))[::32, ::32].astype(float) for frame in ImageSequence.Iterator(film)]
    pictures = opened_data(run.config()).images("test", [0, 1, 2])
    model = load(run.path)
    with torch.no_grad():
        way = (model.decode(blends(model.encode(pictures), 4, path).flatten(0, 1)).clamp(0, 1) * 255)[:, 0].numpy()
    way = np.concatenate([way[:4], way[5:]])  # the end of a leg is the beginning of the next: one frame, held
    expected = np.concatenate([way, way[-2:0:-1]])
    assert len(frames) == len(expected)
    assert np.abs(np.stack(frames) - expected).max() <= 3  # of 256 shades


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["test:0", "--out", "x.png"], "name two images or more, between which to go."),
        (["test:0", "test:1", "--out", "x.jpg"], "'x.jpg' must end in .png, for a strip, or in .gif, for a film."),
        (
            ["test:0", "test:1", "--steps", "1", "--out", "x.png"],
            "`--steps` (= 1) must be a whole number of at least 2.",
        ),
        (["test:0", "test:1", "--path", "round", "--out", "x.png"], "`--path` (= 'round') must be one of straight,"),
        (["test:0", ".", "--out", "x.png"], "'.' is a folder: name one image, or one of the run's own, as test:5."),
    ],
)
def test_mistakes_are_one_sentence(diabolo, run, arguments, words):
    ended = diabolo("interpolate", str(run.path), *arguments)
    assert ended.code == 2
    assert words in ended.err
