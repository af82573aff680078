"""Gaussians of independent units: their densities, and draws from them."""

from math import log, pi

import torch
from torch import Tensor


def log_densities(codes: Tensor, means: Tensor, log_variances: Tensor) -> Tensor:
    """Of each code under each Gaussian, unit by unit: N x size and K x size (both) -> N x K x size, in nats."""
    distances = codes[:, None] - means
    return -0.5 * (distances.square() * (-log_variances).exp() + log_variances + log(2 * pi))


def noise_for(values: Tensor, training: bool) -> Tensor:
    """Standard normal numbers, one for each of `values`; in evaluation the same ones every time."""
    if training:
        return torch.randn_like(values)
    draw = torch.Generator(values.device).manual_seed(0)
    return torch.randn(values.shape, generator=draw, device=values.device, dtype=values.dtype)
