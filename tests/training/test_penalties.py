"""Penalties on the code against the definitions."""

import pytest
import torch
from torch import nn

from diabolo.errors import UserError
from diabolo.network.autoencoder import Autoencoder
from diabolo.network.bottlenecks.nested import Nested
from diabolo.network.bottlenecks.quantised import VectorQuantised
from diabolo.network.bottlenecks.variational import Variational
from diabolo.network.bottlenecks.vector import Vector
from diabolo.network.families.fc import FCDecoder, FCEncoder
from diabolo.training.penalties import L1, Contractive

SHAPE = (1, 8, 8)
IMAGES = torch.rand(5, *SHAPE, generator=torch.Generator().manual_seed(0))


def network(penalty: nn.Module, hidden: tuple[int, ...] = (9,), activation: str | None = "sigmoid") -> Autoencoder:
    torch.manual_seed(0)
    encoder = FCEncoder(SHAPE, 4, hidden, "tanh")
    return Autoencoder(encoder, Vector(4, activation), FCDecoder(4, SHAPE), SHAPE, penalty=penalty)


def squared_norm(autoencoder: Autoencoder) -> torch.Tensor:
    """Of the exact Jacobian, averaged over the images."""
    norms = [
        torch.autograd.functional.jacobian(lambda x: autoencoder.encode(x[None])[0], image).square().sum()
        for image in IMAGES
    ]
    return torch.stack(norms).mean()


def test_l1_is_the_mean_sum_of_magnitudes():
    autoencoder = network(L1(0.5), activation=None)
    out = autoencoder(IMAGES)
    assert out.penalty.item() == pytest.approx(0.5 * out.code.abs().sum().item() / 5, rel=1e-6)


def test_l1_counts_what_is_not_0():
    codes = torch.tensor([[4.0, 0.0, -1.0, 0.01], [0.0, 0.0, 2.0, 0.0]])
    figures = L1(1.0).diagnostics(codes)
    assert float(figures["l1"]) == pytest.approx((5.01 + 2) / 2)
    assert float(figures["nonzero"]) == 1.5  # .01 is next to nothing beside 4


def test_the_exact_contractive_penalty_is_that_of_the_jacobian():
    autoencoder = network(Contractive(0.3, probes=None))
    assert float(autoencoder(IMAGES).penalty.detach()) == pytest.approx(
        0.3 * float(squared_norm(autoencoder).detach()), rel=1e-5
    )


def test_of_one_sigmoid_layer_it_is_the_papers_sum():
    autoencoder = network(Contractive(1.0, probes=None), hidden=())
    h, weight = autoencoder.encode(IMAGES), autoencoder.encoder[1].weight
    expected = ((h * (1 - h)).square() * weight.square().sum(1)).sum(1).mean()  # Rifai et al. 2011, section 5.3
    assert float(autoencoder(IMAGES).penalty.detach()) == pytest.approx(float(expected.detach()), rel=1e-5)


def test_random_probes_have_it_as_their_mean():
    autoencoder = network(Contractive(1.0, probes=3000))
    torch.manual_seed(0)
    assert float(autoencoder(IMAGES).penalty.detach()) == pytest.approx(
        float(squared_norm(autoencoder).detach()), rel=0.02
    )


@pytest.mark.parametrize("probes", [None, 2])
def test_the_penalty_moves_the_encoder_as_the_jacobian_would(probes):
    autoencoder = network(Contractive(1.0, probes=probes or None))
    weights = list(autoencoder.encoder.parameters())
    if probes:  # the same signs in both
        torch.manual_seed(3)
        signs = [torch.randint(0, 2, (probes, 5, 4)) * 2.0 - 1][0]
    torch.manual_seed(3)
    autoencoder.penalty.probes = probes
    ours = torch.autograd.grad(autoencoder(IMAGES).penalty, weights[::2])
    total = torch.zeros(())
    for i, image in enumerate(IMAGES):
        jacobian = torch.autograd.functional.jacobian(
            lambda x: autoencoder.encode(x[None])[0], image, create_graph=True
        ).flatten(1)
        total = total + (
            jacobian.square().sum() if probes is None else (signs[:, i] @ jacobian).square().sum() / probes
        )
    for one, other in zip(ours, torch.autograd.grad(total / 5, weights[::2]), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-7)


def test_evaluation_measures_it_without_gradients_and_the_same_every_time():
    autoencoder = network(Contractive(1.0)).eval()
    with torch.inference_mode():
        images = IMAGES.clone()
        before = torch.get_rng_state()
        first, second = autoencoder(images).penalty, autoencoder(images).penalty
    assert float(first) == float(second) > 0
    assert not first.requires_grad
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("penalty", ["l1", "contractive"])
def test_a_run_logs_the_penalty_and_a_larger_weight_makes_it_smaller(trained, tiny, penalty):
    quiet = (*tiny, "callbacks=none", "logger=none", f"penalty={penalty}", "trainer.max_epochs=8", "optimizer.lr=.02")
    runs = [trained(*quiet, f"penalty.weight={weight}").metrics() for weight in (1e-3, 10.0)]
    assert runs[0]["test/penalty"] / 1e-3 > 2 * runs[1]["test/penalty"] / 10 > 0
    assert runs[0]["test/loss"] == pytest.approx(runs[0]["test/mse"] + runs[0]["test/penalty"], rel=1e-5)
    assert ("code/l1" in runs[0]) == (penalty == "l1")


@pytest.mark.parametrize("bottleneck", [Variational(4, warmup_steps=10), Nested(4)])
def test_bottlenecks_that_draw_or_count_do_so_once_a_step(bottleneck):
    torch.manual_seed(0)
    encoder = FCEncoder(SHAPE, bottleneck.in_features, (9,), "tanh")
    autoencoder = Autoencoder(encoder, bottleneck, FCDecoder(4, SHAPE), SHAPE, penalty=Contractive(1.0, None))
    own = autoencoder.bottleneck(encoder(IMAGES))[1] or 0.0
    both = autoencoder(IMAGES).penalty.detach()
    assert not hasattr(bottleneck, "done") or int(bottleneck.done) == 2  # this test's step and the network's
    autoencoder.eval()
    wanted = squared_norm(autoencoder)
    assert bottleneck.training is False
    if isinstance(bottleneck, Nested):
        assert float(both - own) == pytest.approx(float(wanted), rel=1e-4)


def test_codes_that_jump_have_no_jacobian():
    torch.manual_seed(0)
    encoder = FCEncoder(SHAPE, 4, (9,), "tanh")
    autoencoder = Autoencoder(
        encoder, VectorQuantised(4, entries=8, dim=2), FCDecoder(4, SHAPE), SHAPE, penalty=Contractive(1.0)
    )
    with pytest.raises(UserError, match=r"`penalty` \(= contractive\) needs codes that follow the pixels"):
        autoencoder(IMAGES)


def test_values_out_of_range_are_refused():
    with pytest.raises(UserError, match=r"`weight` \(= 0\) must be a number above 0"):
        L1(0)
    with pytest.raises(UserError, match=r"`probes` \(= 0\) must be a whole number of at least 1"):
        Contractive(1.0, probes=0)
