"""Adam's kernel called directly, against the optimiser's own steps."""

import copy

import pytest
import torch
from torch import nn

from diabolo.training.fused_adam import kernel_of
from support import TINY

SETTINGS = {"lr": 0.01, "betas": (0.8, 0.95), "eps": 1e-6, "weight_decay": 0.02, "fused": True}


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3))


def learn(model: nn.Module, step: int) -> None:
    """Gradients of some loss."""
    model.zero_grad()
    model(torch.full((2, 5), step + 1.0)).square().sum().backward()


def begun(make=torch.optim.Adam, **settings):
    """A network and its optimiser after a step."""
    model = network()
    optimizer = make(model.parameters(), **{**SETTINGS, **settings})
    learn(model, 0)
    optimizer.step()
    return model, optimizer


@pytest.mark.parametrize("make", [torch.optim.Adam, torch.optim.AdamW])
def test_its_steps_are_the_optimisers_bit_for_bit(make):
    (ours, optimizer), (theirs, plain) = begun(make), begun(make)
    kernel = kernel_of(optimizer)
    for step in range(1, 8):
        for model, one, update in ((ours, optimizer, kernel), (theirs, plain, plain.step)):
            learn(model, step)
            one.param_groups[0]["lr"] = 0.01 / step  # as schedules do
            one.param_groups[0]["betas"] = (0.8 + step / 100, 0.95)
            update()
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(mine, other)
        for name, value in plain.state[other].items():
            assert torch.equal(optimizer.state[mine][name], value)


def test_a_step_without_a_gradient_is_the_optimisers():
    (ours, optimizer), (theirs, plain) = begun(), begun()
    kernel = kernel_of(optimizer)
    for model, update in ((ours, kernel), (theirs, plain.step)):
        learn(model, 1)
        model[2].bias.grad = None
        update()
    assert all(torch.equal(*pair) for pair in zip(ours.parameters(), theirs.parameters(), strict=True))
    assert optimizer.state[ours[2].bias]["step"] == 1
    assert optimizer.state[ours[2].weight]["step"] == 2


def test_frozen_weights_stay_out():
    model = network()
    model[0].requires_grad_(False)
    optimizer = torch.optim.Adam(model.parameters(), **SETTINGS)
    learn(model, 0)
    optimizer.step()
    before = copy.deepcopy(model)
    kernel_of(optimizer)()
    assert torch.equal(model[0].weight, before[0].weight)
    assert not torch.equal(model[2].weight, before[2].weight)


def test_before_its_first_step_an_optimiser_has_no_kernel():
    model = network()
    learn(model, 0)
    assert kernel_of(torch.optim.Adam(model.parameters(), **SETTINGS)) is None


@pytest.mark.parametrize(
    "settings",
    [{"fused": False}, {"amsgrad": True}, {"maximize": True}, {"lr": torch.tensor(0.01)}],
    ids=["loops", "amsgrad", "maximize", "a rate in a tensor"],
)
def test_unusual_settings_are_left_to_the_optimiser(settings):
    assert kernel_of(begun(**settings)[1]) is None


@pytest.mark.parametrize("setting", ["capturable", "differentiable"])
def test_a_step_that_is_recorded_is_left_to_the_optimiser(setting):
    optimizer = begun()[1]
    optimizer.param_groups[0][setting] = True
    assert kernel_of(optimizer) is None


def test_weights_of_two_types_are_left_to_the_optimiser():
    weights = [torch.ones(2, dtype=kind, requires_grad=True) for kind in (torch.float32, torch.float64)]
    optimizer = torch.optim.Adam(weights, **SETTINGS)
    sum(one.sum() for one in weights).backward()
    optimizer.step()
    assert kernel_of(optimizer) is None


def test_other_optimisers_hooks_and_several_groups_are_left_alone():
    model = network()
    learn(model, 0)
    descent = torch.optim.SGD(model.parameters(), lr=0.1, fused=True)
    groups = torch.optim.Adam([{"params": layer.parameters()} for layer in (model[0], model[2])], fused=True)
    watched = torch.optim.Adam(model.parameters(), fused=True)
    watched.register_step_post_hook(lambda *_: None)
    for optimizer in (descent, groups, watched):
        optimizer.step()
        assert kernel_of(optimizer) is None


def test_a_run_asks_its_optimiser_in_the_first_block_only(trained, monkeypatch):
    asked = []
    own = torch.optim.Adam.step
    monkeypatch.setattr(torch.optim.Adam, "step", lambda self, *given: asked.append(self) or own(self, *given))
    trained(*TINY, "trainer.max_epochs=3", "callbacks=none", "logger=none")
    of_the_run = [optimizer for optimizer in asked if optimizer.param_groups[0]["params"][0].shape != (2, 2)]
    assert len(of_the_run) == 3  # of 9: an epoch is a block of 3; the other is tried before data are read
