"""Penalties on the Gaussians of a variational bottleneck, beside the divergence that is its own."""

import torch
from torch import Tensor, nn

from diabolo.errors import check_choice, check_not_negative, check_positive
from diabolo.network.gaussians import log_densities, noise_for

COVARIANCES = ("means", "codes")


class TotalCorrelation(nn.Module):
    """`weight` times the total correlation of the codes, KL(q(z) || product of q(z_j)): beta-TCVAE (Chen et al.,
    "Isolating Sources of Disentanglement in Variational Autoencoders", 2018, equation 4). The bottleneck's own
    divergence holds it once already: the paper's beta is (`bottleneck.beta` + `weight`) / `bottleneck.beta`.

    The densities q(z) and q(z_j) of the whole training set are estimated from one batch by minibatch-stratified
    sampling (its appendix C.2), without bias.

    Args:
        weight: beside a loss that is a mean over pixels; times their number beside a sum.
    """

    training_images: Tensor

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = check_positive("weight", weight)
        self.register_buffer(
            "training_images", torch.zeros((), dtype=torch.long)
        )  # of the training, kept with the weights

    def of_posterior(self, code: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
        if not self.training:
            code = mean + (0.5 * log_variance).exp() * noise_for(mean, False)
        code = code[: len(mean)].float()  # the first of several draws
        weights = stratified(len(mean), self.training_images)
        return self.weight * decomposition(code, mean, log_variance, weights)[1].mean()


class DIP(nn.Module):
    """`weight` times the sum of squares of the covariances between the units, plus `diagonal` times that of the
    variances' distances from 1: disentangled inferred priors (Kumar et al., "Variational Inference of Disentangled
    Latent Concepts from Unlabeled Observations", 2018, equations 6 and 7).

    Args:
        weight: the paper's lambda_od, beside a loss that is a mean over pixels; times their number beside a sum.
        diagonal: its lambda_d, on the same scale. The paper takes 10 `weight` for the means and `weight` for the codes.
        covariance: "means", of the posterior means over a batch (DIP-VAE-I), or "codes", to which the mean variance
            of the posteriors is added (DIP-VAE-II).
    """

    def __init__(self, weight: float, diagonal: float, covariance: str = "means") -> None:
        super().__init__()
        self.weight = check_positive("weight", weight)
        self.diagonal = check_not_negative("diagonal", diagonal)
        self.covariance = check_choice("covariance", covariance, COVARIANCES)

    def of_posterior(self, code: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
        centred = mean - mean.mean(0)
        with torch.autocast(mean.device.type, enabled=False):
            covariance = centred.T @ centred / len(mean)
        variances = covariance.diagonal()
        between = covariance.square().sum() - variances.square().sum()
        if self.covariance == "codes":
            variances = variances + log_variance.exp().mean(0)
        return self.weight * between + self.diagonal * (variances - 1).square().sum()


def decomposition(code: Tensor, mean: Tensor, log_variance: Tensor, weights: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The three parts of log q(z|x) - log p(z), N each in nats, whose means are index-code mutual information, total
    correlation and dimension-wise KL (Chen et al. 2018, equation 2).

    Args:
        code, mean, log_variance: N x size each, a code drawn from each Gaussian.
        weights: N x N, of the Gaussian of each image (column) in the densities of each code (row).
    """
    each = log_densities(code, mean, log_variance)  # N x N x size
    log_weights = weights.log()
    log_q = (each.sum(2) + log_weights).logsumexp(1)
    log_q_of_units = (each + log_weights[..., None]).logsumexp(1)  # N x size
    own = each.sum(2).diagonal()
    zeros = torch.zeros_like(mean[:1])
    log_prior = log_densities(code, zeros, zeros).sum((1, 2))
    return own - log_q, log_q - log_q_of_units.sum(1), log_q_of_units.sum(1) - log_prior


def stratified(batch: int, images: Tensor) -> Tensor:
    """Weights of minibatch-stratified sampling (Chen et al. 2018, appendix C.2), batch x batch with rows that sum to 1:
    a code's own image counts 1 / `images`, one of the others makes up for it, the rest count evenly.

    Args:
        images: how many there are in the training set, a whole number; 0 where it is not known yet.
    """
    count, others = images.clamp(min=batch), batch - 1
    if others == 0:
        return torch.ones(1, 1, device=images.device)
    weights = torch.full((batch, batch), 1 / others, device=images.device)
    rows = torch.arange(batch, device=images.device)
    weights[rows, rows] = 1 / count
    weights[rows, (rows + 1) % batch] = (count - others) / (count * others)
    return weights
