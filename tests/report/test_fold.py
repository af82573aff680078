"""Seeds folded together, and the settings that tell runs apart."""

import pytest

from diabolo.report.collect import collect
from diabolo.report.fold import differing, fold, label
from made_runs import write_run


def test_seeds_are_folded_into_mean_and_sample_deviation(tmp_path):
    for seed, mse in enumerate((0.1, 0.2, 0.6)):
        write_run(tmp_path / f"a{seed}", 5, seed=seed, metrics={"test/mse": mse, "test/psnr": float("nan")})
    write_run(tmp_path / "b", 25, metrics={"test/mse": 0.5})
    first, second = fold(collect([tmp_path])[0])
    assert (first.n, second.n) == (3, 1)
    assert first.mean("test/mse") == pytest.approx(0.3)
    assert first.deviation("test/mse") == pytest.approx(((0.04 + 0.01 + 0.09) / 2) ** 0.5)
    assert first.mean("test/psnr") is None
    assert (second.mean("test/mse"), second.deviation("test/mse")) == (0.5, None)


def test_runs_in_another_state_are_rows_of_their_own_and_repeats_do_not_count(tmp_path):
    write_run(tmp_path / "old", metrics={"test/mse": 0.9}, started="2026-01-01")
    write_run(tmp_path / "new", metrics={"test/mse": 0.1}, started="2026-02-01")
    write_run(tmp_path / "bad", state="failed", seed=1)
    rows = {row.first.state: row for row in fold(collect([tmp_path])[0])}
    assert set(rows) == {"done", "failed"}
    assert rows["done"].values("test/mse") == [0.1]
    assert [run.name for run in rows["done"].repeated] == ["old"]


def columns(tmp_path, *runs: dict) -> list[str]:
    for i, run in enumerate(runs):
        write_run(tmp_path / str(i), seed=i, **run)
    return differing(collect([tmp_path])[0])


def test_the_seed_the_place_and_what_only_watches_tell_no_runs_apart(tmp_path):
    """The helper gives each run a data.root and callbacks.hparams.params.seed of its own."""
    drawing = {"callbacks.reconstructions": {"_target_": "diabolo.callbacks.reconstructions.Reconstructions"}}
    assert columns(tmp_path, {}, {"config": drawing}, {"config": {"callbacks.pca": None, "trainer.threads": 3}}) == []


def test_runs_that_start_from_runs_of_their_seed_are_folded(tmp_path):
    started = [{"config": {"encoder.init_from": f"/runs/{name}"}} for name in ("a/seed=0", "a/seed=12", "b/seed=2")]
    assert columns(tmp_path, *started) == ["encoder.init_from"]
    assert [row.n for row in fold(collect([tmp_path])[0])] == [2, 1]


def test_callbacks_of_ones_own_do_tell_runs_apart(tmp_path):
    own = [{"config": {"callbacks.mine": {"_target_": "mine.Annealing", "rate": rate}}} for rate in (1, 2)]
    assert columns(tmp_path, *own) == ["callbacks.mine.rate"]


def test_only_settings_that_differ_are_columns(tmp_path):
    assert columns(
        tmp_path, {"size": 2}, {"size": 3, "config": {"optimizer.lr": 1.0}}, {"config": {"optimizer.lr": 1}}
    ) == [
        "bottleneck.size",
        "optimizer.lr",
    ]


def test_a_column_that_says_nothing_new_is_left_out(tmp_path):
    lenet = {"model": "lenet", "encoder": "lenet", "decoder": "lenet"}
    wide = {"model.hidden": [32], "encoder.hidden": [32]}
    found = columns(
        tmp_path,
        {},
        {"config": wide},
        {"choices": lenet, "config": {"encoder._target_": "LeNet", "model.kernel": 5, "encoder.kernel": 5}},
    )
    assert found == ["model", "model.hidden"]  # the rest is that of the chosen model, or the same again


def test_a_part_that_is_not_the_models_own_is_a_column(tmp_path):
    lenet = {"model": "lenet", "encoder": "lenet", "decoder": "lenet"}
    found = columns(tmp_path, {}, {"choices": lenet}, {"choices": lenet | {"encoder": "fc"}})
    assert found == ["model", "encoder"]


def test_a_label_is_in_the_words_of_the_command_line(tmp_path):
    write_run(tmp_path / "a", 25, "mae", config={"model.hidden": [32, 16]})
    (run,) = collect([tmp_path])[0]
    assert label(run, ["loss", "bottleneck.size", "model.hidden", "unknown"]) == (
        "loss=mae bottleneck.size=25 model.hidden=[32,16]"
    )
    assert label(run, []) == "a"
