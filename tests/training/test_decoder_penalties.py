"""Regularised autoencoders: short codes, the exact Jacobian of a decoder, and weights of largest singular value 1."""

import numpy as np
import pytest
import torch
from torch import nn

from diabolo.errors import UserError
from diabolo.lessons.inspection import walk
from diabolo.network.autoencoder import Autoencoder
from diabolo.network.bottlenecks.vector import Vector
from diabolo.network.families.fc import FCDecoder, FCEncoder
from diabolo.runs.build import build_autoencoder, build_module
from diabolo.runs.config import compose_config
from diabolo.training.decoder_penalties import RAE

SHAPE = (1, 8, 8)
IMAGES = torch.rand(5, *SHAPE, generator=torch.Generator().manual_seed(0))


def network(penalty: nn.Module) -> Autoencoder:
    torch.manual_seed(0)
    return Autoencoder(FCEncoder(SHAPE, 4, (9,), "tanh"), Vector(4), FCDecoder(4, SHAPE, (9,), "tanh"), SHAPE,
                       penalty=penalty)  # fmt: skip


def half_norm(ours: Autoencoder) -> torch.Tensor:
    """Half the squared norm of the exact Jacobian, averaged over the codes."""
    norms = [
        torch.autograd.functional.jacobian(lambda z: ours.decode(z[None])[0], code, create_graph=True).square().sum()
        for code in ours.encode(IMAGES)
    ]
    return 0.5 * torch.stack(norms).mean()


def test_without_a_gradient_it_is_half_the_squared_length():
    out = network(RAE(0.3))(IMAGES)
    assert float(out.penalty.detach()) == pytest.approx(0.15 * float(out.code.detach().square().sum()) / 5, rel=1e-6)


def test_random_probes_have_the_norm_of_the_jacobian_as_their_mean():
    ours = network(RAE(1e-9, 0.4, probes=3000))
    torch.manual_seed(0)
    expected = 0.4 * float(half_norm(ours).detach())
    assert float(ours(IMAGES).penalty.detach()) == pytest.approx(expected, rel=0.02)


def test_it_moves_decoder_and_encoder_as_the_jacobian_would():
    """With every unit vector of the image for a probe, times the root of their count, the estimate is exact."""
    ours = network(RAE(1e-12, 1.0, probes=1))
    weights = [ours.decoder[0].weight, ours.encoder[1].weight]
    found = [torch.zeros_like(one) for one in weights]
    torch.manual_seed(0)
    for _ in range(600):
        for total, one in zip(found, torch.autograd.grad(ours(IMAGES).penalty, weights), strict=True):
            total += one / 600
    for ours_, exact in zip(found, torch.autograd.grad(half_norm(ours), weights), strict=True):
        assert float((ours_ - exact).norm() / exact.norm()) < 0.2
        assert float(exact.norm()) > 0


def test_evaluation_measures_it_without_gradients_and_the_same_every_time():
    ours = network(RAE(1.0, 1.0)).eval()
    with torch.inference_mode():
        first, second = (ours(IMAGES.clone()).penalty for _ in range(2))
    assert float(first) == float(second) > 0
    assert not first.requires_grad


# ---- decoder.spectral_norm ----

SMALL = ("model.channels=[4,6]", "model.hidden=[16,12]", "data.image_shape=[1,8,8]", "decoder.spectral_norm=true")
OFF = ("decoder.spectral_norm=false",)


@pytest.mark.parametrize("decoder", ["fc", "conv_transpose", "conv_upsample", "lenet", "residual"])
def test_each_layer_of_the_decoder_has_a_largest_singular_value_of_1(decoder):
    torch.manual_seed(0)
    shape = ("data.image_shape=[1,28,28]",) if decoder == "lenet" else ()
    ours = build_autoencoder(compose_config((*SMALL, *shape, f"decoder={decoder}", "model.norm=batch")))
    images = torch.rand(4, *ours.image_shape)
    for _ in range(100):  # steps of the power iteration
        ours(images)
    layers = [one for one in ours.decoder.modules() if isinstance(one, nn.Linear | nn.Conv2d | nn.ConvTranspose2d)]
    assert layers
    for layer in layers:
        weight = layer.weight.detach()
        outputs = weight.transpose(0, 1) if isinstance(layer, nn.ConvTranspose2d) else weight
        assert np.linalg.norm(outputs.flatten(1).numpy(), 2) == pytest.approx(1, rel=0.01)
    assert not any("parametrizations" in name for name in ours.encoder.state_dict())


def test_its_gradients_reach_every_weight():
    module = build_module(compose_config(SMALL))
    module.training_loss(torch.rand(4, 1, 8, 8), torch.zeros(4)).backward()
    assert all(one.grad is not None and one.grad.isfinite().all() for one in module.autoencoder.parameters())


def test_inspect_counts_a_normalised_layer_as_the_layer_that_it_is():
    torch.manual_seed(0)
    plain, normalised = (walk(build_autoencoder(compose_config((*SMALL, *more)))) for more in (OFF, ()))
    assert [(one.path, one.layer, one.parameters) for one in normalised] == [
        (one.path, one.layer, one.parameters) for one in plain
    ]


@pytest.mark.parametrize("part", ["bottleneck=vamp", "bottleneck=importance", "penalty=rae", "penalty=dip"])
def test_a_classifier_refuses_what_needs_a_decoder_or_its_likelihoods(part):
    more = ("bottleneck=variational",) if part == "penalty=dip" else ()
    with pytest.raises(UserError, match=r"is for networks that reconstruct, and a classifier does not"):
        build_module(compose_config(("model=lenet", "task=classify", part, *more)))


def test_a_decoder_without_weights_of_its_own_is_refused():
    with pytest.raises(UserError, match=r"`decoder.spectral_norm` \(= true\) finds no layer with weights of its own"):
        build_autoencoder(compose_config((*SMALL, "model=fc_tied")))


@pytest.mark.parametrize(("make", "words"), [
    (lambda: RAE(0), r"`weight` \(= 0\) must be a number above 0"),
    (lambda: RAE(1.0, -1), r"`gradient` \(= -1\) must be a number of at least 0"),
    (lambda: RAE(1.0, 1.0, 0), r"`probes` \(= 0\) must be a whole number of at least 1"),
])  # fmt: skip
def test_values_out_of_range_are_refused(make, words):
    with pytest.raises(UserError, match=words):
        make()
