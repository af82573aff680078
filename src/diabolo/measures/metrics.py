"""The yardstick: the same four numbers for every run, per pixel in [0, 1], in float32, over a whole split."""

from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

SIGMA = 1.5  # of SSIM's Gaussian window, in pixels (Wang et al. 2004, section III.B: 11x11)
RADIUS = 5
C1, C2 = 0.01**2, 0.03**2  # of the same paper, for a data range of 1


def ssim_per_image(ours: Tensor, theirs: Tensor) -> Tensor:
    """SSIM of N x C x H x W images in [0, 1], as N numbers (Wang et al. 2004; data range 1).

    The mean is taken where the 11x11 window lies inside the image, as in the paper and in scikit-image. An axis shorter
    than 11 pixels has no such place; there the whole axis counts, its border reflected. Sides must be 6 or more.
    """
    rows, columns = (window(side).to(theirs) for side in theirs.shape[-2:])
    moments = torch.stack([ours, theirs, ours.square(), theirs.square(), ours * theirs])
    x, y, xx, yy, xy = (moments @ columns).mT @ rows  # N x C x places x places each
    likeness = (2 * x * y + C1) * (2 * (xy - x * y) + C2)
    likeness /= (x.square() + y.square() + C1) * (xx - x.square() + yy - y.square() + C2)
    return likeness.flatten(1).mean(1)


@cache
def window(side: int) -> Tensor:
    """The Gaussian window along an axis as a matrix, pixels x places: for 28x28 images two products of matrices are 15
    times as fast on a CPU as torchmetrics' convolution by the 11x11 window."""
    weights = torch.exp(torch.arange(-RADIUS, RADIUS + 1) ** 2 / (-2 * SIGMA**2))
    reflected = F.pad(torch.eye(side)[None], (RADIUS, RADIUS), mode="reflect")[0]  # pixels x (pixels + 10)
    every = reflected.unfold(1, len(weights), 1) @ (weights / weights.sum())  # pixels x pixels
    return every[:, RADIUS:-RADIUS] if side > 2 * RADIUS else every


class Collected(Metric):
    """All rows seen since the last reset, N x size float32, those of other processes included."""

    full_state_update = False
    rows: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        self.add_state("rows", [], dist_reduce_fx="cat")

    def update(self, rows: Tensor) -> None:
        self.rows.append(rows.float().clone())  # CUDA graphs write the next batch over it

    def compute(self) -> Tensor:
        return dim_zero_cat(self.rows)


class Yardstick(Metric):
    """MSE, MAE, PSNR and SSIM over all images seen since the last reset.

    MSE and MAE are means over images, channels and pixels; PSNR is 10 log10(1 / MSE) of that mean, in dB; SSIM is the
    mean over images of `ssim_per_image`. Values outside [0, 1] are not clipped: what a network cannot reach counts.
    """

    full_state_update = False
    squared: Tensor
    absolute: Tensor
    similarity: Tensor
    pixels: Tensor
    images: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name in ("squared", "absolute", "similarity", "pixels", "images"):
            self.add_state(name, torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, ours: Tensor, theirs: Tensor, similarity: Tensor | None = None) -> None:
        """Takes in N x C x H x W reconstructions and originals, float32 in the scale of [0, 1]; `similarity` is their
        `ssim_per_image` where it is known, since it costs more than all the rest."""
        difference = ours - theirs
        similarity = ssim_per_image(ours, theirs) if similarity is None else similarity
        self.squared += difference.square().sum(dtype=torch.float64)
        self.absolute += difference.abs().sum(dtype=torch.float64)
        self.similarity += similarity.sum(dtype=torch.float64)
        self.pixels += theirs.numel()
        self.images += len(theirs)

    def compute(self) -> dict[str, Tensor]:
        mse = self.squared / self.pixels
        return {
            "mse": mse,
            "mae": self.absolute / self.pixels,
            "psnr": -10 * torch.log10(mse),
            "ssim": self.similarity / self.images,
        }
