"""When pictures are drawn, where they go, and that drawing changes nothing."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning import LightningModule
from PIL import Image

from diabolo.callbacks.pictures import asking, decode
from diabolo.runs.loading import load
from support import TINY, drawn

NAMES = ("reconstructions", "progression", "interpolation")
EVERY_EPOCH = [f"callbacks.{name}.every_n_epochs=1" for name in NAMES]


@pytest.fixture(scope="module")
def run(trained):
    return trained(*TINY, *EVERY_EPOCH)


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


def test_pictures_are_drawn_at_the_start_every_n_epochs_at_the_end_and_of_the_best_weights(trained):
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


def test_made_codes_go_to_the_nearest_that_the_bottleneck_can_give(trained):
    module = load(trained(*TINY, "logger=none", "bottleneck=fsq", "callbacks=none").path)
    codes = torch.full((2, 4), 0.3)
    with torch.no_grad():
        assert torch.equal(decode(module, codes), module.decode(torch.tensor([[0.25, 0.5, 0.5, 0.5]] * 2)))
