"""How pictures are laid out, when they are drawn, where they go, and that drawing changes nothing."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning import LightningModule
from PIL import Image

from diabolo.callbacks.pictures import asking, diverging, rows, shrink
from support import TINY, drawn

NAMES = ("reconstructions", "progression", "interpolation")
EVERY_EPOCH = [f"callbacks.{name}.every_n_epochs=1" for name in NAMES]


@pytest.fixture(scope="module")
def run(trained):
    return trained(*TINY, *EVERY_EPOCH)


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


def test_asking_leaves_mode_gradients_and_random_numbers_alone():
    module = LightningModule()
    state = torch.get_rng_state()
    with asking(module):
        assert not module.training
        assert not torch.is_grad_enabled()
        torch.rand(5)
    assert module.training
    assert torch.is_grad_enabled()
    assert torch.equal(torch.get_rng_state(), state)


def test_pictures_are_drawn_at_the_start_every_n_epochs_at_the_end_and_of_the_kept_weights(trained):
    run = trained(*TINY, "trainer.max_epochs=5", "callbacks.interpolation.every_n_epochs=2",
                  "callbacks.reconstructions.every_n_epochs=0")  # fmt: skip
    assert sorted(drawn(run.path, "interpolation")) == [0, 2, 4, 5]
    assert sorted(drawn(run.path, "interpolation/final")) == [5]
    files = [f"epoch_{epoch:04d}.png" for epoch in (0, 2, 4, 5)] + ["final.png"]
    assert sorted(path.name for path in (run.pictures / "interpolation").iterdir()) == files
    assert [path.name for path in (run.pictures / "reconstructions").iterdir()] == ["final.png"]


def test_tensorboard_and_png_files_hold_the_same_pictures(run):
    for name in NAMES:
        pictures = drawn(run.path, name) | {None: drawn(run.path, f"{name}/final")[2]}
        for step, picture in pictures.items():
            file = run.pictures / name / ("final.png" if step is None else f"epoch_{step:04d}.png")
            assert np.array_equal(np.asarray(Image.open(file).convert("RGB")), picture)


def measured(run):
    metrics = json.loads((run.path / "metrics.json").read_text())
    return {name: metrics[name] for name in ("train/loss", "val/mse", "test/mse", "test/ssim")}


def test_drawing_and_watching_do_not_change_the_training_by_a_bit(run, trained):
    bare = trained(*TINY, "callbacks=none")
    assert measured(bare) == measured(run)
    assert not bare.pictures.exists()


def test_a_callback_switched_off_is_absent_and_the_others_are_there(trained):
    run = trained(*TINY, "callbacks.interpolation=null", "callbacks.pca=null", "callbacks.codes=null")
    assert sorted(path.name for path in run.pictures.iterdir()) == ["progression", "reconstructions"]
    assert not {"test/pca_mse", "output/constant"} & set(run.metrics())


def test_without_a_logger_the_pictures_are_still_files(run, trained):
    unlogged = trained(*TINY, *EVERY_EPOCH, "logger=none")
    assert not list(unlogged.path.glob("events*"))
    for name in NAMES:
        picture = Path(name) / "final.png"
        assert (unlogged.pictures / picture).read_bytes() == (run.pictures / picture).read_bytes()


def test_large_images_are_averaged_down_to_a_tile_and_small_ones_left():
    images = torch.rand(2, 3, 512, 256)
    plain = images.reshape(2, 3, 128, 4, 64, 4).mean((3, 5))
    assert torch.allclose(shrink(images, 128), plain, atol=1e-6)
    assert rows([images]).shape == (3, 128, 2 * 64 + 2)
    assert shrink(images, 512) is images
