"""Training from Python: the run that it returns, and what a notebook shows of it."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from rich.console import Console

import diabolo
from diabolo.errors import UserError
from diabolo.runs.config import run_name
from diabolo.runs.folder import RunFolder
from diabolo.training.progress import ProgressBar
from support import TINY, opened_data

QUIET = (*TINY, "logger=none")


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_run_that_comes_back_is_that_of_the_folder(here):
    run = diabolo.train(*QUIET, "loss=mae")
    assert run.folder.parent == Path("runs")
    assert run.folder.name.partition("_")[2] == run_name([*QUIET, "loss=mae"])
    assert run.metrics == json.loads((run.folder / "metrics.json").read_text())
    assert RunFolder(run.folder).state()["choices"]["loss"] == "mae"
    assert [row["epoch"] for row in run.history][-1] == 2
    images = opened_data(RunFolder(run.folder).config()).images("test")
    with torch.no_grad():
        made = run.model.reconstruct(images)
    assert float((made - images / 255).square().mean()) == pytest.approx(run.metrics["test/mse"], rel=1e-4)


def test_a_notebook_shows_yardstick_and_reconstructions(here):
    run = diabolo.train(*QUIET, folder="mine")
    assert f"{run.metrics['test/mse']:.5f}" in repr(run)
    shown = run._repr_html_()
    assert f"{run.metrics['test/mse']:.5f}" in shown
    assert shown.count("<img") == 1
    assert run.picture("interpolation").size[0] > 12 * 58
    with pytest.raises(UserError, match="the run drew no picture 'faces'; there are interpolation, progression, recon"):
        run.picture("faces")


def test_a_folder_is_trained_in_once_and_for_one_config(here):
    first = diabolo.train(*QUIET, "callbacks=none", folder="mine")
    before = (here / "mine" / "metrics.json").stat().st_mtime_ns
    assert diabolo.train(*QUIET, "callbacks=none", folder="mine").metrics == first.metrics
    assert (here / "mine" / "metrics.json").stat().st_mtime_ns == before
    with pytest.raises(UserError, match="holds a run with another config"):
        diabolo.train(*QUIET, "callbacks=none", "loss=mae", folder="mine")


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("bottlneck.size=3", "there is no config key 'bottlneck.size' (did you mean 'bottleneck.size'?)"),
        ("bottleneck.size=0", "`bottleneck.size` (= 0) must be a whole number of at least 1"),
        ("hydra.run.dir=x", "'hydra.run.dir=x' is for the command line: name the run folder by folder=."),
    ],
)
def test_mistakes_are_one_sentence(here, override, sentence):
    with pytest.raises(UserError) as refused:
        diabolo.train(*QUIET, override)
    assert sentence in str(refused.value)
    assert not list(here.rglob("*.json"))


def test_a_notebook_has_a_bar_that_is_drawn_anew_in_its_place(monkeypatch, trained):
    drawn: list[str] = []
    place = SimpleNamespace(update=drawn.append)
    display = SimpleNamespace(HTML=str, display=lambda html, display_id: place)
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(display=display))
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    bar = ProgressBar(Console(force_jupyter=True, force_terminal=False))
    trainer = SimpleNamespace(
        num_training_batches=4, max_epochs=3, current_epoch=0, is_global_zero=True, callback_metrics={"train/loss": 0.5}
    )
    bar.on_train_start(trainer, None)
    bar.on_train_epoch_end(trainer, None)
    assert 'max="12" value="0"' in drawn[0]
    assert 'max="12" value="4"' in drawn[1]
    assert "epoch 1/3" in drawn[1]
    assert "loss 0.50000" in drawn[1]


def test_weights_do_not_depend_on_where_one_trains_from(here, trained):
    run, other = diabolo.train(*QUIET, "callbacks=none"), trained(*QUIET, "callbacks=none")
    one, two = (torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
                for folder in (run.folder, other.path))  # fmt: skip
    assert all(np.array_equal(one[name], two[name]) for name in two)
