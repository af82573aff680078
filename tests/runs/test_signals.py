"""A signal never hangs a run: it is noted, the run stops at a safe point, and goes on as if nothing had been."""

import os
import signal
import threading
import time
from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch.loggers import TensorBoardLogger
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from diabolo.data.datamodule import ImageData
from diabolo.runs.config import compose_config
from diabolo.runs.folder import RunFolder
from diabolo.runs.session import helping
from diabolo.runs.train import resume, train
from diabolo.training.autoencoder_module import AutoencoderModule
from diabolo.training.recording import SignalStop, Stopped
from stopping import BARE, assert_same, rows, stop

pytestmark = pytest.mark.filterwarnings("ignore:Checkpoint directory .* is not empty")  # it is the run's own
LOGGED = (*(o for o in BARE if o != "logger=none"), "logger=tensorboard")


@pytest.fixture(scope="module")
def unbroken(trained) -> RunFolder:
    return trained(*BARE)


def stopped_within(monkeypatch, run: RunFolder, owner, name, signum=signal.SIGTERM, overrides=BARE, times=1) -> int:
    """Trains, sends this process a signal at the beginning of the first call of `owner.name`; returns the exit code."""
    original, left = getattr(owner, name), [times]

    def interrupted(*arguments, **named):
        while left[0]:
            left[0] -= 1
            os.kill(os.getpid(), signum)
        return original(*arguments, **named)

    with monkeypatch.context() as patched:
        patched.setattr(owner, name, interrupted)
        with pytest.raises(SystemExit) as end:
            train(compose_config(overrides), run, list(overrides))
    assert not left[0]
    return end.value.code


@pytest.mark.parametrize(
    ("owner", "name"),
    [(RunFolder, "begin"), (ImageData, "setup"), (AutoencoderModule, "configure_optimizers"),
     (AutoencoderModule, "validation_step"), (AutoencoderModule, "test_step")],
)  # fmt: skip
def test_a_signal_at_any_time_stops_the_run_and_it_goes_on(monkeypatch, unbroken, tmp_path, owner, name):
    run = RunFolder(tmp_path / "run")
    assert stopped_within(monkeypatch, run, owner, name) == 143
    assert (run.state()["state"], run.state()["reason"]) == ("stopped", "stopped by SIGTERM")
    assert run.is_run()
    assert not run.is_held()
    resume(run.path)
    assert run.state()["state"] == "done"
    assert_same(run, unbroken)


def test_a_closed_terminal_stops_a_run_with_a_checkpoint(monkeypatch, unbroken, tmp_path):
    run = RunFolder(tmp_path / "run")
    assert stop(monkeypatch, run, BARE, 4, signal.SIGHUP) == 129
    assert torch.load(run.checkpoint("last"), weights_only=True)["global_step"] == 5
    resume(run.path)
    assert_same(run, unbroken)


def test_under_nohup_a_run_outlives_its_terminal(monkeypatch, unbroken, tmp_path):
    run, before = RunFolder(tmp_path / "run"), signal.signal(signal.SIGHUP, signal.SIG_IGN)
    training_loss = AutoencoderModule.training_loss

    def interrupted(module, *batch):
        os.kill(os.getpid(), signal.SIGHUP)
        return training_loss(module, *batch)

    monkeypatch.setattr(AutoencoderModule, "training_loss", interrupted)
    try:
        train(compose_config(BARE), run)
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
    assert_same(run, unbroken)


def test_the_same_signal_again_does_not_wait_for_the_step(monkeypatch, tmp_path):
    run = RunFolder(tmp_path / "run")
    assert stopped_within(monkeypatch, run, AutoencoderModule, "training_loss", times=2) == 143
    assert run.state()["state"] == "stopped"
    assert run.checkpoint("last") is None


def test_a_signal_within_the_writer_of_tensorboard_leaves_no_thread(monkeypatch, tmp_path):
    run = RunFolder(tmp_path / "run")
    assert stopped_within(monkeypatch, run, EventFileWriter, "add_event", overrides=LOGGED) == 143
    assert run.state()["state"] == "stopped"
    assert not [thread for thread in threading.enumerate() if type(thread).__name__ == "_AsyncWriterThread"]


def test_closing_a_logger_has_a_time_limit(monkeypatch, tmp_path):
    run, never = RunFolder(tmp_path / "run"), threading.Event()
    monkeypatch.setattr(SignalStop, "PATIENCE", 0.3)
    monkeypatch.setattr(TensorBoardLogger, "finalize", lambda *_: never.wait(60))
    began = time.monotonic()
    assert stop(monkeypatch, run, LOGGED, 4) == 143
    assert time.monotonic() - began < 30
    assert run.state()["state"] == "stopped"
    assert torch.load(run.checkpoint("last"), weights_only=True)["global_step"] == 5


def test_a_run_that_has_ended_is_done_whatever_comes_then(monkeypatch, unbroken, tmp_path):
    run = RunFolder(tmp_path / "run")
    assert stopped_within(monkeypatch, run, RunFolder, "write_metrics", signal.SIGINT) == 130
    assert run.state()["state"] == "done"
    assert_same(run, unbroken)
    assert len(rows(run)) == 4


HOOKS = ("on_train_start", "on_train_epoch_start", "on_train_batch_end", "on_train_end", "on_test_batch_end")


def of_two_processes(stop: SignalStop, decision: bool, meanwhile: int | None = None):
    """A Trainer of two processes that decide so, while a signal comes to this one."""

    def decided(mine: bool, all: bool) -> bool:
        stop.received = meanwhile or stop.received
        return decision

    strategy, state = SimpleNamespace(reduce_boolean_decision=decided), SimpleNamespace(fn="test")
    return SimpleNamespace(world_size=2, strategy=strategy, state=state, is_last_batch=False)


@pytest.mark.parametrize("hook", HOOKS)
def test_of_several_processes_none_stops_alone(tmp_path, hook):
    stop = SignalStop(tmp_path / "last.ckpt")
    saved: list = []
    trainer = of_two_processes(stop, decision=False, meanwhile=signal.SIGTERM)
    trainer.save_checkpoint = saved.append
    getattr(stop, hook)(trainer, None)  # the signal came after this process had been asked: it is the next one's
    assert saved == []
    trainer = of_two_processes(stop, decision=True)
    trainer.save_checkpoint = saved.append
    with pytest.raises(Stopped):
        getattr(stop, hook)(trainer, None)
    assert saved == ([tmp_path / "last.ckpt"] if hook == "on_train_batch_end" else [])


@pytest.mark.parametrize("hook", HOOKS)
def test_a_process_stops_when_another_one_got_the_signal(tmp_path, hook):
    stop = SignalStop(tmp_path / "last.ckpt", helps=True)
    trainer = of_two_processes(stop, decision=True)
    trainer.save_checkpoint = lambda path: None
    with pytest.raises(Stopped):
        getattr(stop, hook)(trainer, None)


def test_a_process_that_helps_ends_well_when_it_is_asked_to_stop(tmp_path):
    (tmp_path / "run").mkdir()
    with helping(RunFolder(tmp_path / "run"), rank=1) as stop:  # else Lightning kills the one that keeps the run
        assert stop.helps
        raise Stopped(signal.SIGTERM)


def test_a_process_that_helps_decides_nothing_by_itself(tmp_path):
    stop = SignalStop(tmp_path / "last.ckpt", helps=True)
    stop.received = signal.SIGTERM
    stop.check()


def test_the_handlers_of_before_are_there_afterwards(monkeypatch, tmp_path):
    before = [signal.getsignal(signum) for signum in SignalStop.SIGNALS]
    assert stop(monkeypatch, RunFolder(tmp_path / "run"), BARE, 1) == 143
    assert [signal.getsignal(signum) for signum in SignalStop.SIGNALS] == before


def test_two_signals_before_the_first_file_leave_no_run_and_the_command_begins_afresh(monkeypatch, tmp_path):
    run = RunFolder(tmp_path / "runs" / "run")
    assert stopped_within(monkeypatch, run, RunFolder, "begin", times=2) == 143
    assert list(tmp_path.iterdir()) == []
    train(compose_config(BARE), run, list(BARE))
    assert run.state()["state"] == "done"
