"""A run that is stopped and continued is, bit for bit, the run that was never stopped."""

import os
import signal
import time

import pytest
import torch

from diabolo.errors import UserError
from diabolo.runs.config import compose_config
from diabolo.runs.folder import RunFolder
from diabolo.runs.train import resume
from diabolo.training.recording import Clock
from processes import children, gone
from stopping import BARE, assert_same, rows, stop

pytestmark = pytest.mark.filterwarnings("ignore:Checkpoint directory .* is not empty")  # it is the run's own

SETTINGS = {
    "one_cycle": (),
    "plateau": ("scheduler=plateau", "scheduler.patience=0", "scheduler.factor=0.5", "optimizer.lr=3"),
    "ema": ("trainer.ema=0.9",),
    "early_stopping": ("trainer.early_stopping=2", "optimizer=sgd", "optimizer.lr=1e-30", "trainer.max_epochs=9"),
}


@pytest.fixture(scope="module")
def unbroken(trained) -> dict[str, RunFolder]:
    return {name: trained(*BARE, *overrides) for name, overrides in SETTINGS.items()}


@pytest.mark.parametrize(
    ("setting", "step"),  # step 0 is the first, 4 lies within the second epoch, 5 is its last
    [("one_cycle", 0), ("one_cycle", 4), ("one_cycle", 5), ("plateau", 8), ("plateau", 10), ("ema", 4), ("ema", 5),
     ("early_stopping", 4), ("early_stopping", 5)],
)  # fmt: skip
def test_stopped_and_continued_equals_unbroken(unbroken, monkeypatch, tmp_path, setting, step):
    run = RunFolder(tmp_path / "a=run")
    assert stop(monkeypatch, run, (*BARE, *SETTINGS[setting]), step) == 143
    assert run.state()["state"] == "stopped"
    assert torch.load(run.checkpoint("last"), weights_only=True)["global_step"] == step + 1
    assert len(rows(run) if run.history.exists() else []) == (step + 1) // 3
    resume(run.path)
    assert run.state()["state"] == "done"
    assert_same(run, unbroken[setting])


@pytest.mark.parametrize("setting", SETTINGS)
def test_blocks_change_nothing_but_where_a_run_stops(unbroken, monkeypatch, tmp_path, setting):
    in_blocks = (*BARE, *SETTINGS[setting], "data.block=2")  # of an epoch's 3 steps two make a block, then one
    run = RunFolder(tmp_path / "run")
    assert stop(monkeypatch, run, in_blocks, 3) == 143
    assert torch.load(run.checkpoint("last"), weights_only=True)["global_step"] == 5
    resume(run.path)
    assert_same(run, unbroken[setting])


@pytest.mark.parametrize(
    ("before", "step", "after"),
    [(1, 3, 2), (1, 3, 64), (1, 4, 64), (2, 3, 1), (2, 3, 64), (64, 3, 1), (1, 5, 2), (2, 5, 1)],
)
def test_a_run_goes_on_in_other_blocks_than_it_was_stopped_in(unbroken, monkeypatch, tmp_path, before, step, after):
    run = RunFolder(tmp_path / "run")
    assert stop(monkeypatch, run, (*BARE, f"data.block={before}"), step) == 143
    resume(run.path, [f"data.block={after}"])
    assert_same(run, unbroken["one_cycle"])


def test_a_run_may_be_stopped_and_continued_again_and_again(unbroken, monkeypatch, tmp_path):
    run = RunFolder(tmp_path / "run")
    for step in (1, 2, 7, 10):
        assert stop(monkeypatch, run, BARE, step, signal.SIGINT) == 130
    resume(run.path)
    assert_same(run, unbroken["one_cycle"])


def test_who_listens_for_sigusr2_is_called_once_the_checkpoint_is_written(unbroken, monkeypatch, tmp_path):
    run, seen = RunFolder(tmp_path / "run"), []

    def queue_again(signum, frame):  # as submitit does before the time of a Slurm job is up
        seen.append(
            (signum, run.state()["reason"], torch.load(run.checkpoint("last"), weights_only=True)["global_step"])
        )
        raise SystemExit(77)

    before = signal.signal(signal.SIGUSR2, queue_again)
    try:
        assert stop(monkeypatch, run, BARE, 4, signal.SIGUSR2) == 77
        assert signal.getsignal(signal.SIGUSR2) is queue_again
    finally:
        signal.signal(signal.SIGUSR2, before)
    assert seen == [(signal.SIGUSR2, "stopped by SIGUSR2", 5)]
    assert stop(monkeypatch, run, BARE, 7, signal.SIGUSR2) == 140
    resume(run.path)
    assert_same(run, unbroken["one_cycle"])


def test_the_plateau_setting_does_lower_its_rate(unbroken):
    rates = [row["train/learning_rate"] for row in rows(unbroken["plateau"])]
    assert rates[0] == 3
    assert rates[2] == 1.5


def test_a_longer_run_without_a_schedule_equals_one_that_was_long_from_the_start(diabolo, trained):
    constant = [o for o in BARE if "max_epochs" not in o] + ["scheduler=none"]
    run = trained(*constant, "trainer.max_epochs=2")
    ended = diabolo("train", str(run.path), "trainer.max_epochs=4")
    assert ended.code == 0, ended.err
    assert_same(run, trained(*constant, "trainer.max_epochs=4"))


def test_a_schedule_that_knows_its_end_cannot_be_made_longer(diabolo, trained):
    run = trained(*BARE)
    run.mark("stopped")
    before = run.record()
    ended = diabolo("train", str(run.path), "trainer.max_epochs=6")
    assert (ended.code, len(ended.err.splitlines())) == (2, 1)
    assert "were scheduled for 12 steps, not for 18: start a new run for another number of epochs" in ended.err
    assert run.record() == before, "a refusal leaves the run what it was"


@pytest.mark.parametrize(("override", "words"), {
    "trainer.max_epochs=6": "its learning rates were scheduled to end there",
    "optimizer.lr=.1": "`optimizer.lr` is settled in a run that goes on",
    "bottleneck.size=5": "`bottleneck.size` is settled in a run that goes on",
    "data.batch_size=16": "`data.batch_size` is settled in a run that goes on",
    "model=lenet": "`model` is settled in a run that goes on",
    "trainer.max_epochs=2": "`trainer.max_epochs` (= 2) must be above the 4 epochs",
}.items())  # fmt: skip
def test_what_is_settled_is_refused_and_the_run_is_left_alone(diabolo, trained, override, words):
    run = trained(*BARE)
    before = run.record(), run.metrics()
    ended = diabolo("train", str(run.path), override)
    assert (ended.code, len(ended.err.splitlines())) == (2, 1)
    assert words in ended.err
    assert (run.record(), run.metrics()) == before


@pytest.mark.slow
@pytest.mark.parametrize(("signum", "code", "state"), [
    (signal.SIGTERM, 143, "stopped"), (signal.SIGINT, 130, "stopped"), (signal.SIGKILL, -9, "running")
])  # fmt: skip
def test_a_process_that_gets_a_signal_can_be_continued(trained, process, tmp_path, signum, code, state):
    long = (*BARE, "trainer.max_epochs=150")
    first = process("train", *long, "hydra.run.dir=run")
    out, _ = signalled(first, RunFolder(tmp_path / "run"), signum)
    assert first.returncode == code
    assert RunFolder(tmp_path / "run").state()["state"] == state
    assert ("go on with: diabolo train run" in out) == (state == "stopped")
    again = process("train", "run")
    assert again.wait(120) == 0
    assert_same(RunFolder(tmp_path / "run"), trained(*long))


DDP = (*BARE, "trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2")


@pytest.mark.slow
def test_two_processes_end_done_with_the_metrics_of_one(process, trained, tmp_path):
    ended = process("train", *DDP, "hydra.run.dir=run")
    out, err = ended.communicate(timeout=600)
    assert ended.returncode == 0, err
    run, alone = RunFolder(tmp_path / "run"), trained(*BARE)
    assert run.state()["state"] == "done"
    assert set(run.metrics()) == set(alone.metrics())
    assert run.metrics()["test/mse"] == pytest.approx(alone.metrics()["test/mse"], rel=0.2)
    assert out.count("per pixel in [0, 1]") == out.count("epoch 4/4") == out.count("tensorboard --logdir") == 1


@pytest.mark.slow
def test_several_processes_that_cannot_go_on_leave_the_run_as_it_was(process, tmp_path):
    run = RunFolder(tmp_path / "run")
    run.begin(compose_config(DDP), ["seed=0"])
    run.mark("stopped", reason="stopped by SIGTERM")
    before = run.record()
    refused = process("train", "run", "trainer.accelerator=gpu")  # which the processes find out
    _, err = refused.communicate(timeout=600)
    assert refused.returncode != 0, err
    assert "torch sees no GPU here" in err
    assert run.record() == before


@pytest.mark.slow
def test_two_processes_that_get_a_signal_stop_with_a_checkpoint(process, tmp_path):
    run = RunFolder(tmp_path / "run")
    first = process("train", *DDP, "trainer.max_epochs=2000", "hydra.run.dir=run")
    signalled(first, run, signal.SIGTERM)
    assert first.returncode == 143
    assert run.state()["state"] == "stopped"
    kept = torch.load(run.checkpoint("last"), weights_only=True)
    again = process("train", "run")
    signalled(again, run, signal.SIGTERM, after=len(rows(run)))
    assert again.returncode == 143
    assert torch.load(run.checkpoint("last"), weights_only=True)["global_step"] > kept["global_step"]


@pytest.mark.slow
@pytest.mark.parametrize("killed", ["launcher", "keeper"])
def test_of_several_processes_none_outlives_the_one_that_started_it(process, tmp_path, killed):
    run = RunFolder(tmp_path / "run")
    launcher = process("train", *DDP, "trainer.max_epochs=2000", "hydra.run.dir=run")
    wait_for_rows(launcher, run, 0)
    (keeper,) = children(launcher.pid)
    helpers = children(keeper)
    assert len(helpers) == 1
    os.kill(launcher.pid if killed == "launcher" else keeper, signal.SIGKILL)
    gone([keeper, *helpers], within=10)
    launcher.communicate(timeout=60)


def signalled(process, run: RunFolder, signum: int, after: int = 0) -> tuple[str, str]:
    """Waits until the run has another epoch behind it, sends the signal and waits for the end."""
    wait_for_rows(process, run, after)
    process.send_signal(signum)
    return process.communicate(timeout=100)


def wait_for_rows(process, run: RunFolder, after: int) -> None:
    deadline = time.monotonic() + 120
    while not run.history.exists() or len(run.history.read_text().splitlines()) <= after:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_the_clock_counts_all_sittings():
    clock = Clock()
    clock.load_state_dict({"seconds": 100.0, "loops": [[50, 50.0], [20, 1.0], [40, 2.0]]})
    assert 100 < clock.seconds < 101
    assert clock.images_per_second == 20  # without the first epoch, which warms up
    assert clock.state_dict()["loops"] == [[50, 50.0], [20, 1.0], [40, 2.0]]


def test_a_run_goes_on_with_other_means(unbroken, monkeypatch, tmp_path):
    run = RunFolder(tmp_path / "run")
    assert stop(monkeypatch, run, BARE, 4) == 143
    with pytest.raises(UserError, match=r"`data\.batch_size` is settled in a run that goes on"):
        resume(run.path, ["data.batch_size=16"])
    resume(run.path, ["data.block=2", "data.num_workers=0", "data.eval_batch_size=512"])
    assert_same(run, unbroken["one_cycle"])
