"""Run folders of diabolo 0.1, in which a `_target_` named a file: every command reads them."""

import copy
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra.utils import get_object
from omegaconf import OmegaConf

from diabolo.data.digits import digit_images
from diabolo.errors import UserError
from diabolo.runs.config import compose_config
from diabolo.runs.folder import RunFolder
from diabolo.runs.identity import flat, same
from diabolo.runs.loading import load
from diabolo.runs.old_names import current_name, of_today

pytestmark = pytest.mark.filterwarnings("ignore:Checkpoint directory .* is not empty")  # it is the run's own

MADE_BY_0_1 = Path(__file__).parent / "made_by_0.1"  # convolutions, 4 numbers, masked digits, Huber's loss, 2 epochs
TARGETS = Path(__file__).with_name("targets_of_0.1.txt").read_text().split()  # all that a yaml of 0.1 named


@pytest.fixture
def old(tmp_path) -> Path:
    """A copy of the run, in which a test may write."""
    return shutil.copytree(MADE_BY_0_1, tmp_path / "old")


@pytest.mark.parametrize("target", TARGETS)
def test_every_name_of_0_1_leads_to_the_same_class_through_its_room(target):
    name = target.rpartition(".")[2]
    found = get_object(current_name(target))
    assert found.__name__ == {"digits": "digit_images"}.get(name, name)
    assert current_name(target).count(".") == 2, "a room and a name"
    assert current_name(current_name(target)) == current_name(target)


@pytest.mark.parametrize("target", ["torch.optim.Adam", "mine.Encoder", "diabolo", "diabolo.network.ConvEncoder",
                                    "diabolo.data.folder_images", "diabolo.callbacks.Codes"])  # fmt: skip
def test_other_names_stay(target):
    assert current_name(target) == target


def test_it_loads(old):
    model = load(old)
    images = digit_images((1, 8, 8)).train.take(range(5))
    with torch.no_grad():
        codes = model.encode(images)
        assert codes.shape == (5, 4)
        assert torch.equal(model.decode(codes), model.reconstruct(images))


def test_it_is_evaluated_to_the_figures_that_it_recorded(old, diabolo):
    ended = diabolo("evaluate", str(old))
    assert ended.code == 0, ended.err
    rows = [line.split() for line in ended.out.splitlines()[1:]]
    now, recorded = ({row[0]: float(row[column]) for row in rows if len(row) == 3} for column in (1, 2))
    assert {"test/mse", "test/ssim", "val/mse", "test/pca_mse"} <= set(now)
    assert now == pytest.approx(recorded, rel=1e-4)


def test_it_is_trained_on(old, diabolo):
    before = (old / "history.jsonl").read_text()
    ended = diabolo("train", str(old), "trainer.max_epochs=3")
    assert ended.code == 0, ended.err
    rows = [json.loads(line) for line in (old / "history.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [3, 6, 9]
    assert (old / "history.jsonl").read_text().startswith(before)
    assert rows[2]["train/loss"] < rows[0]["train/loss"]
    best = torch.load(old / "checkpoints" / "best.ckpt", weights_only=True)
    errors = [row["val/mse"] for row in rows]
    assert best["epoch"] == errors.index(min(errors)), "known although the folder has been moved"


def test_it_is_compared_with_a_run_of_today_which_is_the_same_run(old, diabolo, tmp_path):
    config = RunFolder(old).config()
    assert config.encoder._target_ == "diabolo.network.ConvEncoder"
    overrides = [o for o in RunFolder(old).state()["overrides"] if not o.startswith("trainer.max_epochs")]
    overrides.append("data.limit_by=first")  # which was the only way
    again = tmp_path / "runs" / "again"
    assert diabolo("train", *overrides, "trainer.max_epochs=2", "seed=1", f"hydra.run.dir={again}").code == 0
    shutil.copytree(old, tmp_path / "runs" / "old")
    ended = diabolo("compare", str(tmp_path / "runs"), "--csv", "table.csv")
    assert ended.code == 0, ended.err
    assert "2 runs, 1 setting:" in " ".join(ended.out.split()), "they differ in their seed alone"
    today = RunFolder(again).config()
    today.seed = today.callbacks.hparams.params.seed = 0
    assert same(config, today)


LATER = {  # what chooses a class -> keys that it did not have at first
    "model=conv_transpose": [
        "model.strides",
        "model.stack",
        "encoder.strides",
        "decoder.stack",
        "decoder.spectral_norm",
    ],
    "model=conv_upsample": ["decoder.spectral_norm", "bottleneck.conditional", "bottleneck.classes"],
    "model=fc_tied": ["decoder.spectral_norm"],
    "model=lenet": ["decoder.spectral_norm"],
    "model=residual": ["decoder.spectral_norm"],
    "scheduler=plateau": ["scheduler.lowest"],
    "loss=mix": ["loss.terms.gradient", "loss.terms.focal_frequency", "loss.weights.gradient"],
}


@pytest.mark.parametrize("choice", LATER)
def test_keys_that_came_later_have_the_value_of_before(choice):
    today = OmegaConf.to_container(compose_config([choice, "data.mean=0.5", "data.std=0.25"]), resolve=True)
    before = copy.deepcopy(today)
    for key in LATER[choice]:
        *groups, last = key.split(".")
        node = before
        for group in groups:
            node = node[group]
        del node[last]
    assert before != today
    assert flat(of_today(before)) == flat(today)


def test_it_is_probed(old, diabolo):
    ended = diabolo("probe", str(old))
    assert ended.code == 0, ended.err
    (line,) = (line for line in ended.out.splitlines() if line.startswith(str(old)[:20]))
    assert all(0 <= float(accuracy) <= 100 for accuracy in line.split()[-2:])
    assert np.load(old / "per_image.npz")["mse"].shape == (32,)


OUTSIDE = {  # of today's ranges: a key and a value that an earlier release took -> what is said
    "data.num_workers": (100_000, "must be at most 512."),
    "optimizer.betas": ([0.9, 1.5], "`optimizer.betas[1]` (= 1.5) must be below 1."),
    "trainer.strategy": ("ddp_notebook", "must be one of auto, ddp, ddp_find_unused_parameters_true."),
    "loss.delta": (-1, "must be a number above 0."),
    "logger.version": ("/elsewhere", "must be a folder below the run's."),
    "optimizer.differentiable": (True, "must be false: it is for steps"),
}


@pytest.mark.parametrize("key", OUTSIDE)
def test_a_value_outside_of_todays_ranges_is_shown_and_named_where_it_stands_in_the_way(diabolo, old, key):
    value, words = OUTSIDE[key]
    config = OmegaConf.load(old / "config.yaml")
    OmegaConf.update(config, key, value)
    OmegaConf.save(config, old / "config.yaml")
    for command in (("compare", "old"), ("runs", "ls", "old"), ("runs", "show", "old"), ("runs", "best", "old")):
        ended = diabolo(*command)
        assert (ended.code, ended.err.count("skipped")) == (0, 0), ended
    for ended in (diabolo("evaluate", "old"), diabolo("probe", "old"), diabolo("train", "old", "trainer.max_epochs=3")):
        assert ended.code == 2, ended
        assert "Traceback" not in ended.out + ended.err
        assert f"`{key}" in ended.err
        assert words in ended.err
    with pytest.raises(UserError, match=f"the config of '.*old' cannot be: `{key}"):
        load(old)
