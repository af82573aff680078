"""Steps and blocks of steps: who is called when, and that every epoch has an order of its own."""

import pytest
import torch
from lightning import Callback

from diabolo.runs.config import compose_config
from diabolo.runs.folder import RunFolder
from diabolo.runs.train import train
from diabolo.training.epoch_loss import EpochLoss
from diabolo.training.learner import Learner
from diabolo.training.protocols import AfterStep
from support import TINY

BARE = (*TINY, "callbacks=none", "logger=none", "data.limit=150")  # two epochs of 135 images, 5 steps each


class Steps(Callback):
    """Notes every step, and every block of steps."""

    def __init__(self) -> None:
        self.steps: list[int] = []
        self.losses: list[float] = []
        self.blocks: list[int] = []

    def on_step_end(self, trainer, module, loss) -> None:
        assert isinstance(module, Learner)
        assert not loss.requires_grad
        self.steps.append(trainer.global_step)
        self.losses.append(float(loss))

    def on_train_batch_end(self, trainer, *_) -> None:
        self.blocks.append(trainer.global_step)


def watched(folder, *overrides: str) -> Steps:
    steps = Steps()
    train(compose_config((*BARE, *overrides)), RunFolder(folder), list(overrides), callbacks=[steps])
    return steps


def test_a_callback_is_called_after_every_step_whatever_the_block(tmp_path):
    seen = {block: watched(tmp_path / str(block), f"data.block={block}") for block in (1, 2, 64)}
    for steps in seen.values():
        assert steps.steps == list(range(1, 11))
        assert steps.losses == seen[1].losses
    assert len(set(seen[1].losses)) == 10
    assert seen[1].blocks == list(range(1, 11))
    assert seen[2].blocks == [2, 4, 5, 7, 9, 10]
    assert seen[64].blocks == [5, 10], "Lightning's own hook comes once a block"


def test_it_is_called_once_a_step_where_lightning_takes_the_step(tmp_path):
    steps = watched(tmp_path / "run", "trainer.precision=bf16-mixed")
    assert steps.steps == list(range(1, 11))


def test_a_callback_without_the_hook_is_not_called_after_steps():
    assert isinstance(Steps(), AfterStep)
    assert not isinstance(Callback(), AfterStep)


def test_every_epoch_has_an_order_of_its_own(tmp_path, monkeypatch):
    seen: list[int] = []
    own = Learner.training_step

    def noting(self, block, batch_idx):
        seen.extend(block[0].double().mul(torch.arange(64).view(8, 8)).flatten(1).sum(1).long().tolist())
        return own(self, block, batch_idx)

    monkeypatch.setattr(Learner, "training_step", noting)
    watched(tmp_path / "run")
    first, second = seen[:135], seen[135:]
    assert sorted(first) == sorted(second)
    assert first != second


def test_the_loss_of_an_epoch_is_the_mean_over_its_images():
    loss = EpochLoss()
    loss.update([1.0, 4.0], images=5, size=3, step=0)  # three images, then two
    loss.update([10.0], images=1, size=3, step=2)
    assert loss.mean() == pytest.approx((3 * 1 + 2 * 4 + 10) / 6)
    other = EpochLoss()
    other.load(loss.state())
    assert other.mean() == loss.mean()
