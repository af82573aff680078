"""Modules and batches on a GPU that is not there: tensors with a device, a type and a shape, and no values."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from diabolo.measures.yardstick import window
from diabolo.runs.build import build_data, build_module
from diabolo.runs.config import compose_config
from diabolo.training.learner import Learner
from support import TINY

SIDE = 28
IMAGES = 32
PRECISIONS = {"32": None, "bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}


class NoFloat64(TorchDispatchMode):
    """Raises what torch raises of a float64 tensor on Apple's GPU."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, Tensor) and tensor.device.type == "cuda" and tensor.dtype in WIDE:
                raise TypeError(f"{func} gives {tensor.dtype}, and there is no float64")
        return made


FAKE = FakeTensorMode()  # one, since there are tensors that are kept
WIDE = (torch.float64, torch.complex128)


@contextmanager
def faked(float64: bool = False) -> Iterator[None]:
    """Within it all tensors are fake. A CUDA GPU without float64 stands for Apple's, whose own tensors cannot be faked:
    much of torch asks for the device itself."""
    window.cache_clear()  # of a window with values, and afterwards of one without
    try:
        with FAKE, nullcontext() if float64 else NoFloat64():
            yield
    finally:
        window.cache_clear()


def on_cuda(module: nn.Module) -> nn.Module:
    """The module with fake CUDA tensors for parameters and buffers, shared ones shared."""
    made: dict[int, Tensor] = {}

    def fake(tensor: Tensor) -> Tensor:
        if id(tensor) not in made:
            empty = torch.empty_strided(tensor.size(), tensor.stride(), dtype=tensor.dtype, device="cuda")
            made[id(tensor)] = nn.Parameter(empty) if isinstance(tensor, nn.Parameter) else empty
        return made[id(tensor)]

    for part in module.modules():
        for own in (part._parameters, part._buffers):
            own.update({name: fake(tensor) for name, tensor in own.items() if tensor is not None})
    return module


def built(overrides: str) -> Learner:
    tiny = [o for o in TINY if not (o.startswith("model=") and "model=" in overrides)]
    config = compose_config([*tiny, f"data.image_shape=[1,{SIDE},{SIDE}]", "bottleneck.size=8", *overrides.split()])
    return build_module(config, build_data(config))


def batch() -> tuple[Tensor, Tensor]:
    images = torch.empty(IMAGES, 1, SIDE, SIDE, dtype=torch.uint8, device="cuda")
    return images, torch.empty(IMAGES, dtype=torch.int64, device="cuda")
