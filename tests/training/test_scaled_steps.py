"""Steps by scaled gradients, as 16-mixed takes them: one with gradients that are not finite is left out, not counted,
and moves no schedule. The scaler is torch's, on the CPU."""

import pytest
import torch
from lightning import Callback
from lightning.pytorch.plugins.precision import MixedPrecision

from diabolo.errors import UserError
from diabolo.runs.config import compose_config
from diabolo.runs.folder import RunFolder
from diabolo.runs.train import train
from support import TINY

BARE = (*TINY, "callbacks=none", "logger=none", "data.val_fraction=0")
STEPS = 6  # two epochs of three


class Scaled(Callback):
    """Trains with a scaler, whose scale overflows in the first steps, and notes what each step came to."""

    def __init__(self, scale: float) -> None:
        self.scaler = torch.amp.GradScaler("cpu", init_scale=scale, backoff_factor=2.0**-20)
        self.steps: list[int] = []
        self.rates: list[float] = []
        self.norms: list[float] = []

    def setup(self, trainer, pl_module, stage) -> None:
        if stage == "fit":
            trainer.strategy.precision_plugin = MixedPrecision("16-mixed", "cpu", self.scaler)

    def on_step_end(self, trainer, module, loss) -> None:
        self.steps.append(trainer.global_step)
        self.rates.append(trainer.optimizers[0].param_groups[0]["lr"])
        gradients = torch.cat([weights.grad.flatten() for weights in module.autoencoder.parameters()])
        self.norms.append(float(gradients.norm()))

    def on_train_end(self, trainer, pl_module) -> None:
        self.schedule = pl_module._schedule["scheduler"].last_epoch
        self.total = trainer.global_step


def scaled(folder, scale: float, *overrides: str) -> Scaled:
    seen = Scaled(scale)
    train(compose_config((*BARE, *overrides)), RunFolder(folder), list(overrides), callbacks=[seen])
    return seen


@pytest.mark.parametrize("fused", ["true", "false"])
def test_a_step_that_is_left_out_is_not_counted_and_moves_no_schedule(tmp_path, fused):
    whole = scaled(tmp_path / "whole", 2.0**10, f"optimizer.fused={fused}")
    assert (whole.steps, whole.total, whole.schedule) == (list(range(1, STEPS + 1)), STEPS, STEPS)
    short = scaled(tmp_path / "short", 2.0**50, f"optimizer.fused={fused}")  # 2^30 is too much, too; 2^10 is not
    assert (short.steps, short.total, short.schedule) == (list(range(1, STEPS - 1)), STEPS - 2, STEPS - 2)
    assert short.rates == whole.rates[: STEPS - 2]
    assert short.scaler.get_scale() == 2.0**10


@pytest.mark.parametrize("fused", ["true", "false"])
def test_gradients_are_unscaled_before_they_are_clipped(tmp_path, fused):
    seen = scaled(tmp_path / "run", 2.0**10, "trainer.gradient_clip=1e-3", f"optimizer.fused={fused}")
    assert len(seen.norms) == STEPS
    assert seen.norms == pytest.approx([1e-3] * STEPS, rel=1e-2)
    free = scaled(tmp_path / "free", 2.0**10, f"optimizer.fused={fused}")
    assert min(free.norms) > 2e-3


def test_a_run_of_which_every_step_was_left_out_says_so(tmp_path):
    with pytest.raises(UserError, match=r"no step was taken: .* every gradient was infinite or NaN"):
        scaled(tmp_path / "run", 2.0**127)
    assert RunFolder(tmp_path / "run").state()["state"] == "failed"
