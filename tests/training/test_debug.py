"""`trainer=debug`: a few images learnt by heart, one batch an epoch, and a NaN named where it arises."""

import json
import re
import time

import pytest
import torch

from diabolo.errors import Diverged
from diabolo.runs.config import compose_config
from diabolo.runs.evaluation import evaluate
from diabolo.runs.folder import RunFolder
from diabolo.runs.loading import load
from diabolo.runs.train import train
from support import TINY, opened_data

DEBUG = tuple(one for one in TINY if not one.startswith("trainer.")) + ("trainer=debug",)
QUIET = ("callbacks=none", "logger=none")


def test_it_learns_its_few_images_in_a_second_a_batch_an_epoch(trained):
    trained(*DEBUG, *QUIET, "trainer.max_epochs=1")  # imports what is heavy
    before = time.process_time()
    run = trained(*DEBUG, *QUIET, "trainer.max_epochs=60")
    assert time.process_time() - before < 2
    rows = [json.loads(line) for line in run.history.read_text().splitlines()]
    assert [row["step"] for row in rows] == list(range(1, 61))
    assert rows[-1]["val/mse"] < 0.8 * rows[0]["val/mse"]

    data = opened_data(compose_config(DEBUG))
    few = data.images("train", range(16)).float() / 255
    with torch.inference_mode():
        error = (load(run.path).reconstruct(few) - few).square().mean()
    assert run.metrics()["val/mse"] == pytest.approx(float(error), rel=1e-5)
    assert evaluate(run.path)["val/mse"] == pytest.approx(float(error), rel=1e-5)


def test_test_images_and_a_run_without_validation_stay_as_they_are(trained):
    metrics = trained(*DEBUG, *QUIET, "data.val_fraction=0", "data.batch_size=4", "trainer.max_epochs=2").metrics()
    assert "val/mse" not in metrics
    assert metrics["steps"] == 2  # a batch of 4 images, of the 16


@pytest.mark.filterwarnings("default:Error detected in")
def test_a_nan_of_a_backward_pass_is_named_with_the_line_that_computed_it(trained, tmp_path):
    rootless = (*QUIET, "trainer.max_epochs=1", "loss._target_=extensions.Rootless", "~loss.reduction")
    with pytest.raises(Diverged, match="not a finite number at step 1"):  # a step late, and no word of where
        trained(*TINY, *rootless)
    run = RunFolder(tmp_path / "run")
    with pytest.raises(Diverged) as named:
        train(compose_config([*DEBUG, *rootless]), run)
    place = r"\(extensions.py, line \d+\)"
    line = r"`return \(0 \* \(reconstruction - images\)\).sqrt\(\).mean\(\)`"
    assert re.fullmatch(
        f"the gradient is NaN after MulBackward0, the backward pass of {line} {place}; run.log has the traceback.",
        str(named.value),
    )
    assert run.state()["state"] == "failed"
    assert run.state()["reason"] == str(named.value)
    assert "RuntimeError: Function 'MulBackward0' returned nan values in its 0th output." in run.log.read_text()
    assert "return (0 * (reconstruction - images)).sqrt().mean()" in run.log.read_text()
