"""A run with a corruption: what the network sees, what loss and yardstick compare with, and going on with it."""

import signal

import numpy as np
import pytest
import torch
from PIL import Image

from diabolo.callbacks.codes import Codes, dead_units
from diabolo.data.corruptions import Masking
from diabolo.errors import UserError
from diabolo.runs.build import build_module
from diabolo.runs.config import compose_config
from diabolo.runs.folder import RunFolder
from diabolo.runs.loading import load
from diabolo.runs.train import resume
from stopping import assert_same, stop
from support import TINY, opened_data, tiles, unnamed

NORMALISED = ("data.mean=0.3", "data.std=0.4", "model.output=identity")
SEES = (*TINY, "corruption=gaussian", "corruption.std=0.3")
BARE = (*SEES, "callbacks=none", "logger=none")
DRAWN = (*SEES, *NORMALISED, "callbacks.projector=null", "callbacks.interpolation=null")


@pytest.fixture(scope="module")
def run(trained) -> RunFolder:
    return trained(*DRAWN, "data.eval_batch_size=5", "callbacks.progression.every_n_epochs=1")


def data_of(overrides):
    return opened_data(compose_config(overrides))


@pytest.mark.parametrize("scale", [(), NORMALISED])
def test_the_loss_compares_what_the_network_makes_of_corrupted_images_with_the_clean_ones(scale):
    torch.manual_seed(0)
    module = build_module(compose_config((*BARE, *scale)))
    images = data_of(BARE).images("train", [0, 3, 5])
    torch.manual_seed(7)
    ours = module.training_loss(images, torch.zeros(3))
    torch.manual_seed(7)
    mean, std = (0.3, 0.4) if scale else (0.0, 1.0)
    noise, total = torch.randn(3, 1, 8, 8), 0.0
    for image, own in zip(images.double() / 255, noise, strict=True):
        noisy = np.clip(image.numpy() + 0.3 * own.numpy(), 0, 1)
        seen = torch.from_numpy((noisy - mean) / std).float()
        out = module.autoencoder.output(module.autoencoder(seen[None]).raw)[0].detach()
        for mine, clean in zip(out.flatten().tolist(), image.flatten().tolist(), strict=True):
            total += (mine - (clean - mean) / std) ** 2
    assert ours.item() == pytest.approx(total / (3 * 64), rel=1e-5)


def test_the_yardstick_is_that_of_the_restoration_against_the_clean_images(run):
    model, data = load(run.path), data_of(DRAWN)
    for split in ("val", "test"):
        images = data.images(split)
        with torch.no_grad():
            restored = model.reconstruct(model.corruption.fixed(images))
            untouched = model.reconstruct(images)
        mse = np.square(restored.numpy() - images.numpy() / 255).mean()
        assert run.metrics()[f"{split}/mse"] == pytest.approx(mse, rel=1e-5)
        assert np.square(untouched.numpy() - images.numpy() / 255).mean() != pytest.approx(mse, rel=1e-3)
    with np.load(run.path / "per_image.npz") as figures:
        assert figures["mse"].mean() == pytest.approx(run.metrics()["test/mse"], rel=1e-5)


def test_pca_restores_the_same_corrupted_images(run):
    model, data = load(run.path), data_of(DRAWN)
    train, images = (data.images(split).flatten(1).numpy() / 255 for split in ("train", "test"))
    noisy = model.corrupted(data.images("test")).flatten(1).numpy()
    axes = np.linalg.svd(train - train.mean(0), full_matrices=False)[2][:4]
    ours = (noisy - train.mean(0)) @ axes.T @ axes + train.mean(0)
    assert run.metrics()["test/pca_mse"] == pytest.approx(np.square(ours - images).mean(), rel=1e-4)


def test_every_run_and_every_batch_size_is_measured_on_the_same_corrupted_images(run, trained):
    other = trained(*BARE, "seed=5", "data.eval_batch_size=32")
    images = data_of(DRAWN).images("test")
    assert torch.equal(load(run.path).corrupted(images), load(other.path).corrupted(images))


def test_dead_units_are_looked_for_in_the_codes_of_corrupted_images(run):
    """Masked wholly, images are all the same: a code of clean images would have no dead unit."""
    module, data = load(run.path), data_of(DRAWN)
    module.corruption = Masking(1)
    codes, _ = Codes()._ask(module, data.images("test"), data.labels("test"))
    assert dead_units(codes) == 4
    assert dead_units(module.encode(data.images("test"))) == 0


def test_the_pictures_show_clean_corrupted_and_restored_images(run):
    model, images = load(run.path), data_of(DRAWN).images("test", range(10))
    noisy = model.corrupted(images)
    with torch.no_grad():
        restored = model.reconstruct(noisy)
    expected = [images / 255, noisy, restored.clamp(0, 1)]
    for name, rows in (("reconstructions", 4), ("progression", 6)):
        picture = np.asarray(Image.open(run.pictures / name / "final.png").convert("RGB"))
        assert picture.shape[0] == rows * 58 - 2
        picture = unnamed(picture, 10)
        for row, strip in enumerate(expected if rows == 4 else expected[:2]):
            wanted = (strip.expand(-1, 3, -1, -1) * 255).round().numpy()
            assert np.abs(tiles(picture, row, 10) - wanted).max() <= 1
    last = np.asarray(Image.open(run.pictures / "progression" / "final.png").convert("RGB"))
    assert (
        np.abs(tiles(unnamed(last, 10), 5, 10) - (expected[2].expand(-1, 3, -1, -1) * 255).round().numpy()).max() <= 1
    )


def test_without_a_corruption_images_are_given_as_they_are():
    module = build_module(compose_config(TINY))
    images = data_of(TINY).images("test")
    assert module.corruption is None
    assert module.corrupted(images) is images


def test_a_run_without_the_group_in_its_config_can_still_be_loaded():
    config = compose_config(TINY)
    del config["corruption"]
    assert build_module(config).corruption is None


@pytest.mark.filterwarnings("ignore:Checkpoint directory .* is not empty")
@pytest.mark.parametrize("step", [0, 4])
def test_stopped_and_continued_it_equals_the_unbroken_run(trained, monkeypatch, tmp_path, step):
    unbroken, run = trained(*BARE), RunFolder(tmp_path / "run")
    assert stop(monkeypatch, run, BARE, step, signal.SIGTERM) == 143
    resume(run.path)
    assert_same(run, unbroken)


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (("corruption=gaussian", "corruption.std=-1"), "`corruption.std` (= -1) must be a number above 0."),
        (("corruption=downsample", "corruption.factor=9"), "`corruption.factor` (= 9) is more than a side of 8x8"),
        (("corruption=block",), "`corruption.side` (= 10) is more than a side of 8x8 images."),
    ],
)
def test_a_corruption_that_does_not_fit_is_refused(trained, overrides, sentence):
    with pytest.raises(UserError) as failed:
        trained(*TINY, "callbacks=none", "logger=none", *overrides)
    assert str(failed.value).startswith(sentence)


@pytest.mark.parametrize(
    ("experiment", "figure", "more"),
    [
        ("denoise", "test/median_psnr", ()),
        ("super_resolution", "test/bicubic_psnr", ()),
        ("inpaint", "test/mean_fill_inside_mse", ("corruption.side=4",)),
        ("anomaly", "test/pca_auroc", ()),
    ],
)
def test_a_preset_also_takes_small_digits(trained, experiment, figure, more):
    small = ("data=digits", "data.image_shape=[1,8,8]", "data.limit=40", "data.test_limit=60", "logger=none")
    quiet = ("trainer.max_epochs=1", "trainer.accelerator=cpu", "callbacks.projector=null", "callbacks.codes=null")
    metrics = trained(f"experiment={experiment}", *small, *quiet, *more).metrics()
    assert np.isfinite([metrics[figure], metrics["test/mse"]]).all()
