"""The checkerboard score of a run's reconstructions."""

from pathlib import Path

import pytest
import torch

from diabolo.measures.checkerboard import Checkerboard
from diabolo.runs.loading import load
from support import opened_data


def score(images: torch.Tensor) -> float:
    measure = Checkerboard()
    measure.update(images)
    return float(measure.compute())


def test_a_period_too_long_for_the_images_is_refused_before_the_training(diabolo, tiny):
    ended = diabolo("train", *tiny, "callbacks=checkerboard", "callbacks.checkerboard.period=8", "hydra.run.dir=run")
    assert (ended.code, ended.err.count("\n")) == (2, 1), ended.err
    assert "`period` (= 8) needs images of at least 32 pixels a side, not 8x8" in ended.err
    assert not list(Path("run").glob("checkpoints/*"))


def test_a_run_logs_the_score_of_its_reconstructions_and_of_the_images(trained, tiny):
    run = trained(*tiny, "callbacks=checkerboard", "logger=none", "data.eval_batch_size=10")
    data, metrics = opened_data(run.config()), run.metrics()
    images = data.images("test")
    with torch.no_grad():
        ours = score(load(run.path).reconstruct(images))
    theirs = score(images / 255)
    assert metrics["test/checkerboard"] == pytest.approx(ours, rel=1e-3)
    assert metrics["test/checkerboard_originals"] == pytest.approx(theirs, rel=1e-5)
    assert metrics["test/checkerboard_ratio"] == pytest.approx(ours / theirs, rel=1e-3)
