"""The table: folded rows, full precision in CSV, four digits for people."""

import csv
import math

import pytest

from diabolo.errors import UserError
from diabolo.report.collect import collect
from diabolo.report.table import tabulate, to_markdown, write_csv
from made_runs import write_run

THIRD = 1 / 3


@pytest.fixture
def runs(tmp_path):
    write_run(tmp_path / "a0", 25, seed=0, metrics={"test/mse": THIRD, "test/pca_mse": 0.5, "seconds": 9})
    write_run(tmp_path / "a1", 25, seed=1, metrics={"test/mse": 0.1, "test/pca_mse": 0.5, "seconds": 5})
    write_run(tmp_path / "b", 5, loss="mae", metrics={"test/mse": 0.25, "test/pca_mse": math.nan, "seconds": 3})
    return collect([tmp_path])[0]


def test_rows_have_what_differs_and_the_yardstick(runs):
    table = tabulate(runs)
    assert table.heads() == ["loss", "bottleneck.size", "n", "test/mse", "test/pca_mse"]
    assert [table.cells(row) for row in table.rows] == [
        ["mae", "5", "1", "0.25", ""],
        ["mse", "25", "2", "0.2167 ± 0.16", "0.5"],  # (1/3 + .1) / 2; (1/3 - .1) / sqrt 2
    ]


def test_rows_are_sorted_and_cut_and_what_they_are_sorted_by_is_shown(runs):
    table = tabulate(runs, sort="seconds", top=1)
    assert table.heads()[-1] == "seconds"
    assert [table.cells(row)[-1] for row in table.rows] == ["3"]
    assert [table.cells(row)[1] for row in tabulate(runs, sort="test/mse").rows] == ["25", "5"]


def test_states_are_shown_where_not_all_is_done(tmp_path):
    write_run(tmp_path / "a", metrics={"test/mse": 0.5})
    write_run(tmp_path / "b", state="failed")
    table = tabulate(collect([tmp_path])[0])
    assert table.heads() == ["run", "state", "test/mse"]
    assert [table.cells(row) for row in table.rows] == [
        ["model=fc loss=mse bottleneck.size=4", "done", "0.5"],
        ["model=fc loss=mse bottleneck.size=4", "failed", ""],
    ]


def test_csv_is_in_full_precision_with_the_folders_behind_each_row(runs, tmp_path):
    write_csv(tabulate(runs), tmp_path / "table.csv")
    with (tmp_path / "table.csv").open(newline="") as file:
        first, second = csv.DictReader(file)
    assert float(second["test/mse"]) == (THIRD + 0.1) / 2
    assert float(second["test/mse std"]) == pytest.approx((THIRD - 0.1) / math.sqrt(2), rel=1e-15)
    assert (first["loss"], first["n"], first["test/mse"], first["test/mse std"]) == ("mae", "1", "0.25", "")
    assert second["folders"] == f"{tmp_path / 'a0'};{tmp_path / 'a1'}"


def test_markdown_has_a_line_a_row_and_its_bars_are_escaped():
    assert to_markdown(["a", "b"], [["1", "x|y"]]) == "| a | b |\n| --- | --- |\n| 1 | x\\|y |\n"


def test_a_file_that_cannot_be_written_is_one_sentence(runs, tmp_path):
    with pytest.raises(UserError, match=r"nowhere/table.csv' cannot be written \(No such file or directory\)"):
        write_csv(tabulate(runs), tmp_path / "nowhere" / "table.csv")
