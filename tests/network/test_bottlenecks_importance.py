"""The bound by several draws against its definition, with torch.distributions."""

import pytest
import torch
from torch import nn
from torch.distributions import Bernoulli, Normal, kl_divergence

from diabolo.errors import UserError
from diabolo.network.autoencoder import Autoencoder
from diabolo.network.bottlenecks.importance import Importance
from diabolo.network.families.fc import FCDecoder, FCEncoder
from diabolo.training.autoencoder_module import AutoencoderModule, importance_bound
from diabolo.training.losses import BCE, MAE, MSE
from diabolo.training.structural_losses import SSIM

SHAPE = (1, 8, 8)
IMAGES = torch.rand(6, *SHAPE, generator=torch.Generator().manual_seed(0))
LABELS = torch.zeros(6, dtype=torch.long)


def module(draws: int = 3, loss: nn.Module | None = None, penalty: nn.Module | None = None) -> AutoencoderModule:
    torch.manual_seed(0)
    bottleneck = Importance(4, draws)
    parts = FCEncoder(SHAPE, 8, (9,)), bottleneck, FCDecoder(4, SHAPE)
    return AutoencoderModule(Autoencoder(*parts, SHAPE, penalty=penalty), loss or BCE(reduction="sum"))


def log_weights(of: AutoencoderModule, draws: int) -> torch.Tensor:
    """log p(x|z) p(z) / q(z|x) of the draws of the next step, draws x N, image by image."""
    rows = torch.zeros(draws, len(IMAGES))
    mean, log_variance = of.autoencoder.bottleneck.posterior(of.autoencoder.encoder(IMAGES))
    codes = mean.repeat(draws, 1) + (log_variance.repeat(draws, 1) / 2).exp() * torch.randn(draws * len(IMAGES), 4)
    logits = of.autoencoder.decoder(codes)
    for k in range(draws):
        for i, image in enumerate(IMAGES):
            code = codes[k * len(IMAGES) + i]
            likelihood = Bernoulli(logits=logits[k * len(IMAGES) + i], validate_args=False).log_prob(image).sum()
            posterior = Normal(mean[i], (log_variance[i] / 2).exp()).log_prob(code).sum()
            rows[k, i] = likelihood + Normal(0.0, 1.0).log_prob(code).sum() - posterior
    return rows


@pytest.mark.parametrize("draws", [1, 4])
def test_the_loss_is_minus_the_log_of_the_mean_weight(draws):
    ours = module(draws)
    torch.manual_seed(5)
    loss = float(ours.training_loss(IMAGES, LABELS).detach())
    torch.manual_seed(5)
    weights = log_weights(ours, draws).double().exp().detach()
    assert loss == pytest.approx(-float(weights.mean(0).log().mean()), rel=1e-5)


def test_one_draw_is_the_elbo_and_more_lie_above_it():
    with torch.no_grad():
        means = {}
        for draws in (1, 2, 10, 100):
            torch.manual_seed(1)
            ours = module(draws)
            means[draws] = sum(float(ours.training_loss(IMAGES, LABELS)) for _ in range(300)) / 300
        ours = module(1)
        mean, log_variance = ours.autoencoder.bottleneck.posterior(ours.autoencoder.encoder(IMAGES))
        kl = float(kl_divergence(Normal(mean, (log_variance / 2).exp()), Normal(0.0, 1.0)).sum(1).mean())
        errors = []
        for _ in range(2000):
            logits = ours.autoencoder.decoder(mean + (log_variance / 2).exp() * torch.randn_like(mean))
            errors.append(float(BCE(reduction="sum")(logits, IMAGES)))
    assert means[1] == pytest.approx(kl + sum(errors) / 2000, rel=0.01)
    assert means[1] > means[2] > means[10] > means[100]  # minus the bound of log p(x)


def test_in_evaluation_it_is_the_variational_bottleneck():
    ours = module().eval()
    out = ours.autoencoder(IMAGES)
    mean, log_variance = ours.autoencoder.encoder(IMAGES).chunk(2, 1)
    assert torch.equal(out.code, mean)
    assert torch.equal(ours.encode(IMAGES), mean)
    kl = kl_divergence(Normal(mean, (log_variance / 2).exp()), Normal(0.0, 1.0)).sum(1).mean()
    assert float(out.penalty.detach()) == pytest.approx(float(kl.detach()), rel=1e-5)


class One(nn.Module):
    def forward(self, images, code, encode):
        return torch.ones(())


def test_a_penalty_beside_it_is_added_as_to_any_loss():
    losses = []
    for penalty in (None, One()):
        ours = module(penalty=penalty)
        torch.manual_seed(2)
        losses.append(float(ours.training_loss(IMAGES, LABELS).detach()))
    assert losses[1] - losses[0] == pytest.approx(1, rel=1e-4)


def test_weights_that_no_float_holds_have_a_bound():
    losses = torch.tensor([[5000.0, 1.0], [5000.0, 1.0], [9000.0, 1e6]])
    expected = [5000 - torch.tensor(2 / 3).log(), 1 - torch.tensor(2 / 3).log()]
    assert float(importance_bound(losses)) == pytest.approx(float(sum(expected)) / 2)


@pytest.mark.parametrize("loss", [MSE(reduction="mean"), SSIM()])
def test_a_loss_that_is_no_likelihood_is_refused(loss):
    with pytest.raises(UserError, match=r"`loss` \(\w+\) says none: take loss=mse, mae or bce with loss.reduction=sum"):
        module(loss=loss)


@pytest.mark.parametrize("loss", [MSE(reduction="sum"), MAE(reduction="sum"), BCE(reduction="sum"), MSE()])
def test_a_loss_of_each_image_has_the_loss_as_its_mean(loss):
    made = torch.rand(6, *SHAPE, generator=torch.Generator().manual_seed(1))
    each = loss.per_image(made, IMAGES)
    assert each.shape == (6,)
    assert float(each[2]) == pytest.approx(float(loss(made[2:3], IMAGES[2:3])), rel=1e-6)
    assert float(each.mean()) == pytest.approx(float(loss(made, IMAGES)), rel=1e-6)
