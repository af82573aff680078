"""A run that is opened to be used: what is asked of its model, and what of its folder is believed."""

import shutil

import pytest
import torch
from omegaconf import OmegaConf

from diabolo.data.pixels import unit_interval
from diabolo.errors import UserError
from diabolo.runs.loading import load
from diabolo.use.trained import open_trained
from support import TINY, opened_data

QUIET = (*TINY, "callbacks=none", "logger=none")


@pytest.mark.parametrize("more", [("data.mean=.3", "data.std=.4"), ("corruption=gaussian",)])
def test_images_pass_as_through_the_model(trained, more):
    run = trained(*QUIET, *more)
    opened, model = open_trained(run.path), load(run.path)
    images = opened_data(run.config()).images("test", range(6))
    for corrupt in (False, True):
        with torch.no_grad():
            seen = unit_interval(model.corrupted(images) if corrupt else images)
            codes, made = model.encode(seen), model.reconstruct(seen)
        passed = opened.through(images, corrupt)
        torch.testing.assert_close(passed.images, images / 255)
        torch.testing.assert_close(passed.seen, seen)
        torch.testing.assert_close(passed.codes, codes)
        torch.testing.assert_close(passed.reconstructions, made)
        torch.testing.assert_close(passed.errors, (made - images / 255).square().mean((1, 2, 3)))


def test_a_decoder_that_unpools_has_the_places_of_its_own_image(trained):
    pooled = ("model=conv_upsample", "model.upsample=unpool", "model.channels=[4,8]")
    run = trained(*[one for one in QUIET if not one.startswith("model")], *pooled)
    images = opened_data(run.config()).images("test", range(4))
    with torch.no_grad():
        expected = load(run.path).reconstruct(images)
    torch.testing.assert_close(open_trained(run.path).through(images).reconstructions, expected)


def test_files_are_read_as_the_runs_own_images_were(run, trained):
    assert open_trained(run.path).reading.how == ((1, 8, 8), "crop", "uint8", None)
    assert open_trained(trained(*QUIET).path).reading.fit == "stretch", "the digits have no files, and are stretched"


def test_a_strangers_folder_runs_nothing_that_is_not_trusted(diabolo, run, images, tmp_path):
    shutil.copytree(run.path, tmp_path / "theirs")
    config = OmegaConf.load(tmp_path / "theirs" / "config.yaml")
    config.penalty = {"_target_": "shutil.copy", "src": str(images / "bar" / "00.png"), "dst": str(tmp_path / "stolen")}
    OmegaConf.save(config, tmp_path / "theirs" / "config.yaml")
    with pytest.raises(UserError, match=r"names 'shutil\.copy' at `penalty\._target_`"):
        open_trained(tmp_path / "theirs")
    for command in ("encode", "reconstruct"):
        ended = diabolo(command, "theirs", str(images), "--out", "out.npz")
        assert ended.code == 2
        assert "nothing of it was run" in ended.err
    assert not (tmp_path / "stolen").exists()
