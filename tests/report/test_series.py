"""Which runs make one line, and which runs are drawn: against runs made by hand."""

import pytest

from diabolo.report.series import best_by_size, chosen, family, folded, series, telling
from made_runs import made


def test_families_and_losses_go_by_choice_then_by_class():
    run = made("conv_transpose", "SmoothL1")
    assert (family(run), chosen(run, "loss")) == ("conv_transpose", "smooth_l1")
    run.config["decoder._target_"] = "mine.PixelDecoder"
    assert family(run) == "conv + pixel"
    run.config["callbacks.hparams.params.loss"] = "huber"
    assert chosen(run, "loss") == "huber"
    run.choices = {"loss": "mine"}
    assert chosen(run, "loss") == "mine"


def test_seeds_are_folded_and_other_differences_make_lines_of_their_own():
    runs = [made(size=size, seed=seed, mse=0.01 * size + 0.002 * seed) for size in (2, 4) for seed in (0, 1, 2)]
    (one,) = series(runs)
    assert one.label == "fc · mse"
    points = folded(one)
    assert [(p.size, p.x, p.count) for p in points] == [(2, 2, 3), (4, 4, 3)]
    assert [(p.low, p.high) for p in points] == [(0.02, 0.024), (0.04, 0.044)]
    assert [p.mean for p in points] == pytest.approx([0.022, 0.042])
    wide = [made(size=2, model__hidden=hidden, encoder__hidden=hidden) for hidden in ([64], [64, 32])]
    assert telling(wide) == ["model.hidden"], "encoder.hidden says the same"
    assert [one.label for one in series(wide)] == ["fc · mse · hidden=[64, 32]", "fc · mse · hidden=[64]"]
    matched = [made(size=size, model__hidden=[10 * size]) for size in (2, 4)]
    assert [one.label for one in series(matched)] == ["fc · mse"], "a width that goes with the size is no difference"
    limited = [made(size=2), made(size=2, data__limit=100)]
    assert sorted(one.data for one in series(limited)) == ["limit=100", "limit=None"]


def test_a_nested_run_has_a_point_for_each_of_its_sizes():
    runs = [made(size=8, seed=seed, mse=0.1) for seed in (0, 1)]
    for run, offset in zip(runs, (0.0, 0.02), strict=True):
        run.metrics |= {f"test/mse_at/{k}": 0.8 / k + offset for k in (2, 8)}
        run.metrics |= {"test/pca_mse": 0.2, "test/pca_mse_at/2": 0.5, "test/pca_mse_at/8": 0.2}
    (one,) = series(runs)
    assert [(p.size, p.x, p.count) for p in folded(one)] == [(2, 2, 2), (8, 8, 2)]
    assert [p.mean for p in folded(one)] == pytest.approx([0.41, 0.11])
    assert [(p.size, p.mean) for p in folded(one, y_key="test/pca_mse")] == [(2, 0.5), (8, 0.2)]
    assert [p.size for p in folded(one, "code_size")] == [8], "other axes have a value a run"


def test_runs_without_a_number_make_no_point():
    runs = [made(mse=None), made(mse=float("nan")), made(mse=0.0), made(mse=0.5)]
    assert [p.mean for p in folded(series(runs)[0])] == [0.5]


def test_of_each_size_the_best_are_drawn_first():
    runs = [
        made(size=2, seed=0, mse=0.5),
        made(size=2, seed=1, mse=0.4),
        made(size=2, loss="MAE", mse=0.6),
        made(size=8, mse=0.2),
        made(size=8, loss="MAE", mse=0.1),
        made(size=8, loss="MAE", mse=None),
    ]
    assert [run.metrics["test/mse"] for run in best_by_size(runs, 12)] == [0.1, 0.4, 0.2, 0.6]
    assert [run.metrics["test/mse"] for run in best_by_size(runs, 2)] == [0.1, 0.4]
