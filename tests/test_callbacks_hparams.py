"""The row of the HParams table, read back from the event files."""

import json
import math

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from conftest import TINY
from diabolo.callbacks.hparams import METRICS


def events_of(run):
    return EventAccumulator(str(run.path), size_guidance={"scalars": 0}).Reload()


def plugin(events, tag):
    return HParamsPluginData.FromString(events.SummaryMetadata(f"_hparams_/{tag}").plugin_data.content)


@pytest.fixture(scope="module")
def run(trained):
    return trained(*TINY, "seed=3", "loss=mae", "optimizer.lr=.002")


def test_the_row_has_the_runs_parameters(run):
    values = plugin(events_of(run), "session_start_info").session_start_info.hparams
    found = {name: value.number_value or value.string_value for name, value in values.items()}
    assert found == {
        "data": "digits",
        "encoder": "fc",
        "bottleneck": "vector",
        "decoder": "fc",
        "loss": "mae",
        "optimizer": "adam",
        "scheduler": "one_cycle",
        "code_size": 4,
        "learning_rate": 0.002,
        "batch_size": 32,
        "max_epochs": 2,
        "seed": 3,
    }


def test_its_metrics_end_at_what_the_run_folder_says(run):
    events = events_of(run)
    assert {info.name.tag for info in plugin(events, "experiment").experiment.metric_infos} == set(METRICS)
    last_epoch = json.loads(run.history.read_text().splitlines()[-1])
    final = {name: value for name, value in run.metrics().items() if not name.startswith("val/")}
    for tag in METRICS:
        scalars = events.Scalars(tag)
        assert math.isnan(scalars[0].value), "until it is measured"
        assert scalars[-1].value == pytest.approx((last_epoch | final)[tag], rel=1e-6)


def test_a_run_without_validation_has_the_same_columns(trained):
    events = events_of(trained(*TINY, "data.val_fraction=0"))
    assert {info.name.tag for info in plugin(events, "experiment").experiment.metric_infos} == set(METRICS)
    assert [math.isnan(scalar.value) for scalar in events.Scalars("val/mse")] == [True]
