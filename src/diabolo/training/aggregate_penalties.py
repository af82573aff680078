"""Penalties that hold the codes of all images together close to the standard normal distribution, so that codes drawn
from it decode to images. Called as the penalties of `penalties.py` are. In evaluation a variational code is its mean,
and what they say is said of the means.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from diabolo.errors import check_choice, check_int, check_positive
from diabolo.network.gaussians import noise_for
from diabolo.training.penalties import Encode

KERNELS = ("imq", "gaussian")


class TowardsNormal(nn.Module):
    """What both have: the standard normal distribution as their prior."""

    def prior(self, count: int, size: int) -> Tensor:
        return torch.randn(count, size)


class MMD(TowardsNormal):
    """`weight` times the squared maximum mean discrepancy between the codes of a batch and as many draws from the
    standard normal distribution: Wasserstein autoencoders (WAE-MMD: Tolstikhin et al., "Wasserstein Auto-Encoders",
    2018, algorithm 2), and beside `bottleneck=variational` the MMD-VAE of InfoVAE (Zhao, Song & Ermon, "InfoVAE",
    2017, section 3), with `bottleneck.beta` for its 1 - alpha and `weight` for its alpha + lambda - 1.

    The estimate is the unbiased one of the paper's algorithm 2, which may come out below 0. The kernel is the inverse
    multiquadric C / (C + d^2), whose far tails still pull on codes that lie outside, or the Gaussian exp(-d^2 / C),
    where d is the distance of two codes and C = 2 `size` times one of `scales`; it is the sum over the scales.

    Args:
        weight: beside a loss that is a mean over pixels; times their number beside a sum.
        kernel: "imq" or "gaussian".
        scales: multiples of 2 `size`, which is the expected squared distance of two draws.
    """

    def __init__(self, weight: float, kernel: str = "imq", scales: Sequence[float] = (1.0,)) -> None:
        super().__init__()
        self.weight = check_positive("weight", weight)
        self.kernel = check_choice("kernel", kernel, KERNELS)
        self.scales = [check_positive(f"scales[{place}]", scale) for place, scale in enumerate(scales)]

    def forward(self, images: Tensor, code: Tensor, encode: Encode) -> Tensor:
        code = code.float()
        prior, count = noise_for(code, self.training), len(code)
        pairs = max(1, count * (count - 1))  # of different codes
        within = sum(
            self._kernels(one, one).tril(-1).sum() * 2 for one in (code, prior)
        )  # of a code with itself it is 1
        return self.weight * (within / pairs - 2 * self._kernels(code, prior).mean() * len(self.scales))

    def _kernels(self, codes: Tensor, others: Tensor) -> Tensor:
        """Of each code with each other, one scale after the other: scales x N x M."""
        with torch.autocast(codes.device.type, enabled=False):
            squares = codes.square().sum(1)[:, None] + others.square().sum(1)
            distances = (squares - 2 * codes @ others.T).clamp(min=0)  # without N x M x size numbers
        widths = 2 * codes.shape[1] * torch.tensor(self.scales, device=codes.device)[:, None, None]
        return widths / (widths + distances) if self.kernel == "imq" else (-distances / widths).exp()


class SlicedWasserstein(TowardsNormal):
    """`weight` times the squared sliced Wasserstein distance between the codes of a batch and as many draws from the
    standard normal distribution (Kolouri et al., "Sliced-Wasserstein Autoencoder", 2018, algorithm 1): both are
    projected on random directions, on each of which the optimal transport pairs them by rank.

    Args:
        weight: beside a loss that is a mean over pixels; times their number beside a sum.
        projections: random directions a step.
    """

    def __init__(self, weight: float, projections: int = 50) -> None:
        super().__init__()
        self.weight = check_positive("weight", weight)
        self.projections = check_int("projections", projections)

    def forward(self, images: Tensor, code: Tensor, encode: Encode) -> Tensor:
        code = code.float()
        size = code.shape[1]
        drawn = noise_for(code.new_empty(self.projections + len(code), size), self.training)
        directions, prior = nn.functional.normalize(drawn[: self.projections], dim=1), drawn[self.projections :]
        with torch.autocast(code.device.type, enabled=False):
            ours, theirs = ((directions @ one.T).sort(1).values for one in (code, prior))  # projections x N
        return self.weight * (ours - theirs).square().mean()
