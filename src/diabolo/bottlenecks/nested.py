"""The nested bottleneck: the first k numbers of a code are themselves a code, for every k."""

from collections.abc import Sequence
from math import log

import torch
from torch import Tensor, nn

from diabolo.errors import ConfigError, positive, whole, wholes


class Nested(nn.Module):
    """In training a code keeps its first k numbers and loses the others, k drawn anew each time (nested dropout:
    Rippel, Gelbart & Adams, "Learning Ordered Representations with Nested Dropout", 2014). N x `size` -> N x `size`; in
    training `truncations` N x `size`, the codes of all images cut at one draw of places after the other.

    In the paper what is lost is 0. Here a small network of one hidden layer estimates it from what is left, so that the
    decoder need not tell codes of every length apart; with `hidden` = 0 it is 0.

    k is drawn with a probability proportional to k^`power` `decay`^k. The paper draws from a geometric distribution,
    power 0 and a decay below 1. There late numbers learn from ever fewer images and hardly move, so that it freezes
    each number once it has converged ("unit sweeping", its section 3.2). Without a decay they need no such care. With
    power 0 all k are as frequent, and the large errors of the small k weigh most; with 1, since errors fall about as
    1 / k, all k count alike.

    Every k takes its toll of the others, the smallest most of all: the best code of one number is a line folded through
    all images, and a poor first coordinate of a plane. `sizes` names the k that matter.

    Args:
        size: numbers in the code.
        sizes: the k that are drawn; null for every one up to the size.
        power: exponent of k in its distribution.
        decay: from one k to the next, at most 1; 1 for none.
        truncations: places at which each code is cut in a step; the decoder's work grows with them.
        hidden: width of the network that estimates what is lost.

    Raises:
        ConfigError: a value out of range.
    """

    k: Tensor
    frequencies: Tensor

    def __init__(
        self,
        size: int,
        sizes: Sequence[int] | None = None,
        power: float = 0.0,
        decay: float = 1.0,
        truncations: int = 4,
        hidden: int = 128,
    ) -> None:
        super().__init__()
        self.size = self.in_features = whole("size", size)
        if isinstance(power, bool) or not isinstance(power, int | float):
            raise ConfigError(f"`power` (= {power!r}) must be a number, such as 0 for all k as frequent.")
        if positive("decay", decay) > 1:
            raise ConfigError(f"`decay` (= {decay}) must be above 0 and at most 1.")
        self.truncations = whole("truncations", truncations)
        self.sizes = sorted(set(wholes("sizes", range(1, size + 1) if sizes is None else sizes)))
        if self.sizes[-1] > size:
            raise ConfigError(f"`sizes` names {self.sizes[-1]}, more than `size` (= {size}).")
        k = torch.tensor(self.sizes, dtype=torch.float64)
        logarithms = power * k.log() + k * log(decay)
        self.register_buffer("k", k.long(), persistent=False)
        self.register_buffer("frequencies", logarithms.softmax(0).float(), persistent=False)
        self.estimate = (
            nn.Sequential(nn.Linear(2 * size, hidden), nn.ReLU(), nn.Linear(hidden, size))
            if whole("hidden", hidden, 0)
            else None
        )

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        code = features
        if self.training:
            code = features.repeat(self.truncations, 1)
            drawn = torch.multinomial(self.frequencies, len(code), replacement=True)  # truncations N
            code = self.truncate(code, self.k[drawn])
        return code, code.new_zeros(())

    def truncate(self, codes: Tensor, kept: Tensor | int) -> Tensor:
        """N x size -> N x size of which only the first `kept` are known, one count for all or one a code (N)."""
        places = torch.arange(self.size, device=codes.device)
        known = (places < torch.as_tensor(kept, device=codes.device).view(-1, 1)).expand_as(codes)
        left = codes.where(known, 0)
        if self.estimate is None:
            return left
        return left.where(known, self.estimate(torch.cat([left, known.to(codes.dtype)], 1)).to(codes.dtype))
