"""Bottlenecks that let less through than their size says: a few units at a time, or units with noise."""

import torch
from torch import Tensor, nn

from diabolo.errors import ConfigError, check_int, check_positive


class TopK(nn.Module):
    """The k largest numbers of each image's code stay, the others become 0 (Makhzani & Frey, "k-Sparse Autoencoders",
    2014). N x `size` -> N x `size`.

    Args:
        size: numbers in the code.
        k: how many of them are not 0.

    Raises:
        ConfigError: k is above the size.
    """

    def __init__(self, size: int, k: int) -> None:
        super().__init__()
        self.size = self.in_features = check_int("size", size)
        self.k = check_int("k", k)
        if k > size:
            raise ConfigError("k", k, f"must not exceed `size` (= {size}), the numbers that there are")

    def forward(self, features: Tensor) -> tuple[Tensor, None]:
        return self.nearest(features), None

    def nearest(self, codes: Tensor) -> Tensor:
        largest = codes.topk(self.k, dim=1)
        return torch.zeros_like(codes).scatter(1, largest.indices, largest.values)

    def diagnostics(self, features: Tensor) -> dict[str, Tensor]:
        """`used_units`: how many units are among the k of at least one image; how often each is."""
        use = (self.nearest(features) != 0).float().mean(0)
        return {"used_units": (use > 0).sum(), "use_of_units": use}


class Noisy(nn.Module):
    """Each unit is brought to mean 0 and variance 1 over the batch, and Gaussian noise of standard deviation `noise` is
    added while training. N x `size` -> N x `size`.

    Without the normalisation the encoder would outgrow the noise. With it a unit is a Gaussian channel of
    log2(1 + 1 / noise^2) / 2 bits at most (Shannon 1948), and near codes decode to near images. Evaluation uses running
    means and variances, as batch normalisation does.

    Args:
        size: numbers in the code.
        noise: its standard deviation, where a unit's own is 1.
    """

    def __init__(self, size: int, noise: float = 0.1) -> None:
        super().__init__()
        self.size = self.in_features = check_int("size", size)
        self.noise = check_positive("noise", noise)
        self.normalise = nn.BatchNorm1d(size, affine=False)

    def forward(self, features: Tensor) -> tuple[Tensor, None]:
        code = self.normalise(features)
        if self.training:
            code = code + self.noise * torch.randn_like(code)
        return code, None

    def diagnostics(self, features: Tensor) -> dict[str, Tensor]:
        """`bits`: what the units' channels could carry at the variances that the codes have; the same per unit."""
        variances = self.normalise(features).var(0, unbiased=False)
        bits = 0.5 * torch.log2(1 + variances / self.noise**2)
        return {"bits": bits.sum(), "bits_of_units": bits}
