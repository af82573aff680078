"""Which images stand for a whole set where not all are wanted."""

import torch
from torch import Tensor


def sampled(labels: Tensor, count: int, seed: int) -> Tensor:
    """Indices of a random sample of `count` images, each label in its share, to within one image: N int64, in their
    order. A larger sample of the same seed holds a smaller one. All of them where there are no more.

    Args:
        labels: M int64; images without a label, -1, are drawn as if that were one.
    """
    if count >= len(labels):
        return torch.arange(len(labels))
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(labels), generator=generator)
    turn = torch.empty(len(labels), dtype=torch.float64)  # when each image's turn comes, from 0 to 1
    for label in labels.unique():
        members = order[labels[order] == label]
        start = torch.rand(1, generator=generator, dtype=torch.float64)
        turn[members] = (torch.arange(len(members), dtype=torch.float64) + start) / len(members)
    return turn.argsort()[:count].sort().values


def evenly_spaced(count: int, most: int) -> Tensor:
    """Indices of at most `most` of `count` things, spread evenly from the first to the last: N int64, in their order.

    All of them where `count` is at most `most`.
    """
    return torch.linspace(0, count - 1, min(count, most), dtype=torch.float64).round().long()
