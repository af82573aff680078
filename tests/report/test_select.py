"""Conditions and order from the command line."""

import pytest

from diabolo.errors import UserError
from diabolo.report.collect import collect
from diabolo.report.select import ranked, where
from made_runs import write_run


@pytest.fixture
def runs(tmp_path):
    for name, size, loss, mse, ssim, more in (
        ("a", 5, "mse", 0.3, 0.1, {"optimizer.lr": 0.001}),
        ("b", 25, "mae", 0.1, 0.9, {"optimizer.lr": None}),
        ("c", 125, "mse", 0.2, 0.5, {"model.hidden": [32, 16]}),
    ):
        write_run(tmp_path / name, size, loss, metrics={"test/mse": mse, "test/ssim": ssim}, config=more)
    write_run(tmp_path / "d", 125, "ssim", state="failed", reason="out of memory")
    return collect([tmp_path])[0]


@pytest.mark.parametrize(
    ("conditions", "names"),
    [
        (["bottleneck.size>=25"], "bcd"),
        (["bottleneck.size > 25"], "cd"),
        (["bottleneck.size<=25"], "ab"),
        (["bottleneck.size<25.5", "loss=mse"], "a"),
        (["bottleneck.size=25"], "b"),
        (["bottleneck.size==25.0"], "b"),
        (["bottleneck.size!=25"], "acd"),
        (["loss=mse,mae"], "abc"),
        (["loss!=mse,mae"], "d"),
        (["model=fc"], "abcd"),
        (["data=mnist"], ""),
        (["test/mse<1.5e-1"], "b"),
        (["test/mse<1"], "abc"),  # a run without the metric lies in no order
        (["test/mse=null"], "d"),
        (["optimizer.lr=1e-3"], "a"),
        (["optimizer.lr=null"], "b"),
        (["model.hidden=[32,16]"], "c"),
        (["state=failed"], "d"),
        (["reason=out of memory"], "d"),
        ([], "abcd"),
    ],
)
def test_where_keeps_the_runs_of_which_all_conditions_hold(runs, conditions, names):
    assert "".join(run.name for run in where(runs, conditions)) == names


@pytest.mark.parametrize(
    ("condition", "words"),
    {
        "bottlneck.size=5": "names 'bottlneck.size', which no run has (did you mean 'bottleneck.size'?)",
        "weight_decay=5": "did you mean 'optimizer.weight_decay'?",
        "loss": "`--where` (= 'loss') must be KEY=VALUE",
        "loss=": "`--where` (= 'loss=') must be KEY=VALUE",
        "bottleneck.size>many": "must have a number behind >",
        "loss<3": "`loss` (= mse in a) is no number: compare it by = or !=",
    }.items(),
)
def test_a_condition_that_makes_no_sense_is_one_sentence(runs, condition, words):
    with pytest.raises(UserError) as refusal:
        where(runs, [condition])
    assert words in str(refusal.value)


@pytest.mark.parametrize(
    ("key", "names"),
    {
        "test/mse": "bcad",
        "test/ssim": "bcad",
        "bottleneck.size": "abcd",
        "loss": "bacd",
        "optimizer.lr": "acdb",
    }.items(),
)
def test_metrics_are_ranked_best_first_and_settings_from_below_with_what_lacks_the_key_last(runs, key, names):
    assert "".join(run.name for run in ranked(runs, key, runs)) == names


def test_an_unknown_key_to_sort_by_is_one_sentence(runs):
    with pytest.raises(UserError, match="`--sort` names 'test/mes', which no run has \\(did you mean 'test/mse'"):
        ranked(runs, "test/mes", runs)
