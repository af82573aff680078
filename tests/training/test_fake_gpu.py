"""The training path on CUDA tensors that have no values: no GPU is needed to see that each stands where it must, that
the loss is computed in float32, and that nothing on the device is float64, which Apple's GPU lacks. A tensor that is on
the CPU makes torch raise."""

from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.cuda.amp import common

from diabolo.measures.yardstick import Yardstick
from fake_gpu import IMAGES, PRECISIONS, batch, built, faked, on_cuda
from support import CONF

GROUPS = ("model", "loss", "bottleneck", "penalty", "corruption")
WAYS = ("nearest", "bilinear", "bed_of_nails", "unpool", "pixel_shuffle")
CASES = [f"{group}={path.stem}" for group in GROUPS for path in sorted((CONF / group).glob("*.yaml"))]
CASES += [f"model=conv_upsample model.upsample={way}" for way in WAYS]
CASES += ["data.mean=0.5 data.std=0.5", "model=conv_transpose model.norm=batch", "corruption=gaussian loss=mix"]
NEEDS = {  # something else beside it
    "bottleneck=importance": "loss.reduction=sum",
    "penalty=total_correlation": "bottleneck=variational",
    "penalty=dip": "bottleneck=variational",
}
NOT_SO = {  # what the fake device cannot run
    "bottleneck=vq": "waits within a step for a number of the device",
    "penalty=contractive": "takes an inner gradient",
}
MEASURED = ["model=fc", "model=conv_upsample", "corruption=gaussian", "data.mean=0.5 data.std=0.5"]


@pytest.fixture
def gpu(monkeypatch):
    """Autocast for a CUDA GPU that is not there."""
    monkeypatch.setattr(common, "amp_definitely_not_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda *_: True)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("overrides", [case for case in CASES if case not in NOT_SO])
def test_the_loss_of_a_step_is_float32_on_the_gpu(overrides, precision, gpu):
    module, dtype = built(f"{overrides} {NEEDS.get(overrides, '')}"), PRECISIONS[precision]
    with faked():
        on_cuda(module)
        with torch.autocast("cuda", dtype, enabled=dtype is not None):
            loss = module.training_loss(*batch())
            codes = module.encode(batch()[0])
    assert (loss.dtype, loss.device.type, loss.shape) == (torch.float32, "cuda", ())
    several = {"bottleneck=nested": 4, "bottleneck=importance": 5}.get(overrides, 1)  # codes an image, in training
    assert (codes.device.type, len(codes)) == ("cuda", IMAGES * several)


@pytest.mark.parametrize("overrides", MEASURED)
def test_what_is_measured_is_float32_on_the_gpu_whatever_the_network_computes_in(overrides, gpu, monkeypatch):
    module = built(overrides)
    monkeypatch.setattr(module, "log", lambda name, value, **_: seen.update({name: value}))
    yardstick = SimpleNamespace(
        per_image=Yardstick().per_image, update=lambda r, t, per_image: seen.update(r=r, t=t, **per_image)
    )
    monkeypatch.setattr(module, "_yardstick", lambda split: yardstick)
    seen: dict[str, Tensor] = {}
    with faked():
        on_cuda(module)
        with torch.autocast("cuda", torch.bfloat16), torch.no_grad():
            seen |= module.validation_step(batch(), 0) or {}
    assert seen.keys() == {"r", "t", "ssim", "val/loss"}
    assert {(value.dtype, value.device.type) for value in seen.values()} == {(torch.float32, "cuda")}


@pytest.mark.parametrize("float64", [True, False])
def test_a_classifier_trains_and_is_measured_on_the_gpu(float64, gpu, monkeypatch):
    module = built("task=classify bottleneck.size=10")
    seen: dict[str, Tensor] = {}
    monkeypatch.setattr(module, "log", lambda name, value, **_: seen.update({name: value}))
    counts = SimpleNamespace(update=lambda named, labels: None, reset=lambda: None)
    monkeypatch.setattr(module, "_counts", lambda split: counts)
    if not float64:
        monkeypatch.setattr("diabolo.measures.precise.WITHOUT_FLOAT64", ("cuda",))
    with faked(float64):
        on_cuda(module)
        counts.compute = lambda: torch.empty(10, 10, dtype=torch.int64, device="cuda")
        with torch.autocast("cuda", torch.bfloat16):
            loss = module.training_loss(*batch())
            module.validation_step(batch(), 0)
            module.on_validation_epoch_end()
    assert (loss.dtype, loss.device.type) == (torch.float32, "cuda")
    assert {name: value.dtype for name, value in seen.items()} == dict.fromkeys(
        ("val/loss", "val/accuracy"), torch.float32
    )


@pytest.mark.parametrize("loss", ["on the CPU", "in half precision"])
def test_a_broken_loss_would_be_found_out(loss, gpu):
    module = built("model=fc")
    del module.loss
    module.loss = {
        "on the CPU": lambda images, target: F.mse_loss(images, target) + torch.ones(3),
        "in half precision": lambda images, target: F.mse_loss(images.half(), target.half()),
    }[loss]
    with faked():
        on_cuda(module)
        if loss == "on the CPU":
            with pytest.raises(RuntimeError, match="on the same device, but found at least two"):
                module.training_loss(*batch())
        else:
            assert module.training_loss(*batch()).dtype == torch.float16


def test_float64_on_the_device_would_be_found_out():
    with faked():
        images = torch.empty(3, device="cuda")
        for widen in (torch.Tensor.double, lambda x: x.sum(dtype=torch.float64), lambda x: x.to(torch.float64)):
            with pytest.raises(TypeError, match="there is no float64"):
                widen(images)
