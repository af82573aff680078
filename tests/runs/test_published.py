"""Figures that others published stand beside the run's own, in the scale in which they were published."""

import io

import pytest
from omegaconf import OmegaConf
from rich.console import Console

import diabolo
from diabolo.errors import UserError
from diabolo.runs.config import compose_config
from diabolo.runs.config_check import check_config
from diabolo.runs.folder import RunFolder
from diabolo.runs.identity import same, settings
from diabolo.runs.published import beside_published
from diabolo.runs.terminal import closing_tables
from support import TINY

FIGURES = [
    {"what": "summed error", "metric": "test/mse", "times": 784, "values": [[30, 3.0], [10, 12.5]]},
    {"what": "perplexity", "metric": "test/perplexity", "times": 1, "values": [[30, 326]]},
    {"what": "normalised error", "metric": "val/mse", "times": 15.78, "values": [[30, 0.056]]},
]
PUBLISHED = {"source": "figure [2B]", "figures": FIGURES}
METRICS = {"code_size": 30, "compression_ratio": 784 / 30, "test/mse": 0.003125, "val/mse": 0.0035}


def test_a_figure_is_shown_in_its_own_scale_with_as_many_digits():
    lines = beside_published(PUBLISHED, METRICS)
    assert lines == [["summed error", "2.450", "3.000"], ["normalised error", "0.05523", "0.05600"]]
    assert beside_published(PUBLISHED, METRICS | {"test/perplexity": 301.26})[1] == ["perplexity", "301.3", "326.0"]


def test_a_figure_is_that_of_its_size_of_the_code_alone():
    assert beside_published(PUBLISHED, METRICS | {"code_size": 10}) == [["summed error", "2.45", "12.50"]]
    assert beside_published(PUBLISHED, METRICS | {"code_size": 11}) == []
    assert beside_published(None, METRICS) == []


def printed(*arguments) -> list[list[str]]:
    console = Console(record=True, width=120, file=io.StringIO())
    for table in closing_tables(*arguments):
        console.print(table)
    lines = [[word.strip() for word in line.split("  ") if word.strip()] for line in console.export_text().splitlines()]
    return [line for line in lines if line]


def test_a_run_prints_both_scales_and_the_published_figures():
    lines = printed(METRICS | {"test/pca_mse": 0.0177}, OmegaConf.create(PUBLISHED))
    assert ["MSE", "0.00350", "0.00313", "0.01770"] in lines
    assert ["sum of 784 squared errors", "2.744", "2.45", "13.88"] in lines
    assert lines[-3:] == [
        ["figure [2B]", "here", "published"],
        ["summed error", "2.450", "3.000"],
        ["normalised error", "0.05523", "0.05600"],
    ]
    assert len(printed(METRICS)) == 3
    assert len(printed({"test/accuracy": 0.5, "code_size": 10, "compression_ratio": 78.4})) == 2, "no error, no sum"


def test_what_is_published_changes_no_run():
    plain, beside = compose_config([]), compose_config(["published={source: x, figures: []}"])
    assert same(plain, beside)
    assert settings({"published.source": "x"}) == {}


WRONG = {
    "published.figures=[1]": "must be a list of mappings with the keys what, metric, times, values",
    "published.figures=[{what: x, metric: y, times: 0, values: []}]": r"`published.figures\[0\].times` .= 0.",
    "published.figures=[{what: x, metric: y, times: 1, values: [[1, -1]]}]": r"`published.figures\[0\].values` .= -1.",
    "published.figures=[{what: x, metric: y, times: 1, values: [[a, 1]]}]": r"`published.figures\[0\].values` .= 'a'.",
}


@pytest.mark.parametrize("override", WRONG)
def test_what_is_no_figure_is_refused_in_a_sentence(override):
    with pytest.raises(UserError, match=WRONG[override]):
        check_config(compose_config(["published={source: x}", f"+{override}"]))


def test_a_run_and_a_notebook_say_it(tmp_path, capsys):
    figure = "{what: summed error, metric: test/mse, times: 64, values: [[4, 9.0]]}"
    words = [*TINY, "callbacks=none", f"published={{source: a book, figures: [{figure}]}}"]
    run = diabolo.train(*words, folder=str(tmp_path / "run"))
    assert "a book" in repr(run)
    assert f"{64 * run.metrics['test/mse']:.3f}" in repr(run)
    assert RunFolder(run.folder).config().published.figures[0]["values"] == [[4, 9.0]]
