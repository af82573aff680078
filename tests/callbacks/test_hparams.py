"""The row of the HParams table, read back from the event files."""

import math

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from diabolo.callbacks.hparams import METRICS
from support import TINY


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
        "corruption": "none",
        "encoder": "fc",
        "bottleneck": "vector",
        "penalty": "none",
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


def test_its_metrics_are_those_of_the_run_folder(run):
    events = events_of(run)
    columns = {info.name.tag for info in plugin(events, "experiment").experiment.metric_infos}
    assert columns == {f"final/{name}" for name in METRICS}
    for name in METRICS:
        before, after = (scalar.value for scalar in events.Scalars(f"final/{name}"))
        assert math.isnan(before), "until the run is done"
        assert after == pytest.approx(run.metrics()[name], rel=1e-6)


def test_a_run_without_validation_has_the_same_columns(trained):
    events = events_of(trained(*TINY, "data.val_fraction=0"))
    columns = {info.name.tag for info in plugin(events, "experiment").experiment.metric_infos}
    assert columns == {f"final/{name}" for name in METRICS}
    assert [math.isnan(scalar.value) for scalar in events.Scalars("final/val/mse")] == [True]
