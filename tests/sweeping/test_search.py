"""`diabolo search`: what Optuna's study says is what lies in the run folders, through failures, pruning and kills."""

import json
import os
import shlex
import shutil
import signal
import sqlite3
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import optuna
import pytest
import torch
from optuna.trial import TrialState

from diabolo.measures import metric_names
from diabolo.runs.folder import RunFolder
from diabolo.sweeping.study import Question
from diabolo.sweeping.trials import KILLS
from diabolo.training.autoencoder_module import AutoencoderModule
from support import TINY

pytestmark = pytest.mark.filterwarnings("ignore:Checkpoint directory .* is not empty")  # it is the run's own

BARE = (
    *(o for o in TINY if not o.startswith("bottleneck")),
    "callbacks=none",
    "logger=none",
    "data.block=1",
    "--study",
    "study",
)
SIZES = "bottleneck.size=choice(0,2,4,8)"
RATES = "optimizer.lr=tag(log,interval(1e-4,1e-1))"


@pytest.fixture
def study(tmp_path):
    """Reads the study that a search has left in the folder `study`."""
    storages = []

    def load(folder="study") -> optuna.Study:
        storages.append(optuna.storages.RDBStorage(f"sqlite:///{tmp_path / folder / 'study.db'}"))
        return optuna.load_study(study_name="search", storage=storages[-1])

    yield load
    for storage in storages:
        storage.engine.dispose()


def run_of(trial, folder="study") -> RunFolder:
    return RunFolder(Path(folder) / trial.user_attrs["run"])


def rows(run: RunFolder) -> list[dict]:
    return [json.loads(line) for line in run.history.read_text().splitlines()]


def test_a_search_finds_the_least_validation_error_and_outlives_failing_trials(diabolo, study):
    command = ("search", *BARE, SIZES, "optimizer.lr=0.1,0.01", "--trials")
    assert diabolo(*command, "4").code == 0
    first = study().trials
    ended = diabolo(*command, "10")
    assert ended.code == 0, ended.err
    trials = study().trials
    assert len(trials) == 10
    assert trials[:4] == first  # the second command went on
    sizes = {trial.params["bottleneck.size"] for trial in trials}
    assert {"0"} < sizes, "the seed draws the bad size and others"
    points = {}
    for trial in trials:
        run = run_of(trial)
        if trial.params["bottleneck.size"] == "0":
            assert trial.state == TrialState.FAIL
            assert not run.path.exists(), "what is refused before training leaves nothing"
            assert "`bottleneck.size` (= 0) must be a whole number of at least 1" in trial.user_attrs["reason"]
            continue
        assert trial.state == TrialState.COMPLETE
        assert trial.value == run.metrics()["val/mse"]
        assert run.config().bottleneck.size == int(trial.params["bottleneck.size"])
        assert run.config().optimizer.lr == float(trial.params["optimizer.lr"])
        point = tuple(sorted(trial.params.items()))
        assert points.setdefault(point, run.path) == run.path  # a point drawn twice is trained once
    assert len(list(Path("study").glob("*/metrics.json"))) == len(points) > 2
    metrics = {path.parent: json.loads(path.read_text()) for path in Path("study").glob("*/metrics.json")}
    best = min(metrics, key=lambda path: metrics[path]["val/mse"])
    *_, said, again = ended.out.splitlines()
    assert said == f"val/mse {metrics[best]['val/mse']:.5g}: {best}"
    words = shlex.split(again)
    assert words[:2] == ["diabolo", "train"]
    assert diabolo(*words[1:], "hydra.run.dir=again").code == 0
    assert RunFolder("again").metrics()["val/mse"] == metrics[best]["val/mse"]


def test_several_objectives_give_the_pareto_front(diabolo, study):
    objectives = ("--objective", "val/psnr", "--objective", "code_size")
    ended = diabolo("search", *BARE, "bottleneck.size=range(2,17,2)", RATES, *objectives, "--trials", "10")
    assert ended.code == 0, ended.err
    assert all(trial.state == TrialState.COMPLETE for trial in study().trials)  # none is pruned
    assert any("NSGAII" in key for trial in study().trials for key in trial.system_attrs)
    found = {}
    for path in Path("study").glob("*/metrics.json"):
        metrics = json.loads(path.read_text())
        found[str(path.parent)] = (metrics["val/psnr"], metrics["code_size"])
    front = {
        run
        for run, (psnr, size) in found.items()
        if not any(p >= psnr and s <= size and (p, s) != (psnr, size) for p, s in found.values())
    }
    said = {line.split(": ")[1] for line in ended.out.splitlines() if line.startswith("val/psnr ")}
    assert said == front
    assert 1 <= len(front) < len(found)
    sizes = [found[line.split(": ")[1]][1] for line in ended.out.splitlines() if line.startswith("val/psnr ")]
    assert sizes == sorted(sizes)


def test_a_trial_above_the_median_is_pruned_after_the_warm_up(diabolo, study):
    ended = diabolo("search", *BARE, "bottleneck.size=4", RATES, "trainer.max_epochs=5", "--trials", "10")
    assert ended.code == 0, ended.err
    trials = study().trials
    pruned = 0
    for trial in trials:
        run = run_of(trial)
        seen = trial.intermediate_values
        assert seen == {row["epoch"]: row["val/mse"] for row in rows(run)}
        complete = [t for t in trials[: trial.number] if t.state == TrialState.COMPLETE]
        given_up = None
        for epoch in range(3, 5) if len(complete) >= 5 else ():  # a trial whose last epoch is behind it is complete
            median = statistics.median(t.intermediate_values[epoch] for t in complete)
            if epoch in seen and min(value for e, value in seen.items() if e <= epoch) > median:
                given_up = epoch
                break
        assert (trial.state == TrialState.PRUNED) == (given_up is not None)
        if given_up is None:
            assert len(seen) == 5
            continue
        pruned += 1
        assert max(seen) == given_up
        state = run.state()
        assert state["state"] == "stopped"
        assert state["reason"] == f"pruned after epoch {given_up}: val/mse {seen[given_up]:.5g}"
        assert not run.metrics()
        assert torch.load(run.checkpoint("last"), weights_only=True)["global_step"] == 3 * given_up
    assert 1 <= pruned <= 5
    assert f"{10 - pruned} complete, {pruned} pruned, 0 fail" in ended.out


def test_hyperband_ends_trials_at_its_rungs(diabolo, study):
    options = ("trainer.max_epochs=9", "--trials", "8", "--pruner", "hyperband")
    assert diabolo("search", *BARE, "bottleneck.size=4", RATES, *options).code == 0
    trials = study().trials
    pruned = [trial for trial in trials if trial.state == TrialState.PRUNED]
    assert 1 <= len(pruned) < len(trials)
    assert {trial.state for trial in trials} == {TrialState.PRUNED, TrialState.COMPLETE}
    for trial in trials:
        rung = max(trial.intermediate_values)
        if trial.state == TrialState.COMPLETE:
            assert rung == 9
            continue
        assert rung == 3  # then 9, the last epoch, where nothing is left to be saved
        before = [t.intermediate_values[rung] for t in trials[: trial.number]]
        assert trial.intermediate_values[rung] > min(before)
        assert run_of(trial).state()["reason"].startswith("pruned after epoch 3: val/mse ")


def test_without_a_pruner_every_trial_is_complete(diabolo, study):
    options = ("trainer.max_epochs=4", "--trials", "7", "--pruner", "none")
    assert diabolo("search", *BARE, "bottleneck.size=4", RATES, *options).code == 0
    assert {trial.state for trial in study().trials} == {TrialState.COMPLETE}


def stopped_in_trial(monkeypatch, diabolo, command, number: int, step: int) -> int:
    """Sends this process SIGTERM in the given step of the given trial, and returns the exit code."""
    training_loss = AutoencoderModule.training_loss

    def interrupted(module, *batch):
        if module.global_step == step and f"/{number:04d}_" in module.trainer.default_root_dir:
            os.kill(os.getpid(), signal.SIGTERM)
        return training_loss(module, *batch)

    with monkeypatch.context() as patched:
        patched.setattr(AutoencoderModule, "training_loss", interrupted)
        return diabolo(*command).code


def test_a_search_that_was_stopped_goes_on_within_the_trial(diabolo, study, monkeypatch):
    command = ("search", *BARE, "bottleneck.size=2,4,8", RATES, "--trials", "3")
    assert diabolo(*command, "--study", "undisturbed").code == 0
    assert stopped_in_trial(monkeypatch, diabolo, command, 1, 4) == 143
    cut = study().trials[1]
    assert cut.state == TrialState.RUNNING
    assert len(cut.intermediate_values) == 1
    assert diabolo(*command).code == 0
    trials = study().trials
    assert [t.state for t in trials] == [TrialState.COMPLETE, TrialState.FAIL, TrialState.COMPLETE, TrialState.COMPLETE]
    assert trials[2].params == cut.params
    assert run_of(trials[2]).path == run_of(cut).path
    whole = study("undisturbed").trials[1]
    assert trials[2].value == whole.value
    assert trials[2].intermediate_values == whole.intermediate_values
    assert len(rows(run_of(cut))) == 2  # epochs, not three


def test_a_point_that_kills_the_search_again_and_again_has_failed(diabolo, study, monkeypatch):
    command = ("search", *BARE, "bottleneck.size=2,4,8", RATES, "--trials", "1")
    for number in range(KILLS):
        assert stopped_in_trial(monkeypatch, diabolo, command, 0, 3 + number) == 143
        run_of(study().trials[-1]).mark("running")  # as SIGKILL leaves it
    ended = diabolo(*command)
    assert ended.code == 1
    assert {trial.state for trial in study().trials} == {TrialState.FAIL}
    assert len(study().trials) == KILLS
    assert "killed 3 times" in ended.out
    assert "no trial is complete" in ended.out


def test_no_trial_is_begun_after_the_time_is_up(diabolo, study):
    assert diabolo("search", *BARE, SIZES, "--timeout", "0").code == 1
    assert study().trials == []


def test_another_question_is_another_study(diabolo):
    command = ("search", *BARE, "bottleneck.size=2,4", "--trials", "1")
    assert diabolo(*command).code == 0
    for other in ("seed=1", "optimizer.lr=0.1,0.2"):
        ended = diabolo(*command, other)
        assert ended.code == 2
        assert "'study' holds another search (" in ended.err
    a, b, c = (Question(list(o), ["val/mse"]).folder() for o in (("a=1,2", "b=1"), ("b=1", "a=1,2"), ("a=1,2",)))
    assert a == b != c
    assert a.parent == Path("searches")
    assert a.name.startswith("a-")


def sql(statement: str) -> Callable[[Path], object]:
    def harm(file: Path) -> None:
        with closing(sqlite3.connect(file)) as base, base:
            base.execute(statement)

    return harm


DAMAGES: dict[str, Callable[[Path], object]] = {
    "a word": lambda file: file.write_text("banana"),
    "zeroed": lambda file: file.write_bytes(bytes(file.stat().st_size)),
    "cut short": lambda file: file.write_bytes(file.read_bytes()[: file.stat().st_size // 2]),
    "a folder": lambda file: (file.unlink(), file.mkdir()),
    "JSON that is none": sql("UPDATE trial_params SET distribution_json = 'banana'"),
    "an unknown state": sql("UPDATE trials SET state = 'BANANA'"),
    "a list as question": sql("UPDATE study_user_attributes SET value_json = '[1]'"),
    "lists in the question": sql("UPDATE study_user_attributes SET value_json = '{\"overrides\": [[1]]}'"),
}


def test_a_damaged_study_is_named_in_a_sentence(diabolo):
    command = ("search", *BARE, "bottleneck.size=2,4", "--trials")
    assert diabolo(*command, "1").code == 0
    shutil.copy("study/study.db", "whole.db")
    for name, harm in DAMAGES.items():
        harm(Path("study/study.db"))
        ended = diabolo(*command, "2")
        assert ended.code == 2, (name, ended)
        assert "Traceback" not in ended.err
        assert "'study/study.db' cannot be used (" in ended.err or "'study' holds another search" in ended.err, name
        if Path("study/study.db").is_dir():
            Path("study/study.db").rmdir()
        shutil.copy("whole.db", "study/study.db")
    assert diabolo(*command, "2").code == 0, "with a whole copy it goes on"


def test_an_objective_of_ones_own_has_the_direction_that_its_yaml_says(diabolo, study, monkeypatch):
    monkeypatch.setattr(metric_names, "_described", {})
    command = ("search", *BARE, "data.image_shape=[1,16,16]", "bottleneck.size=2,4", "metrics=[haarpsi,gmsd]")
    more = ("--trials", "1", "--objective", "val/haarpsi", "--objective", "val/gmsd")
    assert diabolo(*command, *more).code == 0
    assert [direction.name for direction in study().directions] == ["MAXIMIZE", "MINIMIZE"]


REFUSED = {
    ("loss=mse,mae", "--objective", "test/mse"): "`--objective` (= 'test/mse'): the test images choose nothing",
    ("loss=mse,mae", "--objective", "val/wit"): "`--objective` (= 'val/wit') is not measured in this run; there are",
    ("loss=mse,mae", "--objective", "fun", "--objective", "val/mse"): "`--objective` (= 'fun') is not measured",
    ("loss=mse,mae", "--trials", "0"): "`--trials` (= 0) must be a whole number of at least 1",
    ("loss=mse,mae", "--pruner", "x"): "`--pruner` (= 'x') must be one of median, hyperband, none",
    ("loss=mse,mea",): "loss=mea does not exist (did you mean 'mse'?)",
    ("bottlneck.size=2,4",): "there is no config key 'bottlneck.size' (did you mean 'bottleneck.size'?)",
    ("loss=mse,mae", "seed"): "'seed' is not an override: write KEY=VALUE",
    ("loss=mse,mae", "trainer=ddp"): "take a trainer without strategy=ddp",
    ("seed=1",): "nothing is searched",
}  # fmt: skip


@pytest.mark.parametrize(("words", "sentence"), REFUSED.items())
def test_a_mistake_is_one_sentence(diabolo, words, sentence):
    ended = diabolo("search", *BARE, *words)
    assert ended.code == 2, ended
    (line,) = ended.err.splitlines()
    assert line.startswith("diabolo: ")
    assert sentence in line


def test_without_optuna_it_says_what_to_install(diabolo, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    ended = diabolo("search", "loss=mse,mae")
    assert ended.code == 2
    assert ended.err == "diabolo: diabolo search needs Optuna: uv sync --extra search.\n"


@pytest.mark.slow
def test_a_search_that_is_killed_loses_no_trial(process, diabolo, study):
    command = ("search", *BARE, "bottleneck.size=2,4,8", RATES, "trainer.max_epochs=60", "--trials", "3")
    first = process(*command)
    deadline = time.monotonic() + 120
    while len(list(Path("study").glob("0001_*/checkpoints/last.ckpt"))) == 0:
        assert first.poll() is None, first.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    first.kill()
    first.wait()
    cut = study().trials[1]
    assert (cut.state, run_of(cut).state()["state"]) == (TrialState.RUNNING, "running")
    assert diabolo(*command, "--pruner", "none").code == 0
    assert [t.state.name for t in study().trials] == ["COMPLETE", "FAIL", "COMPLETE", "COMPLETE"]
    again = study().trials[2]
    assert (again.params, again.user_attrs["kills"]) == (cut.params, 1)
    assert [row["epoch"] for row in rows(run_of(again))] == list(range(1, 61))
    assert len(list(Path("study").glob("*/metrics.json"))) == 3
