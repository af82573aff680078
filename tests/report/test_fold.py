"""Seeds folded together, the settings that tell runs apart, and the names made of them."""

import json
import shlex

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import QuotedString

from diabolo.report.collect import collect
from diabolo.report.fold import fold
from diabolo.report.names import Names, differing, word
from made_runs import made, write_run


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


def test_a_choice_that_only_some_runs_made_decides_nothing_for_the_others(tmp_path):
    """The first has no encoder of a known name: what it has in its place tells it from the others."""
    found = columns(
        tmp_path,
        {"choices": {"encoder": ""}, "config": {"encoder._target_": "mine.Encoder"}},
        {"choices": {"encoder": "fc"}},
        {"choices": {"encoder": "lenet"}, "config": {"encoder._target_": "diabolo.network.LeNetEncoder"}},
    )
    assert found == ["encoder", "encoder._target_"]


def names_of(tmp_path, *runs: dict) -> list[str]:
    """The name of each run, in their order."""
    for i, run in enumerate(runs):
        write_run(tmp_path / f"{i}", **run)
    read = collect([tmp_path])[0]
    names = Names(read)
    return [names.run(run) for run in read]


def test_a_name_is_what_tells_a_run_from_the_others(tmp_path):
    conv = {"model": "conv_transpose", "encoder": "conv", "decoder": "conv_transpose"}
    runs = [{"choices": {"model": "fc"}}, {"loss": "mae"}, {"size": 8}, {"seed": 1}, {"choices": conv}]
    assert names_of(tmp_path, *runs) == [
        "model=fc loss=mse bottleneck.size=4 seed=0",
        "model=fc loss=mae bottleneck.size=4 seed=0",
        "model=fc loss=mse bottleneck.size=8 seed=0",
        "model=fc loss=mse bottleneck.size=4 seed=1",
        "model=conv_transpose loss=mse bottleneck.size=4 seed=0",
    ]


def test_what_goes_along_with_the_rest_is_a_column_and_in_no_name(tmp_path):
    """The width goes with the size, and the third run is told apart by its learning rate already."""
    runs = [
        {"size": 2, "config": {"model.hidden": [20], "trainer.max_epochs": 5}},
        {"size": 4, "config": {"model.hidden": [40], "trainer.max_epochs": 5}},
        {"size": 4, "config": {"model.hidden": [40], "trainer.max_epochs": 9, "optimizer.lr": None}},
    ]
    assert names_of(tmp_path, *runs) == [
        "bottleneck.size=2 optimizer.lr=0.005",
        "bottleneck.size=4 optimizer.lr=0.005",
        "bottleneck.size=4 optimizer.lr=null",
    ]
    assert Names(collect([tmp_path])[0]).columns == [
        "model.hidden",
        "bottleneck.size",
        "optimizer.lr",
        "trainer.max_epochs",
    ]


def test_where_nothing_differs_a_name_says_family_loss_and_size(tmp_path):
    assert names_of(tmp_path, {"loss": "mae"}, {"loss": "mae"}) == ["model=fc loss=mae bottleneck.size=4"] * 2
    bare = made(size=None)
    bare.config.clear()
    bare.metrics.clear()
    assert Names([bare]).run(bare) == bare.name, "its folder, where even these are not known"


def test_runs_of_the_same_settings_share_a_name_whatever_became_of_them(tmp_path):
    runs = [{"state": "failed"}, {"metrics": {"test/mse": 1}}, {"started": "2026-12-01", "metrics": {}}]
    assert len(set(names_of(tmp_path, *runs))) == 1


def test_runs_that_recorded_no_choices_are_named_like_those_that_did(tmp_path):
    config = {"decoder._target_": "diabolo.network.FCDecoder"}
    for loss in ("mse", "mae"):
        write_run(tmp_path / f"cli_{loss}", loss=loss, config=config, choices={"data": "mnist"})
        python = write_run(tmp_path / f"python_{loss}", loss=loss, seed=1, config=config)
        state = json.loads((python / "state.json").read_text())
        (python / "state.json").write_text(json.dumps({key: state[key] for key in state if key != "choices"}))
    runs = collect([tmp_path])[0]
    names = Names(runs)
    assert {run.name: names.setting(run) for run in runs} == {
        "cli_mae": "loss=mae", "python_mae": "loss=mae", "cli_mse": "loss=mse", "python_mse": "loss=mse"
    }  # fmt: skip
    assert [row.n for row in fold(runs)] == [2, 2]


@pytest.mark.parametrize(
    ("value", "typed"),
    [
        ("fc", "key=fc"),
        (25, "key=25"),
        (0.005, "key=0.005"),
        (1e-5, "key=1e-05"),
        (True, "key=true"),
        (None, "key=null"),
        ([32, 16], "key=[32,16]"),
        (["relu", "tanh"], "key=[relu,tanh]"),
        ("/my data", "'key=\"/my data\"'"),
        ("[relu]", "'key=\"[relu]\"'"),
        ("/a/seed=0", "'key=\"/a/seed=0\"'"),
        ('say "a"', None),
        ("ends in \\", None),
        ("", None),
        ([["a b"], "it's"], None),
    ],
)
def test_a_word_typed_in_a_shell_gives_the_value_again(value, typed):
    """Read by Hydra's own parser."""
    said = word("key", value)
    assert typed in (None, said)
    (argument,) = shlex.split(said)
    (override,) = OverridesParser.create().parse_overrides([argument])
    assert (override.key_or_group, plain_of(override.value())) == ("key", value)


def plain_of(value):
    """A parsed value without Hydra's record of its quotes."""
    if isinstance(value, list):
        return [plain_of(one) for one in value]
    return value.text if isinstance(value, QuotedString) else value
