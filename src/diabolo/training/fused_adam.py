"""Adam's fused kernel, called without what its optimiser looks up anew at every step.

`Optimizer.step` asks at each step which weights have gradients, what state they have, on which device and of which type
they are; in a small network that takes longer than the kernel itself. Within a block of steps none of it changes.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.optim import Optimizer

from diabolo.network.torch_internals import fused_kernel, watched_steps

UNUSUAL = ("amsgrad", "maximize", "capturable", "differentiable")  # settings left to the optimiser


def kernel_of(optimizer: Optimizer) -> Callable[[], None] | None:
    """What `optimizer.step()` does, bit for bit, as long as its weights and their state stay the same tensors; None
    where only the optimiser itself can do it, as before its first step."""
    kernel = fused_kernel(optimizer)
    if kernel is None or len(optimizer.param_groups) != 1:
        return None
    group = optimizer.param_groups[0]
    weights = [one for one in group["params"] if one.requires_grad]
    states = [optimizer.state[one] for one in weights if one in optimizer.state]
    alike = len({(one.device, one.dtype) for one in weights}) == 1
    if not group["fused"] or len(states) < len(weights) or not alike or watched_steps(optimizer):
        return None
    if any(group[setting] for setting in UNUSUAL) or isinstance(group["lr"], Tensor):
        return None
    means, squares, steps = ([state[name] for state in states] for name in ("exp_avg", "exp_avg_sq", "step"))

    @torch.no_grad()
    def step() -> None:
        gradients = [one.grad for one in weights]
        if any(one is None for one in gradients):  # of a layer that this step went without
            optimizer.step()
        else:
            kernel(weights, gradients, means, squares, steps, group)  # of which a schedule changes `lr` and `betas`

    return step
