"""Random numbers for each image of a batch, on its device."""

from typing import Protocol

import torch
from torch import Tensor

GOLDEN = -0x61C8864680B583EB  # 2^64 / golden ratio, odd, as a signed number: the step of splitmix64


class Chance(Protocol):
    """Where random numbers come from, for a batch of N images."""

    def uniform(self, *shape: int) -> Tensor:
        """N x `shape` numbers, uniform between 0 and 1, float32."""
        ...

    def normal(self, *shape: int) -> Tensor:
        """N x `shape` numbers, normal with mean 0 and variance 1, float32."""
        ...


class Seeded:
    """Random numbers that each image has from a seed of its own, whatever batch it is in: a counter-based generator,
    splitmix64 (Steele, Lea & Flood, "Fast splittable pseudorandom number generators", 2014, figure 15).

    Args:
        seeds: N int64, well mixed (`mixed`); the numbers are made on their device.
    """

    def __init__(self, seeds: Tensor) -> None:
        self.seeds = seeds
        self.drawn = 0

    def uniform(self, *shape: int) -> Tensor:
        numbers = torch.Size(shape).numel()
        counters = counted(self.drawn, numbers, self.seeds.device)
        self.drawn += numbers
        top = (
            mixed(self.seeds[:, None] + counters) >> 41 & 0x7FFFFF
        )  # 23 bits: with the half added, float32 still holds them exactly
        return ((top + 0.5) / 2**23).view(-1, *shape)

    def normal(self, *shape: int) -> Tensor:
        return torch.special.ndtri(self.uniform(*shape))  # which would be infinite at 0 and 1: neither comes


def seen_in(seed: int, epoch: int, indices: Tensor) -> Seeded:
    """The random numbers of images, N indices int64, in an epoch of a run with a seed."""
    of_epoch = torch.zeros((), dtype=torch.int64)
    for number in (seed, epoch):
        of_epoch = mixed(of_epoch + (number + 1) * torch.tensor(GOLDEN))
    return Seeded(mixed(of_epoch.to(indices.device) + indices * GOLDEN))


def counted(start: int, numbers: int, device: torch.device) -> Tensor:
    """The next `numbers` states of a counter of splitmix64 that has been asked `start` times."""
    return torch.arange(start + 1, start + numbers + 1, device=device) * GOLDEN


def mixed(state: Tensor) -> Tensor:
    """The last step of splitmix64, on int64: products wrap around, and masks make the shifts those of unsigned
    numbers."""
    state = (state ^ (state >> 30 & (1 << 34) - 1)) * -0x40A7B892E31B1A47  # 0xBF58476D1CE4E5B9
    state = (state ^ (state >> 27 & (1 << 37) - 1)) * -0x6B2FB644ECCEEE15  # 0x94D049BB133111EB
    return state ^ (state >> 31 & (1 << 33) - 1)
