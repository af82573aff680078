"""All that this program does with parts that torch keeps to itself.

Each function says why it is needed and what happens in a release of torch without the part: the plain way, at worst
slower. `tests/network/test_torch_internals.py` fails when one of the parts changes.
"""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules import module as modules
from torch.optim import Adam, AdamW, Optimizer
from torch.optim import optimizer as optimizers

HOOKS = ("forward_hooks", "forward_pre_hooks", "backward_hooks", "backward_pre_hooks")


def watched(*layers: nn.Module) -> bool:
    """Whether someone has hung a hook on one of the layers, or on all modules at once, as torch's `ModuleTracker` and
    `FlopCounterMode` do: then each layer has to be called by itself.

    torch says so nowhere but in the tables that `nn.Module.__call__` looks into. In a release without one of them the
    answer is True.
    """
    return any(_filled(modules, f"_global_{hooks}") for hooks in HOOKS) or any(
        _filled(layer, f"_{hooks}") for layer in layers for hooks in HOOKS
    )


def watched_steps(optimizer: Optimizer) -> bool:
    """Whether someone has hung a hook on the optimiser's steps, or on those of all optimisers: then it has to take its
    steps itself. In a release without one of the tables the answer is True."""
    return any(
        _filled(optimizers, f"_global_optimizer_{when}_hooks") or _filled(optimizer, f"_optimizer_step_{when}_hooks")
        for when in ("pre", "post")
    )


def leave_scaling(optimizer: Optimizer) -> None:
    """Has a GradScaler unscale the gradients of this optimiser, and leave out its steps, by itself.

    Optimisers with a fused kernel offer to do both within it, and before torch's pull request 186360 the kernels of
    Apple's GPU do neither. In a release without that offer there is nothing to decline.
    """
    if hasattr(optimizer, "_step_supports_amp_scaling"):
        optimizer._step_supports_amp_scaling = False


Step = Callable[[list[Tensor], list[Tensor], list[Tensor], list[Tensor], list[Tensor], Mapping[str, Any]], None]


def fused_kernel(optimizer: Optimizer) -> Step | None:
    """The kernel behind `fused=True` of Adam or AdamW. Called with weights, gradients, means, squares, steps and the
    settings of their group, it takes a step in place.

    Its public callers, `Optimizer.step` and `torch.optim.adam.adam`, look up anew at each step what has not changed;
    for a small network that takes longer than the kernel. None for another optimiser, and in a release without the
    kernel or where it takes other arguments: then the optimiser takes its steps itself.
    """
    name = {Adam: "_fused_adam_", AdamW: "_fused_adamw_"}.get(type(optimizer))
    return _kernel(name) if name else None


@cache
def _kernel(name: str) -> Step | None:
    kernel = getattr(torch, name, None)
    add = getattr(torch, "_foreach_add_", None)
    if kernel is None or add is None:
        return None

    def step(
        weights: list[Tensor],
        gradients: list[Tensor],
        means: list[Tensor],
        squares: list[Tensor],
        steps: list[Tensor],
        settings: Mapping[str, Any],
    ) -> None:
        add(steps, 1)
        kernel(
            weights,
            gradients,
            means,
            squares,
            [],
            steps,
            lr=settings["lr"],
            beta1=settings["betas"][0],
            beta2=settings["betas"][1],
            weight_decay=settings["weight_decay"],
            eps=settings["eps"],
            amsgrad=False,
            maximize=False,
        )

    weights, gradients, means, squares, steps = ([torch.ones(1)] for _ in range(5))
    settings = {"lr": 0.1, "betas": (0.9, 0.9), "weight_decay": 0.0, "eps": 1.0}
    try:
        step(weights, gradients, means, squares, steps, settings)
    except (TypeError, RuntimeError):
        return None
    return step


def _filled(owner: object, table: str) -> bool:
    hooks = getattr(owner, table, None)
    return hooks is None or len(hooks) > 0
