"""A metric is described in one place, and shown in all that it names."""

import pytest
import torch

from diabolo.measures import metric_names
from diabolo.measures.metric_names import (
    METRICS,
    YARDSTICK,
    Metric,
    describe,
    described,
    direction,
    metric_of,
    shown_in,
)
from diabolo.measures.yardstick import Yardstick
from diabolo.report.collect import collect
from diabolo.report.losses import compare_losses, matrix
from diabolo.report.page import run_table, short
from diabolo.report.table import tabulate
from diabolo.report.words import say
from diabolo.runs.terminal import closing_table
from made_runs import write_run

NEW = Metric("sharpness", "sharpness", "max", "%", digits=1)


def written(folder, **config):
    """Two losses with three seeds each."""
    for loss, part in (("mae", 0.25), ("mse", 0.5)):
        for seed in (0, 1, 2):
            metrics = {"test/mse": 0.125, "test/sharpness": part + seed * (part - 0.5) / 1000}
            write_run(folder / f"{loss}{seed}", loss=loss, seed=seed, metrics=metrics, **config)
    return collect([folder])[0]


@pytest.fixture
def runs(tmp_path):
    return written(tmp_path)


def everywhere(runs) -> dict[str, bool]:
    """Where the new metric is shown, and its greater figure in its unit."""
    table, page, losses = tabulate(runs), run_table(runs), matrix(compare_losses(runs), [])
    closing = [[str(cell) for cell in column.cells] for column in closing_table({"test/sharpness": 0.5}).columns]
    cells = [cell for row in table.rows for cell in table.cells(row)]
    paged = [short(cell, key) for row in page.rows for key, cell in zip(page.header, row, strict=True)]
    return {
        "closing": closing == [["sharpness (%)"], ["50.0"]],
        "words": any(
            said.startswith(
                "Best sharpness (chosen and measured on test images): loss=mse, with sharpness 50 % over 3 seeds,"
            )
            for said in say(runs)
        ),
        "table": "test/sharpness (%)" in table.titles() and "50" in cells,
        "losses": "sharpness (%)" in losses[0] and "50 *" in losses[1][1],
        "page": "test/sharpness" in page.header and "50" in paged,
    }


def test_a_new_metric_is_shown_everywhere_by_its_row_alone(runs, monkeypatch):
    assert not any(everywhere(runs).values())
    monkeypatch.setattr(metric_names, "METRICS", (*METRICS, NEW))
    assert all(everywhere(runs).values()), everywhere(runs)
    assert set(everywhere(runs)) == set(metric_names.EVERYWHERE)


def test_a_metric_that_a_run_describes_is_shown_everywhere(tmp_path, monkeypatch):
    monkeypatch.setattr(metric_names, "_described", {})
    said = {"title": "sharpness", "better": "max", "unit": "%", "digits": 1, "_target_": "nowhere.Sharpness"}
    runs = written(tmp_path, config={f"metrics.sharpness.{key}": value for key, value in said.items()})
    assert described() == [NEW]
    assert all(everywhere(runs).values()), everywhere(runs)


def test_what_a_run_says_of_the_yardstick_or_otherwise_than_it_should_does_not_count(monkeypatch):
    monkeypatch.setattr(metric_names, "_described", {})
    describe(
        {
            "mse": {"title": "the best", "better": "max"},
            "a": 3,
            "loss": {"better": "max"},
            "b": {"title": ["x"], "better": 2, "unit": {}},
        }
    )
    describe({"c": {"title": "two\nlines " + 99 * "x", "digits": 10**9}})
    for nothing in (None, [], "text", 3, {}):
        describe(nothing)
    assert (direction("val/mse"), metric_of("val/mse").title) == ("min", "MSE")
    assert direction("train/loss") == "min"
    assert [(one.name, one.better, one.unit, one.digits) for one in described()] == [("b", "min", "", 4), ("c", "min", "", 4)]  # fmt: skip  # noqa: E501
    assert described()[1].title.startswith("two lines xxx")
    assert len(described()[1].title) == 60


def test_a_name_ends_a_key_as_a_whole(monkeypatch):
    monkeypatch.setattr(metric_names, "_described", {})
    describe({"peak": {"better": "max"}})
    assert [direction(key) for key in ("val/peak", "test/pca_peak", "peak", "val/speak")] == [
        "max",
        "max",
        "max",
        "min",
    ]
    assert metric_of("test/peak").title == "peak"


def test_a_metric_is_found_by_the_longest_end_of_its_key():
    assert metric_of("test/knn_accuracy").title == "kNN accuracy"
    assert metric_of("test/class_3_accuracy").title == "accuracy"
    assert metric_of("val/pca_psnr").title == "PSNR"
    assert (metric_of("seconds"), metric_of("train/loss")) == (None, None)


def test_shares_likenesses_and_decibels_grow_and_errors_fall():
    growing = ("val/psnr", "test/ssim", "test/accuracy", "test/knn_accuracy", "anomaly/auroc", "average_precision")
    assert {direction(key) for key in growing} == {"max"}
    assert {direction(key) for key in ("val/mse", "test/pca_mse", "train/loss", "seconds", "")} == {"min"}


def test_each_metric_of_the_yardstick_has_a_row_and_is_shown_everywhere():
    yardstick = Yardstick()
    yardstick.update(torch.zeros(1, 1, 8, 8), torch.ones(1, 1, 8, 8))
    assert set(YARDSTICK) == set(yardstick.compute())
    for place in metric_names.EVERYWHERE:
        assert set(YARDSTICK) <= {metric.name for metric in shown_in(place)}
