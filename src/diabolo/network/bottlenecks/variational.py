"""Variational bottlenecks: a Gaussian for every image, held close to the standard normal distribution. By several draws
an image (`importance`) or towards a prior that is learnt (`vamp`): `importance.py`, `vamp.py`."""

import torch
from torch import Tensor, nn

from diabolo.errors import UserError, check_int, check_not_negative

LOG_VARIANCE = 20.0  # its greatest magnitude: beyond, the exponential leaves float32 within a few layers
ACTIVE = 0.01  # variance of a unit's mean over the images from which on it counts as active


class Variational(nn.Module):
    """The encoder gives mean and log variance of a Gaussian per image (Kingma & Welling 2014): N x 2`size` -> N x
    `size`. In training the code is drawn from it, in evaluation it is the mean.

    The penalty is beta times the KL divergence from the standard normal distribution, in nats, summed over the units
    and averaged over the images. Beside a loss with `reduction=sum` beta = 1 gives the negative ELBO of Higgins et al.
    (2017) (exactly so for `loss=bce`; `loss=mse` stands for a Gaussian of variance 1/2 a pixel); beside
    `reduction=mean` the same weighting is beta = 1 / (pixels times channels), .0013 for MNIST.

    Args:
        size: numbers in the code.
        beta: weight of the KL divergence.
        free_bits: nats a unit that cost nothing: of a unit's KL, averaged over the batch, only what exceeds them is
            lowered (Kingma et al. 2016, section C.8; in nats in spite of the name).
        warmup_steps, warmup_epochs: beta rises from 0 in a straight line over so many steps, or from epoch to epoch
            over so many epochs (Sønderby et al. 2016); in evaluation it is always the whole beta.

    Raises:
        UserError: a negative weight, or a warm-up in steps and in epochs at once.
    """

    done: Tensor

    def __init__(
        self,
        size: int,
        beta: float = 1e-3,
        free_bits: float = 0.0,
        warmup_steps: int = 0,
        warmup_epochs: int = 0,
    ) -> None:
        super().__init__()
        self.size = check_int("size", size)
        self.in_features = 2 * size
        self.beta = check_not_negative("beta", beta)
        self.free_bits = check_not_negative("free_bits", free_bits)
        self.warmup_steps = check_int("warmup_steps", warmup_steps, 0)
        self.warmup_epochs = check_int("warmup_epochs", warmup_epochs, 0)
        if warmup_steps and warmup_epochs:
            raise UserError(
                f"`warmup_steps` (= {warmup_steps}) and `warmup_epochs` (= {warmup_epochs}) are two ways to say one"
                " thing: set one of them to 0."
            )
        self.register_buffer("done", torch.zeros((), dtype=torch.long))  # steps or epochs, kept with the weights

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_variance = self.posterior(features)
        kl = divergence(mean, log_variance).mean(0)  # size
        penalty = self.weight() * kl.clamp(min=self.free_bits).sum()
        if not self.training:
            return mean.to(features.dtype), penalty
        self.count_step()
        code = mean + (0.5 * log_variance).exp() * torch.randn_like(mean)
        return code.to(features.dtype), penalty

    def posterior(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance, N x size each, in float32 whatever the precision of the network."""
        mean, log_variance = features.float().chunk(2, 1)
        return mean, log_variance.clamp(-LOG_VARIANCE, LOG_VARIANCE)

    def start_epoch(self, epoch: int) -> None:
        if self.warmup_epochs:
            self.done.fill_(epoch)

    def count_step(self) -> None:
        """Called once in each step of the training."""
        if self.warmup_steps:
            self.done += 1

    def weight(self) -> Tensor:
        """The beta of this step."""
        whole_way = self.warmup_steps or self.warmup_epochs
        share = self.done / whole_way if whole_way and self.training else torch.ones_like(self.done)
        return self.beta * share.clamp(max=1)

    def sample(self, count: int) -> Tensor:
        return torch.randn(count, self.size, device=self.done.device)

    def diagnostics(self, features: Tensor) -> dict[str, Tensor]:
        """`kl` in nats; `active_units`, those whose mean varies over the images by more than .01 (Burda et al. 2016,
        section 5.2); the KL of each unit."""
        mean, log_variance = self.posterior(features)
        kl = divergence(mean, log_variance).mean(0)
        return {"kl": kl.sum(), "active_units": active_units(mean), "kl_of_units": kl}


def divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(mean, variance) || N(0, 1)) in nats, element by element (Kingma & Welling 2014, appendix B)."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance)


def active_units(means: Tensor) -> Tensor:
    """How many columns of N x size posterior means vary by more than `ACTIVE` over the images."""
    return (means.var(0, unbiased=False) > ACTIVE).sum()
