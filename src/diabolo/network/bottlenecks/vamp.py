"""The variational bottleneck with a prior that is learnt."""

from collections.abc import Sequence
from math import log

import torch
from torch import Tensor, nn

from diabolo.errors import check_int
from diabolo.network.bottlenecks.variational import Variational, active_units
from diabolo.network.gaussians import log_densities, noise_for
from diabolo.network.layers import settled


class Vamp(Variational):
    """The prior is the mixture of the Gaussians that the encoder gives for `pseudo_inputs` images, which are learnt:
    p(z) = mean over k of q(z|u_k) (Tomczak & Welling, "VAE with a VampPrior", 2018, section 3). N x 2`size` ->
    N x `size`.

    The divergence from a mixture has no closed form: the penalty is beta (log q(z|x) - log p(z)) of one draw an image,
    in evaluation always the same draw. Pseudo-inputs are in the network's scale and may leave that of images. They pass
    the encoder in evaluation mode, so that batch normalisation keeps the statistics of the images. Beside
    `bottleneck.conditional=true` they have no label: the prior is the same for all.

    Each step encodes the pseudo-inputs, too: 500 beside a batch of 128 make the encoder's work five times as much.

    Args:
        size: numbers in the code.
        image_shape: (channels, height, width) of the images.
        pseudo_inputs: how many; the paper has 500 for MNIST.
        beta, warmup_steps, warmup_epochs: as in `Variational`.

    Raises:
        UserError: a value out of range.
    """

    source: tuple[nn.Module]  # the encoder; in a tuple, so that its weights stay the encoder's in the state dict

    def __init__(
        self,
        size: int,
        image_shape: Sequence[int],
        pseudo_inputs: int = 500,
        beta: float = 1e-3,
        warmup_steps: int = 0,
        warmup_epochs: int = 0,
    ) -> None:
        super().__init__(size, beta, warmup_steps=warmup_steps, warmup_epochs=warmup_epochs)
        self.pseudo_inputs = nn.Parameter(torch.rand(check_int("pseudo_inputs", pseudo_inputs), *image_shape))

    def tie(self, encoder: nn.Module) -> None:
        """Takes the encoder that pseudo-inputs pass."""
        self.source = (encoder,)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_variance = self.posterior(features)
        noise = noise_for(mean, self.training)
        code = mean + (0.5 * log_variance).exp() * noise
        penalty = self.weight() * self._divergence(code, noise, log_variance, *self.components()).mean()
        if not self.training:
            return mean.to(features.dtype), penalty
        self.count_step()
        return code.to(features.dtype), penalty

    def components(self) -> tuple[Tensor, Tensor]:
        """Mean and log variance of the prior's Gaussians, K x size each."""
        with settled(self.source[0]):
            return self.posterior(self.source[0](self.pseudo_inputs))

    def sample(self, count: int) -> Tensor:
        mean, log_variance = self.components()
        chosen = torch.randint(len(mean), (count,), device=mean.device)
        return mean[chosen] + (0.5 * log_variance[chosen]).exp() * torch.randn(count, self.size, device=mean.device)

    def diagnostics(self, features: Tensor) -> dict[str, Tensor]:
        """`kl` in nats, estimated by one draw an image; `active_units` as in `Variational`. A mixture's divergence is
        no sum over the units."""
        mean, log_variance = self.posterior(features)
        noise, components = noise_for(mean, False), self.components()
        code = mean + (0.5 * log_variance).exp() * noise
        parts = zip(code.split(PART), noise.split(PART), log_variance.split(PART), strict=True)
        kl = torch.cat([self._divergence(*part, *components) for part in parts])
        return {"kl": kl.mean(), "active_units": active_units(mean)}

    def _divergence(
        self, code: Tensor, noise: Tensor, log_variance: Tensor, means: Tensor, log_variances: Tensor
    ) -> Tensor:
        """log q(z|x) - log p(z) of a code an image, N, in nats."""
        log_prior = log_densities(code, means, log_variances).sum(2).logsumexp(1) - log(len(means))
        log_posterior = log_densities(noise, torch.zeros_like(noise[:1]), torch.zeros_like(noise[:1])).sum((1, 2))
        return log_posterior - 0.5 * log_variance.sum(1) - log_prior


PART = 512  # codes whose densities under all components are held at once
