"""Runs and their comparison in Python."""

import pickle
import subprocess
import sys
from types import ModuleType

import cloudpickle
import pytest

import diabolo
import diabolo.runs.folder
from diabolo.errors import UserError
from diabolo.runs.folder import RunFolder


def test_a_row_a_run_with_choices_config_and_metrics(compared):
    rows = diabolo.runs(compared)
    assert [row["name"] for row in rows] == ["mae_4", "mse_2", "mse_4"]
    for row in rows:
        run = RunFolder(compared / row["name"])
        assert row["folder"] == str(run.path)
        assert row["state"] == "done"
        assert row["bottleneck.size"] == run.config().bottleneck.size
        assert row["test/mse"] == run.metrics()["test/mse"]
    assert [row["name"] for row in diabolo.runs(compared, where=["bottleneck.size<3"])] == ["mse_2"]
    with pytest.raises(UserError, match="is not a folder"):
        diabolo.runs("nowhere")


def test_the_room_that_is_called_stays_a_module():
    assert isinstance(diabolo.runs, ModuleType)
    assert diabolo.runs.folder.RunFolder is RunFolder
    assert diabolo.runs.NoteMissing.__module__ == "diabolo.runs.made_folders"
    assert pickle.loads(cloudpickle.dumps(diabolo.runs)) is diabolo.runs


def test_a_comparison_is_that_of_the_command(diabolo_command, compared):
    found = diabolo.compare(compared, sort="test/mse")
    printed = diabolo_command("compare", str(compared), "--sort", "test/mse").out
    for sentence in found.words:
        assert sentence in printed
    assert [line.rstrip() for line in repr(found).splitlines() if line.strip()] == [
        line.rstrip() for line in printed.split("\n\nLosses")[0].splitlines() if line.strip()
    ]
    errors = [row["test/mse"] for row in found.rows]
    assert errors == sorted(RunFolder(compared / name).metrics()["test/mse"] for name in ("mae_4", "mse_2", "mse_4"))


def test_a_notebook_shows_words_table_and_plots(compared):
    found = diabolo.compare(compared)
    shown = found._repr_html_()
    assert shown.count("<img") == len(found.plots) > 1
    assert all(plot._repr_png_().startswith(b"\x89PNG") for plot in found.plots)
    assert shown.count("<li>") == len(found.words)


@pytest.fixture
def diabolo_command(request):
    return request.getfixturevalue("diabolo")


def test_importing_diabolo_costs_nothing():
    script = (
        "import sys, diabolo; print(sorted({'torch', 'hydra', 'numpy', 'rich', 'matplotlib'} & set(sys.modules)));"
        " print(diabolo.runs.__name__)"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ended.stdout.split("\n")[:2] == ["[]", "diabolo.runs"]
