"""Figures and callbacks that compute, on CUDA tensors without values; and on a GPU without float64, as Apple's is."""

from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from diabolo.callbacks import (
    Anomaly,
    CheckerboardScore,
    Denoising,
    SuperResolution,
    Truncation,
)
from diabolo.data.pixels import unit_interval
from diabolo.measures.checkerboard import Checkerboard
from diabolo.measures.ridge import LinearMap
from diabolo.measures.yardstick import Yardstick
from fake_gpu import SIDE, batch, built, faked, on_cuda

WHERE = {True: "cuda", False: "cpu"}  # float64 tensors stand, for a GPU with float64 and one without
CASES = {
    "model=fc": (Anomaly, CheckerboardScore),
    "bottleneck=nested": (Truncation,),
    "corruption=gaussian": (Denoising,),
    "corruption=downsample": (SuperResolution,),
}


def copied(state):
    """A copy of a metric's state; `deepcopy` asks for where a tensor's values lie."""
    return state.clone() if isinstance(state, Tensor) else list(state)


@pytest.fixture
def without(float64, monkeypatch) -> None:
    monkeypatch.setattr(
        "torchmetrics.metric.deepcopy", lambda state: state[:] if isinstance(state, list) else state.clone()
    )
    if not float64:
        monkeypatch.setattr("diabolo.measures.precise.WITHOUT_FLOAT64", ("cuda",))


@pytest.mark.parametrize("float64", WHERE)
def test_figures_of_images_on_a_gpu_are_summed_in_float64_where_there_is_float64(float64, without):
    with faked(float64):
        images = torch.empty(4, 3, SIDE, SIDE, device="cuda")
        for metric, given in ((Yardstick(), (images, images)), (Checkerboard(), (images,))):
            metric.to("cuda").update(*given)
            figures = metric.compute()
            for figure in figures.values() if isinstance(figures, dict) else [figures]:
                assert (figure.dtype, figure.device.type) == (torch.float64, WHERE[float64])
            metric.reset()
            assert {getattr(metric, state).device.type for state in metric._defaults} == {WHERE[float64]}


@pytest.mark.parametrize("float64", WHERE)
@pytest.mark.parametrize(("overrides", "make"), [(given, one) for given, those in CASES.items() for one in those])
def test_a_callback_measures_a_batch_on_the_gpu(overrides, make, float64, without, monkeypatch):
    module, callback = built(overrides), make()
    monkeypatch.setattr(module, "log", lambda *_, **__: None)
    monkeypatch.setattr(type(module), "device", torch.device("cuda", 0))
    trainer = SimpleNamespace()
    module.eval()
    with faked(float64):
        on_cuda(module)
        yardstick = Yardstick().to("cuda")
        monkeypatch.setattr(module, "_yardstick", lambda split: yardstick)
        images, labels = batch()
        with torch.no_grad():
            outputs = module.test_step((images, labels), 1)
            if isinstance(callback, Denoising | SuperResolution):
                callback.yardsticks = {}
                callback.linear = LinearMap([(module.corrupted(images), unit_interval(images))] * 2)
            elif isinstance(callback, CheckerboardScore):
                callback.reconstructions, callback.originals = Checkerboard().to("cuda"), Checkerboard().to("cuda")
            else:
                if isinstance(callback, Truncation):
                    callback.setup(trainer, module, "test")
                callback.on_test_epoch_start(trainer, module)
            callback.on_test_batch_end(trainer, module, outputs, (images, labels), 1)
    where = WHERE[float64]
    if isinstance(callback, Truncation):
        assert (callback.squared.dtype, callback.squared.device.type) == (torch.float64, where)
    if isinstance(callback, Denoising | SuperResolution):
        assert callback.linear.weights.device.type == "cuda"
        assert {one.squared.device.type for one in callback.yardsticks.values()} == {where}
    if isinstance(callback, Anomaly):
        assert {value.device.type for value in callback.parts[0].values()} == {"cpu"}


def test_sums_of_a_device_without_float64_are_as_good_to_seven_digits(monkeypatch):
    draw = torch.Generator().manual_seed(0)
    parts = [torch.rand(2, 50, 3, 16, 16, generator=draw).unbind() for _ in range(6)]

    def figures() -> dict[str, Tensor]:
        yardstick = Yardstick()
        for pair in parts:
            yardstick.update(*pair)
        return yardstick.compute()

    precise = figures()
    monkeypatch.setattr("diabolo.measures.precise.has_float64", lambda device: False)
    for name, figure in figures().items():
        assert figure.dtype == torch.float64
        assert float(figure) == pytest.approx(float(precise[name]), rel=1e-7)
        assert float(figure) != 0
