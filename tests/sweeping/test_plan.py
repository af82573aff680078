"""Sweeps that are issued again: what is skipped, continued, run, kept apart, and what is said of it."""

import subprocess
import sys
import threading
import time
from functools import cache
from pathlib import Path

import pytest
import yaml
from omegaconf import OmegaConf

from diabolo.runs.config import compose_config, quoted, run_name, sweep_name
from diabolo.runs.find_folder import place, wait_for
from diabolo.runs.folder import RunFolder
from diabolo.runs.identity import same
from diabolo.sweeping.plan import Job, label, plan, print_outcome
from support import TINY, stamps

BARE = (*(o for o in TINY if not o.startswith("bottleneck")), "callbacks=none", "logger=none")
SWEEP = ("train", "-m", *BARE, "hydra/launcher=basic", "hydra.sweep.dir=sweep")
OF_THE_CLOCK = {"seconds", "finished", "train/images_per_second"}


@pytest.mark.parametrize(
    ("overrides", "name"),
    {
        ("model=fc", "bottleneck.size=5,25", "loss=mse,mae", "seed=0,1"): "bottleneck.size_loss_model=fc_seed",
        ("seed=range(3)", "rerun=true", "data.root=/data", "trainer.threads=1"): "seed",
        ("+model.hidden=[1],[2]", "model.channels=[1,2]"): "+model.hidden_model.channels=1-2",
        ("experiment=mse_or_mae",): "experiment=mse_or_mae",
        (): "default",
    }.items(),
)
def test_a_sweep_is_named_by_what_is_fixed_and_what_is_swept(overrides, name):
    assert sweep_name(overrides) == name


def test_rerun_is_no_part_of_a_run():
    assert run_name(["seed=1", "rerun=true"]) == "seed=1"
    assert "rerun" not in compose_config(["rerun=true"])


@pytest.mark.parametrize("value", ["a=b,c", "it's", "back\\slash", "end\\", "\\'", "two words", "a~2"])
def test_quoted_values_come_through_the_grammar(value):
    assert compose_config([f"trainer.monitor={quoted(value)}"]).trainer.monitor == value


@cache
def config(*overrides):
    return compose_config(["data=mnist", *overrides])


@pytest.mark.parametrize(
    ("overrides", "is_same"),
    {
        "data.root=/elsewhere": True,
        "trainer.threads=4 trainer.accelerator=cpu trainer.devices=[1] data.num_workers=3": True,
        "data.source.download=false": True,
        "seed=1": False,
        "data.limit=10": False,
        "model.hidden=[3]": False,
        "+data.source.extra=1": False,
        "trainer.precision=bf16-mixed": False,
    }.items(),
)
def test_two_configs_are_the_same_run_wherever_it_is_computed(overrides, is_same):
    assert same(config(), config(*overrides.split())) is is_same


def test_where_it_matters_the_place_is_a_part_of_the_run():
    folder = ("data=folder", "data.root=cats")
    assert not same(compose_config(folder), compose_config((*folder, "data.root=dogs")))
    ddp = ("trainer=ddp", "trainer.devices=2")
    assert not same(compose_config(ddp), compose_config((*ddp, "trainer.devices=4")))


def begun(path: Path, config, state: str = "running") -> RunFolder:
    run = RunFolder(path)
    run.begin(config, [])
    run.mark(state)
    return run


def test_another_config_gets_another_folder(tmp_path):
    base = tmp_path / "run"
    assert place(base, config()).path == base
    begun(base, config())
    begun(tmp_path / "run~2", config("seed=1"))
    assert place(base, config("trainer.threads=2")).path == base
    assert place(base, config("seed=1")).path == tmp_path / "run~2"
    assert place(base, config("seed=2")).path == tmp_path / "run~3"
    assert place(base, config(), {base}).path == tmp_path / "run~3"
    (base / "config.yaml").write_text("seed: [half writ")
    assert place(base, config()).path == tmp_path / "run~3"
    (tmp_path / "run~2" / "state.json").write_text('{"state": "do')
    assert place(base, config("seed=1")).path == tmp_path / "run~3"
    (base / "config.yaml").unlink()  # killed before it was written
    assert place(base, config()).path == base


def test_a_plan_skips_continues_and_runs(tmp_path):
    begun(tmp_path / "0", config("seed=0"), "done")
    (begun(tmp_path / "1", config("seed=1")).checkpoints / "last.ckpt").touch()
    begun(tmp_path / "2", config("seed=2"), "failed")
    begun(tmp_path / "3", config("seed=4"), "done")
    jobs = [["loss=mse", f"seed={seed}"] for seed in (0, 1, 2, 3, 0, 5)]

    def compose(overrides):
        return (
            tmp_path / overrides[1][-1],
            OmegaConf.merge(config(*overrides), {"rerun": overrides[1] == "seed=5"}),
            None,
        )

    begun(tmp_path / "5", config("seed=5"), "done")
    prepared: list[str] = []
    planned = plan(jobs, ["loss=mse"], compose, prepare=lambda: prepared.append("now"))
    assert prepared == ["now"]
    assert [(job.label, job.todo, job.run.path.name) for job in planned] == [
        ("seed=0", "skip", "0"),
        ("seed=1", "continue", "1"),
        ("seed=2", "run", "2"),
        ("seed=3", "run", "3~2"),
        ("seed=5", "run", "5"),
    ]
    assert planned[3].note == "in 3~2: 3 holds a run with another config"
    assert planned[3].overrides_with_folder()[2:] == [f"hydra.sweep.dir='{tmp_path}'", "hydra.sweep.subdir='3~2'"]


def test_nothing_is_prepared_where_nothing_is_left_to_do(tmp_path):
    begun(tmp_path / "0", config("seed=0"), "done")
    prepared: list[str] = []
    compose = lambda overrides: (tmp_path / "0", config(*overrides), None)  # noqa: E731
    assert [job.todo for job in plan([["seed=0"]], [], compose, lambda: prepared.append("now"))] == ["skip"]
    assert prepared == []


def test_jobs_that_differ_only_in_where_they_run_do_not_share_a_folder(tmp_path):
    jobs = [["data.root=a"], ["data.root=b"]]
    planned = plan(jobs, [], lambda overrides: (tmp_path / "run", config(*overrides), None))
    assert [job.run.path.name for job in planned] == ["run", "run~2"]


def test_a_label_is_what_is_particular():
    overrides = ["model=fc", "seed=1", "loss=mae", "hydra.sweep.subdir=x"]
    assert label(overrides, ["model=fc", "seed=1,2"]) == "seed=1 loss=mae"
    assert label(["model=fc"], ["model=fc"]) == "the only job"


def test_a_figure_of_zero_is_shown_and_none_is_not(tmp_path, capsys):
    jobs = []
    for name, metrics in (("a", '{"test/accuracy": 0}'), ("b", "{}")):
        run = begun(tmp_path / name, config(), "done")
        (run.path / "metrics.json").write_text(metrics)
        jobs.append(Job([], name, run, config(), config(), "skip", outcome="skipped"))
    print_outcome(jobs, tmp_path)
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[:3] == [["run", "test", "accuracy"], ["a", "skipped", "0.00000"], ["b", "skipped"]]


def rows(ended) -> dict[str, str]:
    """The table at the end of a sweep: what became of each run."""
    lines = [line.split() for line in ended.out.splitlines()]
    return {line[0]: line[1] for line in lines if line and line[0].startswith(("bottleneck.size=", "seed="))}


def test_issued_again_a_sweep_runs_what_is_missing(diabolo, tmp_path):
    folder = tmp_path / "sweep"
    ended = diabolo(*SWEEP, "bottleneck.size=2,0")
    assert ended.code == 1
    assert rows(ended) == {"bottleneck.size=2": "done", "bottleneck.size=0": "failed"}
    assert "`bottleneck.size` (= 0) must be a whole number of at least 1." in ended.out
    assert "Error executing job" not in ended.err
    assert "Traceback" not in ended.out + ended.err
    first = stamps(folder)
    assert len(first) == 1

    ended = diabolo(*SWEEP, "bottleneck.size=2,3")
    assert ended.code == 0, ended
    assert rows(ended) == {"bottleneck.size=2": "skipped", "bottleneck.size=3": "done"}
    second = stamps(folder)
    assert first.items() < second.items()
    assert len(second) == 2

    assert "0 done, 2 skipped, 0 failed" in diabolo(*SWEEP, "bottleneck.size=2,3", "trainer.threads=1").out
    assert "1 done, 0 skipped, 0 failed" in diabolo(*SWEEP, "bottleneck.size=2", "rerun=true").out
    third = stamps(folder)
    assert third.keys() == second.keys()
    assert [name.split("_")[0] for name in second if second[name] != third[name]] == ["bottleneck.size=2"]


def test_a_changed_default_is_a_new_run_and_the_old_one_stays(diabolo, tmp_path):
    mine = tmp_path / "conf" / "loss" / "mine.yaml"
    mine.parent.mkdir(parents=True)
    line = ("train", "--config-dir", "conf", *SWEEP[1:], "loss=mine", "seed=0,1")
    mine.write_text("_target_: diabolo.training.losses.Huber\ndelta: 0.1\n")
    assert diabolo(*line).code == 0
    before = stamps(tmp_path / "sweep")
    mine.write_text("_target_: diabolo.training.losses.Huber\ndelta: 0.2\n")
    for outcome in ("done", "skipped"):
        ended = diabolo(*line)
        assert rows(ended) == {"seed=0": outcome, "seed=1": outcome}
        assert "~2: " in ended.out
        assert "holds a run with another config" in ended.out
    after = stamps(tmp_path / "sweep")
    assert before.items() < after.items()
    assert after.keys() - before.keys() == {f"{name}~2" for name in before}
    configs = {path.parent.name: yaml.safe_load(path.read_text()) for path in tmp_path.glob("sweep/*/config.yaml")}
    for name, config in configs.items():
        assert config["loss"]["delta"] == (0.2 if name.endswith("~2") else 0.1)


def test_a_typo_stops_a_sweep_before_anything_is_trained(diabolo, tmp_path):
    for typo in ("bottlneck.size=2,3", "loss=mse,mea"):
        ended = diabolo(*SWEEP, typo)
        assert ended.code == 2, ended
        assert "did you mean" in ended.err
        assert len(ended.err.splitlines()) == 1
        assert not list(tmp_path.glob("sweep/*/state.json"))


def test_a_single_run_starts_afresh_when_told_to(diabolo, tmp_path):
    line = ("train", *BARE, "hydra.run.dir=run")
    assert diabolo(*line).code == 0
    (tmp_path / "run" / "notes.txt").touch()
    before = stamps(tmp_path)
    assert "is done" in diabolo(*line).err
    assert stamps(tmp_path) == before
    assert "holds a run with another config" in diabolo(*line, "seed=1").err
    assert diabolo(*line, "rerun=true").code == 0
    assert stamps(tmp_path) != before
    assert (tmp_path / "run" / "notes.txt").exists()
    assert "rerun" not in RunFolder("run").config()


def test_a_finished_sweep_is_skipped_without_torch(tmp_path):
    name = run_name([*BARE, "seed=0"])
    run = begun(tmp_path / "sweep" / name, compose_config([*BARE, "seed=0"]), "done")
    run.write_metrics({"test/mse": 0.125})
    script = (
        "import sys; from diabolo.cli import main\n"
        f"sys.argv = ['diabolo', 'train', '-m', *{list(BARE)}, 'seed=0,0', 'hydra.sweep.dir=sweep']; main()\n"
        "print('HEAVY', sorted({'torch', 'lightning', 'multiprocessing'} & set(sys.modules)))"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert "0.12500" in ended.stdout
    assert "0 done, 1 skipped, 0 failed" in ended.stdout
    assert ended.stdout.splitlines()[-1] == "HEAVY []"


def test_a_job_waits_for_a_worker_that_is_still_writing(tmp_path):
    run = RunFolder(tmp_path / "run")
    let_go = threading.Event()
    held = threading.Event()

    def hold():
        with run.held():
            held.set()
            let_go.wait(5)

    other = threading.Thread(target=hold)
    other.start()
    held.wait(5)
    threading.Timer(0.5, let_go.set).start()
    began = time.monotonic()
    wait_for(run)
    assert 0.4 < time.monotonic() - began < 4
    other.join()


def test_a_job_that_another_process_began_first_waits_for_it_and_takes_over(diabolo, monkeypatch, tiny, tmp_path):
    run, waits = RunFolder(tmp_path / "sweep" / "one"), []
    held, let_go = threading.Event(), threading.Event()

    def hold():
        with run.held():
            held.set()
            let_go.wait(60)

    def too_early(run):
        waits.append(run.path)
        if len(waits) > 1:
            threading.Timer(0.5, let_go.set).start()
            wait_for(run)

    monkeypatch.setattr("diabolo.runs.train.wait_for", too_early)
    other = threading.Thread(target=hold)
    other.start()
    held.wait(5)
    line = ("train", "-m", *tiny, "callbacks=none", "logger=none", "hydra/launcher=basic", "hydra.sweep.dir=sweep")
    ended = diabolo(*line, "hydra.sweep.subdir=one", "seed=0")
    other.join()
    assert ended.code == 0, (ended.out, ended.err)
    assert "1 done, 0 skipped, 0 failed" in ended.out
    assert len(waits) == 2
