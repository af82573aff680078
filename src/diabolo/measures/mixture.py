"""Where the codes of a run lie: Gaussians fitted to them, from which new codes can be drawn."""

from __future__ import annotations

import warnings

import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture
from torch import Tensor


class CodeMixture:
    """A mixture of Gaussians, each with a full covariance, fitted to codes, N x size, as in section 4 of Ghosh et al.,
    "From variational to deterministic autoencoders", 2020.

    Args:
        most: the most Gaussians; there is no more than one for every 2 x size different codes.
        seed: of the fit and of what is drawn.
    """

    def __init__(self, codes: Tensor, most: int, seed: int = 0) -> None:
        self.seed = seed
        self.components = max(1, min(most, len(codes.unique(dim=0)) // (2 * codes.shape[1])))
        self.scale = codes.double().std(0).mean().clamp(min=1e-12)  # since `reg_covar` is an absolute number
        self.mixture = GaussianMixture(self.components, random_state=seed, reg_covar=1e-4)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # a picture does not need the last digits
            self.mixture.fit((codes.double() / self.scale).numpy())

    def sample(self, count: int) -> Tensor:
        """`count` random codes, count x size, always the same ones."""
        drawn = torch.from_numpy(self.mixture.sample(count)[0])
        shuffle = torch.Generator().manual_seed(self.seed)  # they come sorted by component
        return (drawn * self.scale)[torch.randperm(count, generator=shuffle)].float()

    def __str__(self) -> str:
        return "a Gaussian" if self.components == 1 else f"a mixture of {self.components} Gaussians"
