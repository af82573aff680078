"""Hooks that torch keeps in tables of its own, and Adam's kernel: found while torch has them, else done without."""

import pytest
import torch
from torch import nn
from torch.nn.modules import module as modules
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook
from torch.utils.flop_counter import FlopCounterMode
from torch.utils.module_tracker import ModuleTracker

from diabolo.network import torch_internals
from diabolo.network.fused_upsampling import doubled
from diabolo.network.torch_internals import fused_kernel, watched, watched_steps
from diabolo.network.upsampling import Switched, Upsample

ON_A_LAYER = (
    "register_forward_hook",
    "register_forward_pre_hook",
    "register_full_backward_hook",
    "register_full_backward_pre_hook",
)
ON_ALL = (
    modules.register_module_forward_hook,
    modules.register_module_forward_pre_hook,
    modules.register_module_full_backward_hook,
    modules.register_module_full_backward_pre_hook,
)


@pytest.mark.parametrize("hook", ON_A_LAYER)
def test_a_hook_on_one_of_the_layers_is_seen_as_long_as_it_hangs(hook):
    layers = nn.ReLU(), nn.Tanh()
    assert not watched(*layers)
    handle = getattr(layers[1], hook)(lambda *_: None)
    assert watched(*layers)
    assert not watched(layers[0])
    handle.remove()
    assert not watched(*layers)


@pytest.mark.parametrize("register", ON_ALL, ids=lambda register: register.__name__)
def test_a_hook_on_all_modules_is_seen_as_long_as_it_hangs(register):
    handle = register(lambda *_: None)
    try:
        assert watched(nn.ReLU())
    finally:
        handle.remove()
    assert not watched(nn.ReLU())


@pytest.mark.parametrize(("owner", "table"), [(modules, "_global_forward_hooks"), (nn.ReLU, "_forward_hooks")])
def test_where_torch_has_no_such_table_layers_count_as_watched(owner, table, monkeypatch):
    layer = nn.ReLU()
    if owner is modules:
        monkeypatch.setattr(torch_internals, "modules", object())
    else:
        del layer.__dict__[table]
    assert watched(layer)


def test_while_torch_tracks_modules_each_layer_is_called_by_itself(monkeypatch):
    calls = []
    monkeypatch.setattr(
        "diabolo.network.upsampling.doubled", lambda maps, layer: calls.append(layer) or doubled(maps, layer)
    )
    both = Switched(Upsample((8, 8)), nn.Conv2d(8, 2, 3, padding=1))
    with ModuleTracker():
        both(torch.randn(2, 8, 4, 4))
    assert not calls
    both(torch.randn(2, 8, 4, 4))
    assert calls == [both[1]]


def test_torchs_flop_counter_counts_the_convolution_after_an_upsampling():
    both = Switched(Upsample((8, 8)), nn.Conv2d(8, 2, 3, padding=1))
    with FlopCounterMode(display=False) as counter:
        both(torch.randn(1, 8, 4, 4))
    assert counter.get_total_flops() == 2 * 8 * 8 * 2 * 8 * 3 * 3  # a multiplication and an addition a weight and pixel


def test_hooks_on_steps_are_seen_as_long_as_they_hang(monkeypatch):
    one = torch.optim.Adam(nn.Linear(2, 2).parameters())
    other = torch.optim.Adam(nn.Linear(2, 2).parameters())
    for register in (one.register_step_pre_hook, one.register_step_post_hook):
        handle = register(lambda *_: None)
        assert watched_steps(one)
        assert not watched_steps(other)
        handle.remove()
    for register in (register_optimizer_step_pre_hook, register_optimizer_step_post_hook):
        handle = register(lambda *_: None)
        assert watched_steps(one)
        handle.remove()
    assert not watched_steps(one)
    del one._optimizer_step_pre_hooks
    assert watched_steps(one)


@pytest.fixture
def fresh():
    """Looks for the kernels anew, before and after."""
    torch_internals._kernel.cache_clear()
    yield
    torch_internals._kernel.cache_clear()


def test_adam_has_a_kernel_and_other_optimisers_have_none(fresh):
    weights = list(nn.Linear(2, 2).parameters())
    assert fused_kernel(torch.optim.Adam(weights)) is not None
    assert fused_kernel(torch.optim.AdamW(weights)) is not None
    assert fused_kernel(torch.optim.SGD(weights)) is None


@pytest.mark.parametrize("missing", ["_fused_adam_", "_foreach_add_"])
def test_without_its_kernel_adam_is_left_to_itself(fresh, monkeypatch, missing):
    monkeypatch.delattr(torch, missing)
    assert fused_kernel(torch.optim.Adam(nn.Linear(2, 2).parameters())) is None


def test_a_kernel_that_takes_other_arguments_is_left_to_its_optimiser(fresh, monkeypatch):
    own = torch._fused_adam_
    monkeypatch.setattr(torch, "_fused_adam_", lambda weights, settings: own(weights))
    assert fused_kernel(torch.optim.Adam(nn.Linear(2, 2).parameters())) is None
