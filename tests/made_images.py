"""Pairs of random images, drawn from the same seed ever."""

import torch


def pair(*shape: int, low: float = 0.0, high: float = 1.0) -> tuple[torch.Tensor, torch.Tensor]:
    """A reconstruction drawn from [low, high] and images from [0, 1]."""
    draw = torch.Generator().manual_seed(0)
    return torch.rand(shape, generator=draw) * (high - low) + low, torch.rand(shape, generator=draw)


def noisy(*shape: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A reconstruction that still resembles the images."""
    noise, images = pair(*shape, low=-0.2, high=0.2)
    return images + noise, images
