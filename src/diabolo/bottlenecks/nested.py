"""The nested bottleneck: the first k numbers of a code are themselves a code, for every k."""

from math import log

import torch
from torch import Tensor, nn

from diabolo.errors import ConfigError, positive, whole


class Nested(nn.Module):
    """In training each image keeps the first k numbers of its code and loses the others, k drawn anew (nested dropout:
    Rippel, Gelbart & Adams, "Learning Ordered Representations with Nested Dropout", 2014). N x `size` -> N x `size`.

    The numbers are brought to mean 0 and variance 1 over the batch (in evaluation by running averages), so that none is
    too small for the decoder to see; what is lost is 0, its mean.

    k is drawn with a probability proportional to k^`power` `decay`^k. The paper draws from a geometric distribution,
    power 0 and a decay below 1. There late numbers learn from ever fewer images and hardly move, so that it freezes
    each number once it has converged ("unit sweeping", its section 3.2). Without a decay they need no such care. With
    power 0 all k are as frequent, and the large errors of the small k weigh most; with 1, since errors fall about as
    1 / k, all k count alike.

    Args:
        size: numbers in the code.
        power: exponent of k in its distribution.
        decay: from one k to the next, above 0; 1 for none.
    """

    frequencies: Tensor

    def __init__(self, size: int, power: float = 0.0, decay: float = 1.0) -> None:
        super().__init__()
        self.size = self.in_features = whole("size", size)
        if isinstance(power, bool) or not isinstance(power, int | float):
            raise ConfigError(f"`power` (= {power!r}) must be a number, such as 0 for all k as frequent.")
        self.normalise = nn.BatchNorm1d(size, affine=False)
        if positive("decay", decay) > 1:
            raise ConfigError(f"`decay` (= {decay}) must be above 0 and at most 1.")
        k = torch.arange(1, size + 1, dtype=torch.float64)
        logarithms = power * k.log() + k * log(decay)
        self.register_buffer("frequencies", logarithms.softmax(0).float(), persistent=False)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        code = self.normalise(features)
        if self.training:
            kept = torch.multinomial(self.frequencies, len(code), replacement=True) + 1  # N
            code = self.truncate(code, kept)
        return code, code.new_zeros(())

    def truncate(self, codes: Tensor, kept: Tensor | int) -> Tensor:
        """N x size -> N x size with the numbers from `kept` on, one count or one a code (N), lost."""
        places = torch.arange(self.size, device=codes.device)
        return codes.where(places < torch.as_tensor(kept, device=codes.device).view(-1, 1), 0)
