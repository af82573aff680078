"""What a linear map can restore: the affine map from corrupted to clean images with the least squared error."""

from collections.abc import Iterable

import torch
from torch import Tensor

from diabolo.measures.precise import precise

LARGEST = 4096  # numbers an image has at most; beyond, the normal equations are too large
RIDGE = 1e-4  # added to the second moments of the pixels: corrupted images may not span all directions


class LinearMap:
    """Ridge regression, solved by the normal equations, with a ridge of 1e-4 on the second moments.

    Args:
        pairs: corrupted and clean images to fit on, in parts, both N x C x H x W float32 in [0, 1].
    """

    def __init__(self, pairs: Iterable[tuple[Tensor, Tensor]]) -> None:
        within = between = torch.zeros((), dtype=torch.float64)  # P+1 x P+1 and P+1 x P, P = CHW
        count = 0
        for corrupted, clean in pairs:
            x, y = _with_one(corrupted), clean.flatten(1)
            within, between, count = within + precise(x.T @ x), between + precise(x.T @ y), count + len(x)
        ridge = RIDGE * torch.eye(len(within), dtype=within.dtype, device=within.device)
        self.weights = torch.linalg.solve(within / count + ridge, between / count).float().to(x.device)

    def __call__(self, corrupted: Tensor) -> Tensor:
        """N x C x H x W in [0, 1] -> restorations, N x C x H x W, clipped to [0, 1]."""
        return (_with_one(corrupted) @ self.weights).view_as(corrupted).clamp(0, 1)


def _with_one(images: Tensor) -> Tensor:
    return torch.nn.functional.pad(images.flatten(1), (0, 1), value=1.0)  # N x P+1
