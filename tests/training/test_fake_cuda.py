"""The training path on CUDA tensors that have no values: no GPU is needed to see that each stands where it must, and
that the loss is computed in float32. A tensor that stands on the CPU makes torch raise."""

from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.cuda.amp import common

from diabolo.runs.build import build_data, build_module
from diabolo.runs.config import compose_config
from support import CONF, TINY

GROUPS = ("model", "loss", "bottleneck", "penalty", "corruption")
WAYS = ("nearest", "bilinear", "bed_of_nails", "unpool", "pixel_shuffle")
CASES = [f"{group}={path.stem}" for group in GROUPS for path in sorted((CONF / group).glob("*.yaml"))]
CASES += [f"model=conv_upsample model.upsample={way}" for way in WAYS]
CASES += ["data.mean=0.5 data.std=0.5", "model=conv_transpose model.norm=batch", "corruption=gaussian loss=mix"]
NOT_SO = {  # what the fake device cannot run
    "bottleneck=vq": "waits within a step for a number of the device",
    "penalty=contractive": "takes an inner gradient",
}
SIDE = 28
FAKE = FakeTensorMode()  # one, since windows of filters are kept
PRECISIONS = {"32": None, "bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}


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


@pytest.fixture
def gpu(monkeypatch):
    """Autocast for a GPU that is not there."""
    monkeypatch.setattr(common, "amp_definitely_not_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda *_: True)


def built(overrides: str):
    tiny = [o for o in TINY if not (o.startswith("model=") and "model=" in overrides)]
    config = compose_config([*tiny, f"data.image_shape=[1,{SIDE},{SIDE}]", "bottleneck.size=8", *overrides.split()])
    return build_module(config, build_data(config))


def batch() -> tuple[Tensor, Tensor]:
    images = torch.empty(32, 1, SIDE, SIDE, dtype=torch.uint8, device="cuda")
    return images, torch.empty(32, dtype=torch.int64, device="cuda")


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("overrides", [case for case in CASES if case not in NOT_SO])
def test_the_loss_of_a_step_is_float32_on_the_gpu(overrides, precision, gpu):
    module, dtype = built(overrides), PRECISIONS[precision]
    with FAKE:
        on_cuda(module)
        with torch.autocast("cuda", dtype, enabled=dtype is not None):
            loss = module.training_loss(*batch())
            codes = module.encode(batch()[0])
    assert (loss.dtype, loss.device.type, loss.shape) == (torch.float32, "cuda", ())
    assert (codes.device.type, len(codes)) == ("cuda", 32 if "nested" not in overrides else 128)  # one a size


@pytest.mark.parametrize(
    "overrides", ["model=fc", "model=conv_upsample", "corruption=gaussian", "data.mean=0.5 data.std=0.5"]
)
def test_what_is_measured_is_float32_on_the_gpu_whatever_the_network_computes_in(overrides, gpu, monkeypatch):
    module = built(overrides)
    monkeypatch.setattr(module, "log", lambda name, value, **_: seen.update({name: value}))
    yardstick = SimpleNamespace(update=lambda *given: seen.update(zip("rts", given, strict=True)))
    monkeypatch.setattr(module, "_yardstick", lambda split: yardstick)
    seen: dict[str, Tensor] = {}
    with FAKE:
        on_cuda(module)
        with torch.autocast("cuda", torch.bfloat16), torch.no_grad():
            seen |= module.validation_step(batch(), 0) or {}
    assert seen.keys() == {"r", "t", "s", "val/loss"}
    assert {(value.dtype, value.device.type) for value in seen.values()} == {(torch.float32, "cuda")}


@pytest.mark.parametrize("loss", ["on the CPU", "in half precision"])
def test_a_broken_loss_would_be_found_out(loss, gpu):
    module = built("model=fc")
    del module.loss
    module.loss = {
        "on the CPU": lambda images, target: F.mse_loss(images, target) + torch.ones(3),
        "in half precision": lambda images, target: F.mse_loss(images.half(), target.half()),
    }[loss]
    with FAKE:
        on_cuda(module)
        if loss == "on the CPU":
            with pytest.raises(RuntimeError, match="on the same device, but found at least two"):
                module.training_loss(*batch())
        else:
            assert module.training_loss(*batch()).dtype == torch.float16
