"""Lightning's own counts and hooks: what is done with them, and what a run is in a release without them."""

import logging
from types import SimpleNamespace

import lightning
import torch
from lightning import LightningModule
from lightning.pytorch.core.optimizer import LightningOptimizer
from lightning.pytorch.loops.training_epoch_loop import _TrainingEpochLoop

from diabolo.training.lightning_internals import counted_step, log_by_steps, propagate_logs, trainer_of
from support import TINY

BARE = (*TINY, "callbacks=none", "scheduler=none", "trainer.max_epochs=3")


def logged(run) -> dict[str, list[int]]:
    """The steps at which each scalar stands in TensorBoard."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run.path)).Reload()
    return {tag: [event.step for event in events.Scalars(tag)] for tag in ("train/loss", "val/mse")}


def test_lightning_counts_and_logs_by_optimiser_steps(trained):
    run = trained(*BARE)
    assert run.metrics()["steps"] == 9
    assert torch.load(run.checkpoint("last"), weights_only=True)["global_step"] == 9
    assert logged(run) == {"train/loss": [2, 5, 8], "val/mse": [2, 5, 8]}, "three steps an epoch, counted from 0"


def test_without_the_hooks_around_a_step_lightnings_own_way_takes_the_same_steps(trained, monkeypatch):
    taken = []
    own = LightningOptimizer.step
    monkeypatch.setattr(LightningOptimizer, "step", lambda self, *given: taken.append(1) or own(self, *given))
    whole = trained(*BARE, "logger=none")
    assert not taken

    def without(wrapped, update):
        return counted_step(Hidden(wrapped), update)

    monkeypatch.setattr("diabolo.training.learner.counted_step", without)
    plain = trained(*BARE, "logger=none")
    assert len(taken) == 9
    assert plain.metrics()["steps"] == 9
    assert all(torch.equal(*pair) for pair in zip(weights(plain), weights(whole), strict=True))


def weights(run) -> list[torch.Tensor]:
    return list(torch.load(run.checkpoint("last"), weights_only=True)["state_dict"].values())


class Hidden:
    """Lightning's wrapper of an optimiser as it may be one day: without its two hooks."""

    def __init__(self, wrapped: LightningOptimizer) -> None:
        self.step = wrapped.step


def test_without_lightnings_count_values_are_logged_at_its_calls(trained, monkeypatch):
    monkeypatch.setattr("diabolo.training.learner.log_by_steps", lambda trainer, extra: log_by_steps(Nothing, extra))
    run = trained(*BARE)
    assert run.metrics()["steps"] == 9
    assert logged(run) == {"train/loss": [0, 1, 2], "val/mse": [0, 1, 2]}


Nothing = SimpleNamespace(fit_loop=SimpleNamespace(epoch_loop=SimpleNamespace()))


def test_lightnings_loop_still_has_the_count():
    assert "_batches_that_stepped" in vars(_TrainingEpochLoop(lightning.Trainer(logger=False, accelerator="cpu")))


def test_lightnings_messages_go_to_the_root_logger_alone(monkeypatch):
    said = []
    one = logging.getLogger("lightning.pytorch")
    monkeypatch.setattr(one, "handlers", [logging.StreamHandler()])
    monkeypatch.setattr(one, "propagate", False)
    monkeypatch.setattr(logging.getLogger("lightning"), "handlers", [logging.StreamHandler()])
    root = SimpleNamespace(level=0, handle=lambda record: said.append(record.msg))
    monkeypatch.setattr(logging.root, "handlers", [root])
    propagate_logs()
    logging.getLogger("lightning.pytorch.utilities").warning("hello")
    assert said == ["hello"]
    assert not one.handlers


def test_a_module_without_a_trainer_has_none():
    assert trainer_of(LightningModule()) is None
