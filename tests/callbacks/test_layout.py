"""How pictures are laid out: rows, colours, text, against plain loops."""

import numpy as np
import pytest
import torch

from diabolo.callbacks.layout import diverging, headed, labelled, rows, shrink, titled

TITLE = 30  # pixels of a title of one line: 18 and a margin of 6 on both sides


def plain_rows(lines, factor):
    """`rows` in plain loops: white paper, tiles enlarged and pasted 2 pixels apart; images H x W x 3."""
    height, width, _ = lines[0][0].shape
    most = max(map(len, lines))
    paper = np.ones((len(lines) * (height * factor + 2) - 2, most * (width * factor + 2) - 2, 3))
    for row, line in enumerate(lines):
        for column, image in enumerate(line):
            top, left = row * (height * factor + 2), column * (width * factor + 2)
            for y in range(height * factor):
                for x in range(width * factor):
                    paper[top + y, left + x] = image[y // factor, x // factor].clip(0, 1)
    return paper


def test_rows_are_laid_out_enlarged_with_white_gaps():
    draw = np.random.default_rng(0)
    lines = [draw.uniform(-0.3, 1.3, (count, 20, 31, 3)).astype(np.float32) for count in (3, 1, 2)]
    ours = rows(torch.tensor(line).permute(0, 3, 1, 2) for line in lines)
    assert np.array_equal(ours.permute(1, 2, 0), plain_rows(lines, 3).astype(np.float32))  # 20 * 3 >= 56


def test_large_images_keep_their_size_and_grey_stays_grey():
    grey = torch.rand(2, 1, 60, 56)
    picture = rows([grey])
    assert picture.shape == (1, 60, 2 * 56 + 2)
    assert torch.equal(picture[:, :, 58:], grey[1])


def test_grey_and_colour_rows_mix():
    grey, colour = torch.rand(1, 1, 56, 56), torch.rand(1, 3, 56, 56)
    picture = rows([grey, colour])
    assert torch.equal(picture[:, :56], grey[0].expand(3, -1, -1))
    assert torch.equal(picture[:, 58:], colour[0])


@pytest.mark.parametrize(
    ("value", "colour"),
    [
        (0.0, (1, 1, 1)),
        (0.5, (1, 0, 0)),
        (9.0, (1, 0, 0)),
        (0.25, (1, 0.5, 0.5)),
        (-0.5, (0, 0, 1)),
        (-0.1, (0.8, 0.8, 1)),
    ],
)
def test_errors_are_red_above_and_blue_below(value, colour):
    assert diverging(torch.full((1, 1, 1, 1), value), 0.5).flatten().tolist() == pytest.approx(colour)


def test_errors_of_colours_are_averaged():
    error = torch.tensor([0.5, 0.25, -0.75]).view(1, 3, 1, 1)
    assert diverging(error, 0.5).flatten().tolist() == [1, 1, 1]


def test_large_images_are_averaged_down_to_a_tile_and_small_ones_left():
    images = torch.rand(2, 3, 512, 256)
    plain = images.reshape(2, 3, 128, 4, 64, 4).mean((3, 5))
    assert torch.allclose(shrink(images, 128), plain, atol=1e-6)
    assert rows([images]).shape == (3, 128, 2 * 64 + 2)
    assert shrink(images, 512) is images


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


def test_tiles_are_as_large_as_one_asks_for():
    images = torch.rand(2, 1, 8, 8)
    assert rows([images], smallest=100).shape == (1, 104, 2 * 104 + 2)
    assert rows([torch.rand(1, 1, 300, 200)], largest=300).shape == (1, 300, 200)
    assert rows([torch.rand(1, 1, 300, 200)]).shape == (1, 128, 85)


def test_each_column_has_its_head_above_it():
    picture = torch.rand(3, 20, 220)
    found = headed(picture, ["a", "mmmm"])
    assert torch.equal(found[:, 18:], picture)
    inked = [(found[:, :18, place : place + 110] < 0.5).sum() for place in (0, 110)]
    assert 0 < inked[0] < inked[1]
    assert bool((found[:, :18, 60:110] == 1).all()), "nothing beside a short head"
