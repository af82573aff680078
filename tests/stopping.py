"""Runs that are stopped by a signal at a chosen step, and what must be equal when they have gone on."""

import json
import os
import signal

import pytest
import torch

from diabolo.runs.config import compose_config
from diabolo.runs.folder import RunFolder
from diabolo.runs.train import train
from diabolo.training.autoencoder_module import AutoencoderModule
from support import TINY

BARE = (*TINY, "callbacks=none", "logger=none", "trainer.max_epochs=4", "data.block=1")  # 4 epochs of 3 steps
OF_THE_CLOCK = {"seconds", "finished", "train/images_per_second"}


def assert_same(ours: RunFolder, theirs: RunFolder) -> None:
    """Weights, metrics and history are equal, but for the time that things took."""
    for name in ("best", "last"):
        one, other = (torch.load(run.checkpoint(name), weights_only=True) for run in (ours, theirs))
        assert one["global_step"] == other["global_step"]
        assert all(torch.equal(one["state_dict"][key], other["state_dict"][key]) for key in other["state_dict"])
    for one, other in ((ours.metrics(), theirs.metrics()), *zip(rows(ours), rows(theirs), strict=True)):
        assert {k: one[k] for k in one if k not in OF_THE_CLOCK} == {
            k: other[k] for k in other if k not in OF_THE_CLOCK
        }


def rows(run: RunFolder) -> list[dict]:
    return [json.loads(line) for line in run.history.read_text().splitlines()]


def stop(monkeypatch, folder: RunFolder, overrides: tuple[str, ...], step: int, signum: int = signal.SIGTERM) -> int:
    """Trains, sends this process a signal during the given step, and returns the exit code."""
    training_loss = AutoencoderModule.training_loss

    def interrupted(module, *batch):
        if module.global_step == step:
            os.kill(os.getpid(), signum)
        return training_loss(module, *batch)

    config = compose_config(overrides)
    with monkeypatch.context() as patched:
        patched.setattr(AutoencoderModule, "training_loss", interrupted)
        with pytest.raises(SystemExit) as end:
            train(config, folder, list(overrides))
    return end.value.code
