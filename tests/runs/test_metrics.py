"""`metrics=`: what is measured beside the yardstick, in a run and wherever it is shown."""

import json
import math
import sys

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from diabolo.errors import UserError
from diabolo.measures import metric_names
from diabolo.measures.metric_names import direction
from diabolo.measures.perceptual import GMSD, HaarPSI
from diabolo.report.collect import collect
from diabolo.runs.build import build_metrics, build_module
from diabolo.runs.config import compose_config
from diabolo.runs.evaluation import evaluate
from diabolo.runs.folder import RunFolder
from diabolo.runs.loading import load
from diabolo.runs.safe_reading import read_checkpoint
from support import TINY, opened_data

SIXTEEN = (*TINY, "data.image_shape=[1,16,16]")
OFF = [f"callbacks.{name}=null" for name in ("reconstructions", "progression", "interpolation", "projector")]
BARE = ("callbacks=none", "logger=none")
MINE = """
class Contrast:
    def __call__(self, reconstructions, images):
        return reconstructions.flatten(1).std(1) / images.flatten(1).std(1)


def broken(reconstructions, images):
    raise ZeroDivisionError("no contrast")
"""
CONTRAST = """
contrast:
  _target_: own_metrics.Contrast
  title: contrast kept
  better: max
  unit: "%"
  digits: 1
"""


@pytest.fixture(autouse=True)
def nothing_described(monkeypatch):
    monkeypatch.setattr(metric_names, "_described", {})


@pytest.fixture(scope="module")
def run(trained) -> RunFolder:
    return trained(*SIXTEEN, *OFF, "metrics=[gmsd,haarpsi]")


def test_its_figures_are_the_means_over_the_images_of_the_run_and_of_pca(run):
    metrics = run.metrics()
    with np.load(run.path / "per_image.npz") as file:
        figures = dict(file)
    for split in ("val", "test"):
        images = opened_data(run.config()).images(split)
        with torch.no_grad():
            ours = load(run.path).reconstruct(images)
        for name, metric in (("haarpsi", HaarPSI()), ("gmsd", GMSD())):
            each = metric(ours, images / 255)
            assert metrics[f"{split}/{name}"] == pytest.approx(each.mean().item(), rel=1e-5)
            assert metrics[f"{split}/pca_{name}"] != metrics[f"{split}/{name}"]
            if split == "test":
                np.testing.assert_allclose(figures[name], each, rtol=1e-5)
    assert metrics["test/pca_haarpsi"] > 0.4 > metrics["test/haarpsi"], "two epochs are fewer than PCA needs"


def test_they_change_nothing_else(run, trained):
    """Weights and figures are the same to the last bit."""
    plain = trained(*SIXTEEN, *OFF)
    with_them, without = (read_checkpoint(one.best())["state_dict"] for one in (run, plain))
    assert with_them.keys() == without.keys()
    assert all(torch.equal(with_them[name], without[name]) for name in without)
    said = run.metrics()
    for name, value in plain.metrics().items():
        if name.startswith(("val/", "test/", "train/loss", "code/", "output/")):
            assert said[name] == value, name
    assert {name for name in said if name not in plain.metrics()} == {
        f"{split}/{pca}{name}" for split in ("val", "test") for pca in ("", "pca_") for name in ("haarpsi", "gmsd")
    }


def test_tensorboard_has_their_curves_and_columns(run):
    events = EventAccumulator(str(run.path), size_guidance={"scalars": 0}).Reload()
    for name in ("haarpsi", "gmsd"):
        assert [scalar.step for scalar in events.Scalars(f"val/{name}")] == [
            scalar.step for scalar in events.Scalars("val/mse")
        ]
        before, after = (scalar.value for scalar in events.Scalars(f"final/test/{name}"))
        assert math.isnan(before)
        assert after == pytest.approx(run.metrics()[f"test/{name}"], rel=1e-6)


def test_evaluate_measures_them_again_or_leaves_one_out(run):
    again = evaluate(run.path)
    assert {name: again[f"test/{name}"] for name in ("haarpsi", "gmsd")} == pytest.approx(
        {name: run.metrics()[f"test/{name}"] for name in ("haarpsi", "gmsd")}
    )
    assert "test/gmsd" not in evaluate(run.path, ["metrics.gmsd=null"])


def test_evaluate_measures_a_run_by_others_than_it_was_trained_with(run, trained, diabolo):
    older = trained(*SIXTEEN, *BARE)
    config = older.path / "config.yaml"
    config.write_text(config.read_text().replace("metrics: {}\n", ""))  # as before there was the group
    with torch.no_grad():
        images = opened_data(run.config()).images("test")
        wanted = HaarPSI()(load(older.path).reconstruct(images), images / 255).mean().item()
    assert evaluate(older.path, ["metrics=haarpsi"])["test/haarpsi"] == pytest.approx(wanted, rel=1e-5)
    assert "test/haarpsi" not in evaluate(older.path)
    assert "test/haarpsi" not in evaluate(run.path, ["metrics=none"])
    ended = diabolo("evaluate", str(older.path), "metrics=wit")
    assert (ended.code, ended.err) == (
        2,
        "diabolo: metrics=wit does not exist; there are gmsd, haarpsi, mdsi, none, perceptual.\n",
    )


def test_a_report_knows_their_direction_from_the_run_alone(run):
    assert direction("val/haarpsi") == "min", "nothing has been described yet"
    collect([run.path])
    assert (direction("val/haarpsi"), direction("test/pca_haarpsi"), direction("val/gmsd")) == ("max", "max", "min")


def test_the_best_epoch_is_that_of_the_highest_where_a_similarity_is_watched(trained):
    run = trained(
        *SIXTEEN, *BARE, "metrics=haarpsi", "trainer.monitor=val/haarpsi", "trainer.max_epochs=5", "optimizer.lr=.05"
    )
    curve = [json.loads(line)["val/haarpsi"] for line in run.history.read_text().splitlines()]
    assert run.metrics()["kept_epoch"] == 1 + curve.index(max(curve))
    assert run.metrics()["val/haarpsi"] == pytest.approx(max(curve), rel=1e-5)
    assert max(curve) != curve[0], "the first epoch is no test"


def test_a_metric_of_ones_own_is_one_file_and_one_yaml(diabolo, tmp_path, monkeypatch):
    """It is shown at the end of the run, and by a report that could not import it."""
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "own_metrics.py").write_text(MINE)
    (tmp_path / "own" / "metrics").mkdir(parents=True)
    (tmp_path / "own" / "metrics" / "contrast.yaml").write_text(CONTRAST)
    pca = "+callbacks.pca._target_=diabolo.callbacks.PCABaseline"
    command = ("train", "--config-dir", "own", *SIXTEEN, *BARE, pca, "metrics=contrast")
    ended = diabolo(*command, "hydra.run.dir=runs/one")
    assert ended.code == 0, ended.err
    diabolo(*command, "hydra.run.dir=runs/two", "loss=mae")
    measured = {name: RunFolder(f"runs/{name}").metrics() for name in ("one", "two")}
    shown = [line for line in ended.out.splitlines() if line.startswith("contrast kept (%)")]
    figures = [100 * measured["one"][key] for key in ("val/contrast", "test/contrast", "test/pca_contrast")]
    assert shown[0].split()[3:] == [f"{value:.1f}" for value in figures]

    (tmp_path / "own_metrics.py").unlink()
    metric_names._described.clear()
    page, table = tmp_path / "page.html", tmp_path / "table.csv"
    ended = diabolo("compare", "runs", "--sort", "test/contrast", "--csv", str(table), "--html", str(page))
    assert ended.code == 0, ended.err
    lines = [line.split() for line in ended.out.splitlines()]
    heads = next(line for line in lines if "test/contrast" in line)
    assert "(%)" in heads[heads.index("test/contrast") + 1]
    order = sorted(measured, key=lambda name: measured[name]["test/contrast"], reverse=True)
    rows = table.read_text().splitlines()
    assert [row.rpartition("/")[2] for row in rows[1:]] == order, "the highest first"
    assert "test/contrast" in rows[0].split(",")
    matrix = ended.out[ended.out.index("Losses on every metric") :]
    assert "contrast kept (%)" in matrix.splitlines()[1]
    assert "test/contrast" in page.read_text()


REFUSED = {
    "metrics=perceptual": "`metrics.haarpsi`: HaarPSI needs images of at least 16 pixels a side, not 8x8: leave it",
    "metrics=gmsd metrics.gmsd.better=up": "`metrics.gmsd.better` (= 'up') must be one of min, max.",
    "metrics=gmsd +metrics.gmsd.foo=1": "metrics.gmsd: ",
    "metrics=gmsd metrics.gmsd._target_=own_metrics.Contrast +metrics.gmsd.foo=1": "metrics.gmsd: ",
    "metrics=gmsd metrics.gmsd._target_=own_metrics.Contrast metrics.gmsd.better=up": "`metrics.gmsd.better` (= 'up')",
    "metrics=gmsd metrics.gmsd._target_=own_metrics.broken +metrics.gmsd._partial_=true": (
        "`metrics.gmsd` cannot measure images of 1x8x8 (no contrast): leave it out."
    ),
    "metrics=gmsd task=classify bottleneck.size=10": "`metrics` compare reconstructions with images, and this task",
    "+metrics.mse._target_=diabolo.measures.GMSD": "`metrics.mse` must have a name of small letters",
}


def measuring(overrides: str) -> None:
    config = compose_config([*TINY, *overrides.split()])
    build_module(config).also_measure(build_metrics(config))


@pytest.mark.parametrize("overrides", REFUSED)
def test_what_cannot_be_measured_is_told_in_a_sentence(overrides, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "own_metrics.py").write_text(MINE)
    with pytest.raises(UserError) as told:
        measuring(overrides)
    assert str(told.value).startswith(REFUSED[overrides])


def test_without_the_library_it_says_how_to_get_it(diabolo, monkeypatch):
    monkeypatch.setitem(sys.modules, "piq", None)
    ended = diabolo("train", *TINY, "metrics=mdsi")
    assert ended.code == 2
    assert ended.err == "diabolo: piq is not installed: uv sync --extra perceptual, or pip install piq.\n"


def test_a_run_is_used_without_the_library(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "piq", None)
    assert load(run.path).encode(torch.zeros(1, 1, 16, 16)).shape == (1, 4)
