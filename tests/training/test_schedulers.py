"""Learning rates over a run, against their formulas."""

from math import cos, pi

import pytest
import torch

from diabolo.errors import UserError
from diabolo.training.schedulers import cosine, one_cycle, plateau

LR = 0.4
STEPS = 20


def optimizer() -> torch.optim.Optimizer:
    return torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=LR)


def rates(schedule, **given) -> list[float]:
    """The rate of each step of a run."""
    sgd = optimizer()
    scheduler = schedule(sgd, STEPS, **given)["scheduler"]
    seen = []
    for _ in range(STEPS):
        seen.append(sgd.param_groups[0]["lr"])
        sgd.step()
        scheduler.step()
    return seen


def half_cosine(start: float, end: float, part: float) -> float:
    return end + (start - end) * (1 + cos(pi * part)) / 2


@pytest.mark.parametrize("final", [0.0, 0.1])
def test_cosine_falls_from_the_rate_to_the_final_one(final):
    wanted = [half_cosine(LR, final, step / STEPS) for step in range(STEPS)]
    assert rates(cosine, final=final) == pytest.approx(wanted)


@pytest.mark.parametrize("rise", [0.3, 0.5, 0.05])
def test_one_cycle_rises_from_a_25th_to_the_rate_and_falls_to_nearly_nothing(rise):
    peak = rise * STEPS - 1
    wanted = [
        half_cosine(LR / 25, LR, step / peak)
        if step < peak
        else half_cosine(LR, LR / 25e4, (step - peak) / (STEPS - 1 - peak))
        for step in range(STEPS)
    ]
    assert rates(one_cycle, rise=rise) == pytest.approx(wanted, rel=1e-6)


def test_plateau_multiplies_the_rate_when_patience_is_over():
    sgd = optimizer()
    scheduler = plateau(sgd, STEPS, patience=2, factor=0.5)["scheduler"]
    seen = []
    for value in (1.0, 0.9, 0.9, 0.9, 0.9, 0.8, 0.9, 0.9, 0.9):
        scheduler.step(value)
        seen.append(sgd.param_groups[0]["lr"] / LR)
    assert seen == [1, 1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.25]


def test_plateau_does_not_fall_below_the_lowest_rate():
    sgd = optimizer()
    rate = sgd.param_groups[0]["lr"]
    scheduler = plateau(sgd, STEPS, patience=0, factor=0.1, lowest=0.04 * rate)["scheduler"]
    for _ in range(5):
        scheduler.step(1.0)
    assert sgd.param_groups[0]["lr"] == pytest.approx(0.04 * rate)


def test_plateau_knows_which_metrics_grow_as_images_get_better():
    sgd = optimizer()
    scheduler = plateau(sgd, STEPS, patience=0, factor=0.5, monitor="val/ssim")["scheduler"]
    for value in (0.5, 0.6, 0.7):
        scheduler.step(value)
    assert sgd.param_groups[0]["lr"] == LR
    scheduler.step(0.6)
    assert sgd.param_groups[0]["lr"] == LR / 2


def test_one_cycle_leaves_the_momentum_alone():
    adam = torch.optim.Adam([torch.zeros(1, requires_grad=True)], betas=(0.5, 0.9))
    scheduler = one_cycle(adam, STEPS)["scheduler"]
    for _ in range(3):
        assert adam.param_groups[0]["betas"] == (0.5, 0.9)
        adam.step()
        scheduler.step()


def test_lightning_is_told_when_to_step_and_what_to_watch():
    assert cosine(optimizer(), STEPS)["interval"] == "step"
    assert one_cycle(optimizer(), STEPS)["interval"] == "step"
    schedule = plateau(optimizer(), STEPS, monitor="train/loss")
    assert (schedule["interval"], schedule["monitor"]) == ("epoch", "train/loss")


@pytest.mark.parametrize("rise", [0, 1, -0.5, 2])
def test_a_rise_that_is_no_part_of_the_run_is_refused(rise):
    with pytest.raises(UserError, match=rf"`scheduler.rise` \(= {rise}\) must lie between 0 and 1"):
        one_cycle(optimizer(), STEPS, rise=rise)
