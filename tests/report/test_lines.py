"""Which runs make one line, and which runs are drawn: against runs made by hand."""

import pytest

from diabolo.report.lines import best_by_size, lines, points
from made_runs import made


def names(runs) -> list[str]:
    return [line.name for line in lines(runs)]


def test_seeds_are_folded_and_other_differences_make_lines_of_their_own():
    runs = [made(size=size, seed=seed, mse=0.01 * size + 0.002 * seed) for size in (2, 4) for seed in (0, 1, 2)]
    (one,) = lines(runs)
    assert one.name == "model=fc loss=mse", "nothing but sizes and seeds differs"
    found = points(one)
    assert [(p.size, p.x, p.count) for p in found] == [(2, 2, 3), (4, 4, 3)]
    assert [(p.low, p.high) for p in found] == [(0.02, 0.024), (0.04, 0.044)]
    assert [p.mean for p in found] == pytest.approx([0.022, 0.042])
    wide = [made(size=2, model__hidden=hidden, encoder__hidden=hidden) for hidden in ([64], [64, 32])]
    assert names(wide) == ["model.hidden=[64,32]", "model.hidden=[64]"], "encoder.hidden says the same"
    matched = [made(size=size, model__hidden=[10 * size]) for size in (2, 4)]
    assert names(matched) == ["model=fc loss=mse"], "a width that goes with the size is no difference"


def test_a_line_is_a_runs_name_without_the_code_size():
    runs = [
        made(family, loss, size) for family in ("fc", "conv_transpose") for loss in ("MSE", "MAE") for size in (2, 4)
    ]
    assert names(runs) == [
        "model=conv_transpose loss=mae", "model=conv_transpose loss=mse", "model=fc loss=mae", "model=fc loss=mse"
    ]  # fmt: skip
    assert [len(line.rows) for line in lines(runs)] == [2] * 4


def test_lines_stand_in_the_order_of_their_numbers():
    assert names([made(optimizer__lr=lr) for lr in (0.1, 2, 10, 1e-5)]) == [
        "optimizer.lr=1e-05", "optimizer.lr=0.1", "optimizer.lr=2", "optimizer.lr=10"
    ]  # fmt: skip


def test_a_line_says_what_of_its_data_differs():
    limited = [made(size=2), made(size=4, data__limit=100)]
    assert [(line.name, line.data) for line in lines(limited)] == [
        ("data.limit=100", "data.limit=100"),
        ("data.limit=null", "data.limit=null"),
    ], "never one line, though the sizes tell them apart"


def test_a_size_that_is_measured_alone_makes_points_too():
    """The shape of the code follows from the channels, where the config knows no size."""
    runs = [made(size=None, metrics={"code_size": 8 * channels}, model__channels=[channels]) for channels in (1, 2)]
    (line,) = lines(runs)
    assert [p.size for p in points(line)] == [8, 16]


def test_a_repeated_run_counts_once_as_in_the_table():
    runs = [made(mse=0.1), made(mse=0.3)]
    runs[0].started, runs[1].started = "2026-01-01", "2026-01-02"
    assert [(p.mean, p.count) for p in points(lines(runs)[0])] == [(0.3, 1)]


def test_a_nested_run_has_a_point_for_each_of_its_sizes():
    runs = [made(size=8, seed=seed, mse=0.1) for seed in (0, 1)]
    for run, offset in zip(runs, (0.0, 0.02), strict=True):
        run.metrics |= {f"test/mse_at/{k}": 0.8 / k + offset for k in (2, 8)}
        run.metrics |= {"test/pca_mse": 0.2, "test/pca_mse_at/2": 0.5, "test/pca_mse_at/8": 0.2}
    (one,) = lines(runs)
    assert [(p.size, p.x, p.count) for p in points(one)] == [(2, 2, 2), (8, 8, 2)]
    assert [p.mean for p in points(one)] == pytest.approx([0.41, 0.11])
    assert [(p.size, p.mean) for p in points(one, y_key="test/pca_mse")] == [(2, 0.5), (8, 0.2)]
    assert [p.size for p in points(one, "code_size")] == [8], "other axes have a value a run"


def test_runs_without_a_number_make_no_point():
    runs = [made(seed=seed, mse=mse) for seed, mse in enumerate((None, float("nan"), 0.0, 0.5))]
    assert [p.mean for p in points(lines(runs)[0])] == [0.5]


def test_of_each_size_the_best_are_drawn_first():
    runs = [
        made(size=2, seed=0, mse=0.5),
        made(size=2, seed=1, mse=0.4),
        made(size=2, loss="MAE", mse=0.6),
        made(size=8, mse=0.2),
        made(size=8, loss="MAE", mse=0.1),
        made(size=8, loss="MAE", seed=1, mse=None),
    ]
    assert [run.metrics["test/mse"] for run in best_by_size(runs, 12)] == [0.1, 0.4, 0.2, 0.6]
    assert [run.metrics["test/mse"] for run in best_by_size(runs, 2)] == [0.1, 0.4]
