"""Total correlation and disentangled inferred priors against torch.distributions and numpy."""

import numpy as np
import pytest
import torch
from torch.distributions import Normal

from diabolo.errors import UserError
from diabolo.network.autoencoder import Autoencoder
from diabolo.network.bottlenecks.variational import Variational
from diabolo.network.bottlenecks.vector import Vector
from diabolo.network.families.fc import FCDecoder, FCEncoder
from diabolo.runs.folder import RunFolder
from diabolo.training.posterior_penalties import DIP, TotalCorrelation, decomposition, stratified

GENERATOR = torch.Generator().manual_seed(0)
MEAN = torch.randn(6, 3, generator=GENERATOR)
LOG_VARIANCE = torch.randn(6, 3, generator=GENERATOR) - 1
NOISE = torch.randn(6, 3, generator=GENERATOR)
CODE = MEAN + (LOG_VARIANCE / 2).exp() * NOISE
SHAPE = (1, 8, 8)


def test_the_three_parts_are_those_of_the_exact_mixture():
    even = torch.full((6, 6), 1 / 6)
    parts = decomposition(CODE, MEAN, LOG_VARIANCE, even)
    for i in range(6):
        densities = torch.stack([Normal(MEAN[k], (LOG_VARIANCE[k] / 2).exp()).log_prob(CODE[i]) for k in range(6)])
        densities = densities.double().exp()  # 6 x 3
        joint, units = densities.prod(1).mean().log(), densities.mean(0).log()
        prior = Normal(0.0, 1.0).log_prob(CODE[i]).sum()
        expected = (densities[i].prod().log() - joint, joint - units.sum(), units.sum() - prior)
        for found, wanted in zip(parts, expected, strict=True):
            assert float(found[i]) == pytest.approx(float(wanted), rel=1e-4, abs=1e-5)


def test_they_sum_to_the_divergence_from_the_prior():
    torch.manual_seed(0)
    kl = torch.distributions.kl_divergence(Normal(MEAN, (LOG_VARIANCE / 2).exp()), Normal(0.0, 1.0)).sum(1).mean()
    sums, weights = [], stratified(6, torch.tensor(60))
    for _ in range(4000):
        code = MEAN + (LOG_VARIANCE / 2).exp() * torch.randn_like(MEAN)
        sums.append(sum(part.mean() for part in decomposition(code, MEAN, LOG_VARIANCE, weights)))
    assert float(torch.stack(sums).mean()) == pytest.approx(float(kl), rel=0.02)


def test_units_that_go_together_have_a_total_correlation_and_others_none():
    torch.manual_seed(0)
    count, weights = 1500, torch.full((1500, 1500), 1 / 1500)
    alone, narrow = torch.randn(count, 2), torch.full((count, 2), -3.0)
    shared = alone[:, :1].repeat(1, 2)
    found = {}
    for name, mean in (("alone", alone), ("shared", shared)):
        code = mean + (narrow / 2).exp() * torch.randn_like(mean)
        found[name] = float(decomposition(code, mean, narrow, weights)[1].mean())
    variance = float(torch.tensor(-3.0).exp())
    correlation = 1 / (1 + variance)  # of Gaussian units: -log(1 - r^2) / 2 nats
    assert found["shared"] == pytest.approx(-0.5 * np.log(1 - correlation**2), rel=0.1)
    assert abs(found["alone"]) < 0.05


def test_stratified_weights_are_the_papers():
    weights = stratified(4, torch.tensor(100))  # M = 3
    assert weights[0].tolist() == pytest.approx([1 / 100, (100 - 3) / 300, 1 / 3, 1 / 3])
    assert weights.sum(1).tolist() == pytest.approx([1] * 4)
    assert weights.diagonal().tolist() == pytest.approx([1 / 100] * 4)
    assert stratified(1, torch.tensor(100)).tolist() == [[1]]


def test_stratified_sampling_has_the_density_of_all_images_as_its_mean():
    """Over all batches: each image with every ordered choice of two of the other three."""
    mean, code = MEAN[:4, :1], CODE[0, :1]
    density = torch.stack([Normal(m, 1.0).log_prob(code).exp() for m in mean]).flatten()
    estimates = []
    for own in range(4):
        others = [i for i in range(4) if i != own]
        for first in others:
            for second in others:
                if first != second:
                    weights = stratified(3, torch.tensor(4))[0]
                    estimates.append(float(weights @ density[[own, first, second]]))
    assert np.mean(estimates) == pytest.approx(float(density.mean()), rel=1e-5)


def test_a_run_tells_the_penalty_how_many_images_it_trains_on(trained, tiny):
    quiet = ("callbacks=none", "logger=none", "bottleneck=variational", "penalty=total_correlation")
    run = trained(*tiny, *quiet)
    kept = torch.load(run.checkpoint("last"), weights_only=True)["state_dict"]
    config = run.config().data
    assert int(kept["autoencoder.penalty.training_images"]) == round(config.limit * (1 - config.val_fraction))


def test_evaluation_draws_the_same_codes_every_time():
    penalty = TotalCorrelation(0.5).eval()
    penalty.training_images.fill_(60)
    noise = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
    code = MEAN + (LOG_VARIANCE / 2).exp() * noise
    expected = 0.5 * decomposition(code, MEAN, LOG_VARIANCE, stratified(6, torch.tensor(60)))[1].mean()
    assert float(penalty.of_posterior(MEAN, MEAN, LOG_VARIANCE)) == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize("covariance", ["means", "codes"])
def test_dip_is_the_distance_of_numpys_covariance_from_the_identity(covariance):
    matrix = np.cov(MEAN.numpy().T, bias=True)
    if covariance == "codes":
        matrix = matrix + np.diag(np.exp(LOG_VARIANCE.numpy()).mean(0))
    between = sum(matrix[i, j] ** 2 for i in range(3) for j in range(3) if i != j)
    expected = 0.3 * between + 2.0 * ((np.diag(matrix) - 1) ** 2).sum()
    found = DIP(0.3, 2.0, covariance).of_posterior(CODE, MEAN, LOG_VARIANCE)
    assert float(found) == pytest.approx(expected, rel=1e-5)


def test_it_is_added_to_what_the_bottleneck_asks_for():
    torch.manual_seed(0)
    bottleneck = Variational(4, beta=0.5)
    parts = FCEncoder(SHAPE, 8, (9,)), bottleneck, FCDecoder(4, SHAPE)
    ours = Autoencoder(*parts, SHAPE, penalty=DIP(0.3, 2.0)).eval()
    out = ours(torch.rand(6, *SHAPE))
    own = bottleneck(out.features)[1]
    expected = own + DIP(0.3, 2.0).of_posterior(out.code, *bottleneck.posterior(out.features))
    assert float(out.penalty.detach()) == pytest.approx(float(expected.detach()), rel=1e-6)


@pytest.mark.parametrize("penalty", [TotalCorrelation(1.0), DIP(1.0, 1.0)])
def test_a_code_without_gaussians_is_refused(penalty):
    words = rf"`penalty` \({type(penalty).__name__}\) looks at the Gaussians .* `bottleneck` \(Vector\) has none"
    with pytest.raises(UserError, match=words):
        Autoencoder(FCEncoder(SHAPE, 4), Vector(4), FCDecoder(4, SHAPE), SHAPE, penalty=penalty)


@pytest.mark.parametrize(("make", "words"), [
    (lambda: TotalCorrelation(0), r"`weight` \(= 0\) must be a number above 0"),
    (lambda: DIP(1.0, -1), r"`diagonal` \(= -1\) must be a number of at least 0"),
    (lambda: DIP(1.0, 1.0, "both"), r"`covariance` \(= 'both'\) must be one of means, codes"),
])  # fmt: skip
def test_values_out_of_range_are_refused(make, words):
    with pytest.raises(UserError, match=words):
        make()


@pytest.mark.slow
def test_two_processes_count_the_images_of_both(process, tmp_path, tiny):
    quiet = ("callbacks=none", "logger=none", "bottleneck=variational", "penalty=total_correlation")
    ddp = ("trainer=ddp", "trainer.devices=2", "trainer.accelerator=cpu", "hydra.run.dir=run")
    assert process("train", *tiny, *quiet, *ddp).wait(240) == 0
    run = RunFolder(tmp_path / "run")
    kept = torch.load(run.checkpoint("last"), weights_only=True)["state_dict"]
    config = run.config().data
    assert int(kept["autoencoder.penalty.training_images"]) == round(config.limit * (1 - config.val_fraction))
