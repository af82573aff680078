"""Every bottleneck and penalty with every family: composed, trained, saved, loaded, continued; tied weights."""

import re
from copy import deepcopy

import pytest
import torch
from torch import nn

from diabolo.errors import UserError
from diabolo.lessons.inspection import walk
from diabolo.network.autoencoder import Autoencoder
from diabolo.network.bottlenecks.vector import Vector
from diabolo.network.families.conv import ConvEncoder
from diabolo.network.families.fc import FCDecoder, FCEncoder, FCTiedDecoder
from diabolo.runs.build import build_module
from diabolo.runs.config import compose_config
from diabolo.runs.folder import RunFolder
from diabolo.runs.loading import load
from diabolo.runs.train import resume
from diabolo.training.ema import EMA
from stopping import BARE, assert_same, stop
from support import CONF, TINY

OF_SIZE_4 = {
    "vector": (),
    "variational": ("bottleneck.warmup_steps=9",),
    "importance": ("loss.reduction=sum",),
    "vamp": ("bottleneck.pseudo_inputs=3",),
    "top_k": ("bottleneck.k=2",),
    "noisy": (),
    "nested": (),
    "vq": ("bottleneck.entries=8", "bottleneck.dim=2"),
    "fsq": (),
}
PENALTIES = {
    "l1": (),
    "contractive": (),
    "mmd": (),
    "sliced_wasserstein": (),
    "total_correlation": ("bottleneck=variational",),
    "dip": ("bottleneck=variational",),
    "rae": ("penalty.gradient=0.01",),
}
TWICE = {f"bottleneck={name}" for name in ("variational", "importance", "vamp")}  # two numbers a unit of the code
MODELS = sorted(path.stem for path in (CONF / "model").glob("*.yaml"))
CHOICES = {f"bottleneck={name}": more for name, more in OF_SIZE_4.items()} | {
    f"penalty={name}": more for name, more in PENALTIES.items()
}
FIGURES = {
    "bottleneck=variational": {"code/kl", "code/active_units"},
    "bottleneck=importance": {"code/kl", "code/active_units"},
    "bottleneck=vamp": {"code/kl", "code/active_units"},
    "penalty=total_correlation": {"code/kl", "code/active_units"},
    "penalty=dip": {"code/kl", "code/active_units"},
    "bottleneck=top_k": {"code/used_units"},
    "bottleneck=noisy": {"code/bits"},
    "bottleneck=vq": {"code/perplexity", "code/usage", "code/bits"},
    "bottleneck=fsq": {"code/perplexity", "code/usage", "code/bits"},
    "penalty=l1": {"code/l1", "code/nonzero"},
}


def test_every_bottleneck_and_penalty_on_disk_is_tried_here():
    assert set(OF_SIZE_4) == {path.stem for path in (CONF / "bottleneck").glob("*.yaml")}
    assert set(PENALTIES) | {"none"} == {path.stem for path in (CONF / "penalty").glob("*.yaml")}


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("choice", CHOICES)
def test_every_family_passes_images_and_gradients(model, choice):
    if model == "fc_tied" and TWICE.intersection((choice, *CHOICES[choice])):
        pytest.skip("refused: see below")
    torch.manual_seed(0)
    small = ("model.channels=[4,6]", "model.hidden=[16,12]", "model.activation=tanh", "bottleneck.size=4")
    module = build_module(compose_config((f"model={model}", choice, *CHOICES[choice], *small)))
    images = torch.randint(0, 256, (6, 1, 28, 28), dtype=torch.uint8)
    for _ in range(2):  # the second time a codebook has been filled
        module.zero_grad()
        loss = module.training_loss(images, torch.zeros(6, dtype=torch.long))
        loss.backward()
    assert loss.shape == ()
    for name, parameter in module.autoencoder.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
    module.eval()
    assert torch.equal(module.encode(images), module.encode(images))
    assert module.reconstruct(images).shape == images.shape


@pytest.fixture(scope="module")
def unbroken(trained) -> dict[str, RunFolder]:
    return {}


@pytest.mark.filterwarnings("ignore:Checkpoint directory .* is not empty")
@pytest.mark.parametrize("choice", [choice for choice in CHOICES if choice != "bottleneck=vector"])
def test_a_run_logs_its_figures_is_loaded_and_continued_bit_for_bit(choice, trained, monkeypatch, tmp_path):
    overrides = (*BARE, "trainer.max_epochs=2", choice, *CHOICES[choice])
    whole = trained(*overrides)
    assert {name for name in whole.metrics() if name.startswith("code/")} == FIGURES.get(choice, set())
    broken = RunFolder(tmp_path / "run")
    assert stop(monkeypatch, broken, overrides, 3) == 143
    resume(broken.path)
    assert_same(broken, whole)
    images = torch.randint(0, 256, (5, 1, 8, 8), dtype=torch.uint8)
    with torch.no_grad():
        assert torch.equal(load(broken.path).reconstruct(images), load(whole.path).reconstruct(images))


def test_an_average_of_the_weights_leaves_the_grid_of_a_code_as_it_is():
    before, levels = torch.tensor([3, 4]), torch.tensor([8, 5])
    average = EMA(0.9).average
    assert torch.equal(average(before, levels, 7), levels)
    assert average(torch.tensor([1.0]), torch.tensor([2.0]), 7).item() == pytest.approx(8 / 17 + 2 * 9 / 17)


@pytest.mark.parametrize("choice", ["bottleneck=variational", "bottleneck=nested", "bottleneck=vq"])
def test_an_average_of_the_weights_goes_with_counts_and_codebooks(trained, choice):
    metrics = trained(*BARE, choice, *CHOICES[choice], "trainer.ema=0.9").metrics()
    assert metrics["test/mse"] < 0.3


@pytest.mark.parametrize("choice", CHOICES)
def test_bf16_gives_finite_numbers(choice):
    torch.manual_seed(0)
    module = build_module(compose_config((*TINY, choice, *CHOICES[choice])))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = module.training_loss(torch.randint(0, 256, (6, 1, 8, 8), dtype=torch.uint8), torch.zeros(6))
    loss.backward()
    assert (loss.dtype, loss.isfinite().item()) == (torch.float32, True)
    assert all(p.grad.isfinite().all() for p in module.autoencoder.parameters())


# ---- tied weights ----

SHAPE = (1, 8, 8)
IMAGES = torch.rand(5, *SHAPE, generator=torch.Generator().manual_seed(0))


def tied() -> Autoencoder:
    torch.manual_seed(0)
    encoder = FCEncoder(SHAPE, 4, (12, 7), "tanh")
    return Autoencoder(encoder, Vector(4), FCTiedDecoder(4, SHAPE, (12, 7), "tanh"), SHAPE)


def test_a_tied_decoder_computes_with_the_transposed_weights():
    ours = tied()
    plain = FCDecoder(4, SHAPE, (12, 7), "tanh")
    weights = [layer.weight for layer in ours.encoder if isinstance(layer, nn.Linear)]
    layers = [layer for layer in plain if isinstance(layer, nn.Linear)]
    own = [layer for layer in ours.decoder if hasattr(layer, "bias")]
    for layer, weight, bias in zip(layers, reversed(weights), own, strict=True):
        nn.init.normal_(bias.bias)
        layer.weight.data, layer.bias.data = weight.data.T, bias.bias.data
    codes = torch.randn(3, 4)
    torch.testing.assert_close(ours.decoder(codes), plain(codes))


def test_tied_weights_are_counted_and_saved_once_and_have_both_gradients():
    ours = tied()
    biases = 12 + 7 + 4 + 7 + 12 + 64
    assert sum(p.numel() for p in ours.parameters()) == 64 * 12 + 12 * 7 + 7 * 4 + biases
    assert [name for name in ours.state_dict() if name.startswith("decoder")] == [
        "decoder.0.bias", "decoder.2.bias", "decoder.4.bias"
    ]  # fmt: skip
    weight = ours.encoder[1].weight
    code = ours.encode(IMAGES)
    (through_decoder,) = torch.autograd.grad(ours.decode(code.detach()).sum(), weight)
    (through_encoder,) = torch.autograd.grad(code, weight, torch.autograd.grad(ours.decode(code).sum(), code)[0])
    ours.decode(ours.encode(IMAGES)).sum().backward()
    torch.testing.assert_close(weight.grad, through_decoder + through_encoder)


def test_a_copy_is_tied_to_its_own_encoder():
    ours = tied()
    other = deepcopy(ours)
    before = ours.decode(torch.ones(1, 4))
    nn.init.zeros_(other.encoder[1].weight)
    assert torch.equal(ours.decode(torch.ones(1, 4)), before)
    assert not torch.equal(other.decode(torch.ones(1, 4)), before)


def test_the_walk_counts_the_biases_of_tied_layers():
    steps = {step.path: step for step in walk(tied())}
    assert (steps["decoder.4"].layer, steps["decoder.4"].parameters, steps["decoder.4"].shape) == (
        "TiedLinear",
        64,
        (64,),
    )


@pytest.mark.parametrize(("encoder", "found"), [
    (FCEncoder(SHAPE, 4, (9,)), "the encoder (FCEncoder) has [(64, 9), (9, 4)]"),
    (FCEncoder(SHAPE, 8, (12, 7)), "the encoder (FCEncoder) has [(64, 12), (12, 7), (7, 8)]"),  # a Gaussian's
    (ConvEncoder(SHAPE, 4), "the encoder (ConvEncoder) has [(64, 4)]"),
])  # fmt: skip
def test_an_encoder_of_other_layers_is_refused(encoder, found):
    message = f"it needs encoder=fc with linear layers of [(64, 12), (12, 7), (7, 4)] (inputs, outputs), but {found}."
    with pytest.raises(UserError, match=re.escape(message)):
        FCTiedDecoder(4, SHAPE, (12, 7)).tie(encoder)
