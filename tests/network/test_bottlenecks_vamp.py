"""The learnt prior against a mixture by torch.distributions."""

import pytest
import torch
from torch import nn
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from diabolo.network.autoencoder import Autoencoder
from diabolo.network.bottlenecks.vamp import Vamp
from diabolo.network.families.fc import FCDecoder, FCEncoder

SHAPE = (1, 8, 8)
IMAGES = torch.rand(6, *SHAPE, generator=torch.Generator().manual_seed(0))


def network(pseudo_inputs: int = 3, norm: str = "none") -> Autoencoder:
    torch.manual_seed(0)
    bottleneck = Vamp(4, SHAPE, pseudo_inputs, beta=1.0)
    ours = Autoencoder(FCEncoder(SHAPE, 8, (9,), norm=norm), bottleneck, FCDecoder(4, SHAPE), SHAPE)
    nn.init.normal_(bottleneck.pseudo_inputs, std=3.0)
    return ours


def mixture(ours: Autoencoder) -> MixtureSameFamily:
    mean, log_variance = ours.encoder(ours.bottleneck.pseudo_inputs).chunk(2, 1)
    components = Independent(Normal(mean, (log_variance / 2).exp()), 1)
    return MixtureSameFamily(Categorical(torch.ones(len(mean))), components)


def test_the_penalty_is_that_of_the_mixture_of_the_pseudo_inputs():
    ours = network()
    torch.manual_seed(3)
    out = ours(IMAGES)
    mean, log_variance = ours.encoder(IMAGES).chunk(2, 1)
    posterior = Independent(Normal(mean, (log_variance / 2).exp()), 1)
    expected = (posterior.log_prob(out.code) - mixture(ours).log_prob(out.code)).mean()
    assert float(out.penalty.detach()) == pytest.approx(float(expected.detach()), rel=1e-4)


def test_images_that_are_the_pseudo_inputs_have_a_divergence_of_at_most_the_log_of_their_count():
    ours = network(6)
    ours.bottleneck.pseudo_inputs.data = IMAGES.clone()
    with torch.no_grad():
        penalties = torch.stack([ours(IMAGES).penalty for _ in range(200)])
    assert 0 < float(penalties.mean()) <= float(torch.tensor(6.0).log())  # q(z|x) is one of six components


def test_samples_come_from_the_mixture():
    ours = network()
    torch.manual_seed(0)
    codes = ours.bottleneck.sample(100_000)
    wanted = mixture(ours)
    torch.testing.assert_close(codes.mean(0), wanted.mean.detach(), rtol=0.02, atol=0.02)
    torch.testing.assert_close(codes.var(0), wanted.variance.detach(), rtol=0.02, atol=0.02)


def test_the_prior_learns_and_its_encoder_is_no_second_one():
    ours = network()
    ours(IMAGES).penalty.backward()
    assert ours.bottleneck.pseudo_inputs.grad.any()
    assert {name for name in ours.state_dict() if name.startswith("bottleneck")} == {
        "bottleneck.done",
        "bottleneck.pseudo_inputs",
    }


def test_pseudo_inputs_leave_the_statistics_of_the_images_alone():
    ours, plain = network(norm="batch"), network(norm="batch")
    ours(IMAGES)
    plain.encoder(IMAGES)
    for one, other in zip(ours.encoder.buffers(), plain.encoder.buffers(), strict=True):
        assert torch.equal(one, other)
    assert ours.encoder.training


def test_evaluation_says_the_same_every_time_and_so_do_its_figures():
    ours = network().eval().requires_grad_(False)
    before = torch.get_rng_state()
    first, second = ours(IMAGES), ours(IMAGES)
    assert torch.equal(first.penalty, second.penalty)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first.code, ours.encode(IMAGES))
    figures = ours.diagnostics(first.features)
    assert float(figures["kl"]) == pytest.approx(float(first.penalty), rel=1e-5)
    assert int(figures["active_units"]) == int((first.code.var(0, unbiased=False) > 0.01).sum())
