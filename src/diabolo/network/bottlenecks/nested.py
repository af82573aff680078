"""The nested bottleneck: the first k numbers of a code are themselves a code, for every k."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from diabolo.errors import ConfigError, UserError, check_int, check_ints


class Nested(nn.Module):
    """In training codes keep their first k numbers and lose the others, k drawn anew in each step (nested dropout:
    Rippel, Gelbart & Adams, "Learning Ordered Representations with Nested Dropout", 2014). N x `size` -> N x `size`; in
    training `truncations` N x `size`, the codes of all images at the first k, then at the second, ...

    Three things are not as in the paper, which draws one k an image, from a geometric distribution. There late numbers
    learn from ever fewer images and hardly move, so that it freezes each number once it has converged ("unit sweeping",
    its section 3.2).
    - Several k stand side by side in each step, and the loss is the geometric mean of theirs: the small errors of long
      codes count as much as the large ones of short codes.
    - k is drawn from `sizes` in proportion to k^`power` (`power` 0: all as frequent; below, the short codes more so).
      Every k takes its toll of the others, the smallest most of all: the best code of one number is a line folded
      through all images, and a poor first coordinate of a plane.
    - What is lost is not 0 but what a network of one hidden layer makes of what is left, so that the decoder need not
      tell codes of every length apart. With `hidden` = 0 it is 0.

    Args:
        size: numbers in the code.
        sizes: the k that are drawn; null for every one up to the size.
        power: exponent of k in its distribution.
        truncations: the k of a step, drawn evenly spread over their distribution (systematic sampling); the decoder's
            work grows with them.
        hidden: width of the network that estimates what is lost.

    Raises:
        UserError: a value out of range.
    """

    k: Tensor
    shares: Tensor  # of k, summed up

    def __init__(
        self,
        size: int,
        sizes: Sequence[int] | None = None,
        power: float = 0.0,
        truncations: int = 4,
        hidden: int = 256,
    ) -> None:
        super().__init__()
        self.size = self.in_features = check_int("size", size)
        if isinstance(power, bool) or not isinstance(power, int | float):
            raise ConfigError("power", power, "must be a number, such as 0 for all k as frequent")
        self.truncations = check_int("truncations", truncations)
        self.sizes = sorted(set(check_ints("sizes", range(1, size + 1) if sizes is None else sizes)))
        if self.sizes[-1] > size:
            raise UserError(f"`sizes` names {self.sizes[-1]}, more than `size` (= {size}).")
        k = torch.tensor(self.sizes)
        self.register_buffer("k", k, persistent=False)
        self.register_buffer("shares", (power * k.double().log()).softmax(0).cumsum(0).float(), persistent=False)
        self.estimate = (
            nn.Sequential(nn.Linear(2 * size, hidden), nn.ReLU(), nn.Linear(hidden, size))
            if check_int("hidden", hidden, 0)
            else None
        )

    def forward(self, features: Tensor) -> tuple[Tensor, None]:
        code = features
        if self.training:
            known = self.drawn().repeat_interleave(len(features))  # truncations N
            code = self.truncate(features.repeat(self.truncations, 1), known)
        return code, None

    def drawn(self) -> Tensor:
        """The k of a step, `truncations` of them in rising order: where a comb of random offset meets their shares."""
        places = torch.arange(self.truncations, device=self.k.device) + torch.rand(1, device=self.k.device)
        return self.k[torch.searchsorted(self.shares[:-1], places / self.truncations)]

    def truncate(self, codes: Tensor, known: Tensor | int) -> Tensor:
        """N x size -> N x size of which only the first `known` are known, one count for all or one a code (N)."""
        places = torch.arange(self.size, device=codes.device)
        first = (places < torch.as_tensor(known, device=codes.device).view(-1, 1)).expand_as(codes)
        left = codes.where(first, 0)
        if self.estimate is None:
            return left
        return left.where(first, self.estimate(torch.cat([left, first.to(codes.dtype)], 1)).to(codes.dtype))
