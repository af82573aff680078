"""The variational bottleneck by several draws an image."""

import torch
from torch import Tensor

from diabolo.errors import check_int
from diabolo.network.bottlenecks.variational import Variational


class Importance(Variational):
    """In training `draws` codes of each image's Gaussian are decoded, and the loss is the bound of importance-weighted
    autoencoders (Burda et al., "Importance Weighted Autoencoders", 2016, section 3): minus the logarithm of the mean
    of p(x|z) p(z) / q(z|x) over the draws. N x 2`size` -> in training `draws` N x `size`, the first draw of all
    images, then the second, ...

    One draw gives the ELBO; the more there are, the closer the bound comes to log p(x) (its theorem 1). The penalty has
    a number a code, `beta` (log q(z|x) - log p(z)) in nats, which the module brings together with the loss of each
    image. In evaluation code and penalty are those of `variational`, so that a run's validation loss is the ELBO.

    Args:
        size: numbers in the code.
        draws: codes an image. The decoder's work grows with them.
        beta, warmup_steps, warmup_epochs: as in `Variational`; 1 is the paper's bound.

    Raises:
        UserError: a value out of range.
    """

    def __init__(
        self, size: int, draws: int = 5, beta: float = 1.0, warmup_steps: int = 0, warmup_epochs: int = 0
    ) -> None:
        super().__init__(size, beta, warmup_steps=warmup_steps, warmup_epochs=warmup_epochs)
        self.draws = check_int("draws", draws)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        if not self.training:
            return super().forward(features)
        mean, log_variance = (one.repeat(self.draws, 1) for one in self.posterior(features))
        noise = torch.randn_like(mean)
        code = mean + (0.5 * log_variance).exp() * noise
        log_ratio = 0.5 * (code.square() - noise.square() - log_variance).sum(1)  # log q(z|x) - log p(z): draws N
        penalty = self.weight() * log_ratio
        self.count_step()
        return code.to(features.dtype), penalty
