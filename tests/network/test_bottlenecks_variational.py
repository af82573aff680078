"""The Gaussian bottleneck against torch.distributions and written-out schedules."""

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from diabolo.errors import UserError
from diabolo.network.bottlenecks.variational import Variational

FEATURES = torch.randn(7, 6, generator=torch.Generator().manual_seed(0)) * 2
MEAN, LOG_VARIANCE = FEATURES.chunk(2, 1)
KL = kl_divergence(Normal(MEAN, (LOG_VARIANCE / 2).exp()), Normal(0.0, 1.0))  # 7 x 3, nats


def test_the_penalty_is_beta_times_the_kl_of_a_code_averaged_over_the_images():
    _, penalty = Variational(3, beta=0.25)(FEATURES)
    assert float(penalty) == pytest.approx(0.25 * float(KL.sum(1).mean()), rel=1e-6)


def test_it_asks_for_two_numbers_a_unit():
    assert (Variational(3).size, Variational(3).in_features) == (3, 6)


def test_in_evaluation_the_code_is_the_mean_and_in_training_a_draw():
    bottleneck = Variational(3)
    features = torch.tensor([[0.5, -1.0, 2.0, -2.0, 0.0, 1.0]]).expand(200_000, -1)
    torch.manual_seed(0)
    drawn, _ = bottleneck(features)
    torch.testing.assert_close(drawn.mean(0), features[0, :3], rtol=0, atol=0.02)
    torch.testing.assert_close(drawn.std(0), (features[0, 3:] / 2).exp(), rtol=0.01, atol=0)
    assert torch.equal(bottleneck.eval()(FEATURES)[0], MEAN)


def test_free_bits_spare_what_a_unit_has_below_them_on_average_over_the_batch():
    floor = float(KL.mean(0).sort().values[1])  # the middle one of three units
    _, penalty = Variational(3, beta=1.0, free_bits=floor)(FEATURES)
    assert float(penalty) == pytest.approx(sum(max(floor, float(kl)) for kl in KL.mean(0)), rel=1e-6)
    assert float(penalty) > float(KL.mean(0).sum())


def test_a_unit_below_its_free_bits_has_no_gradient_from_the_penalty():
    features = FEATURES.clone().requires_grad_()
    Variational(3, beta=1.0, free_bits=float(KL.mean(0).max()) - 1e-3)(features)[1].backward()
    least = int(KL.mean(0).argmax())
    assert [bool(features.grad[:, unit].any()) for unit in range(3)] == [unit == least for unit in range(3)]


def test_beta_rises_over_the_steps_and_the_count_is_kept_with_the_weights():
    bottleneck = Variational(3, beta=0.5, warmup_steps=4)
    full = 0.5 * float(KL.sum(1).mean())
    shares = [float(bottleneck(FEATURES)[1]) / full for _ in range(6)]
    assert shares == pytest.approx([0, 0.25, 0.5, 0.75, 1, 1])
    other = Variational(3, beta=0.5, warmup_steps=4)
    for _ in range(2):
        other(FEATURES)
    assert float(other.eval()(FEATURES)[1]) == pytest.approx(full)  # and evaluation counts no step
    continued = Variational(3, beta=0.5, warmup_steps=4)
    continued.load_state_dict(other.state_dict())
    assert float(continued(FEATURES)[1]) / full == pytest.approx(0.5)


def test_beta_rises_from_epoch_to_epoch():
    bottleneck, full = Variational(3, beta=2.0, warmup_epochs=2), 2 * float(KL.sum(1).mean())
    shares = []
    for epoch in range(4):
        bottleneck.start_epoch(epoch)
        shares += [float(bottleneck(FEATURES)[1]) / full for _ in range(2)]
    assert shares == pytest.approx([0, 0, 0.5, 0.5, 1, 1, 1, 1])


def test_a_run_raises_beta_from_epoch_to_epoch(trained, tiny):
    quiet = ("callbacks=none", "logger=none", "bottleneck=variational", "bottleneck.size=4", "bottleneck.beta=1.0")
    run = trained(*tiny, *quiet, "bottleneck.warmup_epochs=3", "trainer.max_epochs=3")
    kept = torch.load(run.checkpoint("last"), weights_only=True)["state_dict"]
    assert int(kept["autoencoder.bottleneck.done"]) == 2


def test_diagnostics_are_the_kl_and_the_units_whose_mean_moves():
    generator = torch.Generator().manual_seed(1)
    means = torch.randn(50_000, 4, generator=generator) * torch.tensor([1.0, 0.12, 0.08, 0.0]) + 5  # variances 1, ...
    figures = Variational(4).diagnostics(torch.cat([means, torch.zeros(50_000, 4)], 1))
    assert int(figures["active_units"]) == 2  # 1 and .0144 are above .01, .0064 and 0 are not
    expected = kl_divergence(Normal(means, 1.0), Normal(0.0, 1.0)).mean(0)
    torch.testing.assert_close(figures["kl_of_units"], expected, rtol=1e-5, atol=1e-6)
    assert float(figures["kl"]) == pytest.approx(float(expected.sum()), rel=1e-5)


def test_the_prior_is_the_standard_normal_distribution():
    torch.manual_seed(0)
    codes = Variational(3).sample(100_000)
    assert codes.shape == (100_000, 3)
    torch.testing.assert_close(codes.mean(0), torch.zeros(3), rtol=0, atol=0.02)
    torch.testing.assert_close(codes.T.cov(), torch.eye(3), rtol=0, atol=0.02)


def test_half_precision_features_give_a_penalty_in_float32():
    code, penalty = Variational(3, beta=1.0)(FEATURES.bfloat16())
    assert (code.dtype, penalty.dtype) == (torch.bfloat16, torch.float32)
    mean, log_variance = FEATURES.bfloat16().float().chunk(2, 1)
    expected = kl_divergence(Normal(mean, (log_variance / 2).exp()), Normal(0.0, 1.0)).sum(1).mean()
    assert float(penalty) == pytest.approx(float(expected), rel=1e-6)


def test_an_absurd_log_variance_stays_finite():
    code, penalty = Variational(1)(torch.tensor([[0.0, 1e4], [0.0, -1e4]]))
    assert code.isfinite().all()
    assert penalty.isfinite()


@pytest.mark.parametrize(("arguments", "words"), [
    ({"beta": -1}, r"`beta` \(= -1\) must be a number of at least 0"),
    ({"free_bits": "x"}, r"`free_bits` \(= 'x'\) must be a number of at least 0"),
    ({"warmup_steps": 1.5}, r"`warmup_steps` \(= 1.5\) must be a whole number of at least 0"),
    ({"warmup_steps": 9, "warmup_epochs": 2}, r"`warmup_steps` \(= 9\) and `warmup_epochs` \(= 2\) are two ways"),
])  # fmt: skip
def test_values_out_of_range_are_refused(arguments, words):
    with pytest.raises(UserError, match=words):
        Variational(3, **arguments)
