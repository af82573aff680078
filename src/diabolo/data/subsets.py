"""Which images stand for a whole set where not all are wanted."""

import torch
from torch import Tensor


def evenly_spaced(count: int, most: int) -> Tensor:
    """Indices of at most `most` of `count` things, spread evenly from the first to the last: N int64, in their order.

    All of them where `count` is at most `most`.
    """
    return torch.linspace(0, count - 1, min(count, most), dtype=torch.float64).round().long()
