"""The yardstick: the same four numbers for every run, per pixel in [0, 1], in float32, over a whole split."""

from collections.abc import Mapping
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from diabolo.measures.image_metrics import ImageMetric
from diabolo.measures.precise import PreciseMetric, precise_sum

SIGMA = 1.5  # pixels, of SSIM's Gaussian window
RADIUS = 5  # pixels: a window of 11x11
LARGEST_WHOLE = 64  # pixels: the longest side at which products of whole axes are faster than a convolution
CACHED = 1 << 18  # pixel values that are compared at once on a CPU: with what is made of them they fit its cache
C1, C2 = 0.01**2, 0.03**2  # SSIM's constants for a data range of 1


def ssim_per_image(reconstructions: Tensor, targets: Tensor) -> Tensor:
    """SSIM of each reconstruction and its target, both N x C x H x W float32 in the scale of [0, 1]: N numbers.

    From Wang, Bovik, Sheikh & Simoncelli, "Image quality assessment: from error visibility to structural similarity",
    2004, section III.B, with a data range of 1. The mean is taken where the 11x11 window lies inside the image, as in
    the paper and in scikit-image. An axis shorter than 11 pixels has no such place: there the whole axis counts, its
    border reflected. Sides must be 6 or more.
    """
    part = len(targets)
    if targets.device.type == "cpu" and max(targets.shape[-2:]) > LARGEST_WHOLE:
        part = max(1, CACHED // targets.shape[1:].numel())
    parts = zip(reconstructions.split(part), targets.split(part), strict=True)
    return torch.cat([_similarity(*pair) for pair in parts])


def _similarity(reconstructions: Tensor, targets: Tensor) -> Tensor:
    products = [reconstructions.square(), targets.square(), reconstructions * targets]
    maps = torch.stack([reconstructions, targets, *products])
    x, y, xx, yy, xy = _means(maps)  # N x C x places^2 each
    similarity = (2 * x * y + C1) * (2 * (xy - x * y) + C2)
    similarity /= (x.square() + y.square() + C1) * (xx - x.square() + yy - y.square() + C2)
    return similarity.flatten(1).mean(1)


def _means(maps: Tensor) -> Tensor:
    """The means under SSIM's window: K x N x C x H x W -> K x N x C x places x places."""
    count, _, channels, height, width = maps.shape
    if max(height, width) <= LARGEST_WHOLE or min(height, width) <= 2 * RADIUS:
        rows, columns = (window(side).to(maps) for side in (height, width))
        return (maps @ columns).mT @ rows
    weights = _weights().to(maps).expand(count * channels, 1, 1, -1)
    beside = maps.transpose(0, 1).flatten(1, 2).contiguous(memory_format=torch.channels_last)  # N x KC x H x W
    means = F.conv2d(F.conv2d(beside, weights, groups=len(weights)), weights.mT, groups=len(weights))
    return means.unflatten(1, (count, channels)).transpose(0, 1)


def _weights() -> Tensor:
    """SSIM's Gaussian window along one axis, 11 numbers."""
    weights = torch.exp(torch.arange(-RADIUS, RADIUS + 1) ** 2 / (-2 * SIGMA**2))
    return weights / weights.sum()


@cache
def window(side: int) -> Tensor:
    """SSIM's Gaussian window at each of its places along an axis of `side` pixels, as a matrix, pixels x places.

    For 28x28 images two products of matrices are 15 times as fast on a CPU as torchmetrics' convolution by the 11x11
    window; for 256x256 a convolution along each axis, a channel by itself, is three times as fast (`_means`).
    """
    reflected = F.pad(torch.eye(side)[None], (RADIUS, RADIUS), mode="reflect")[0]  # pixels x (pixels + 10)
    every = reflected.unfold(1, 2 * RADIUS + 1, 1) @ _weights()  # pixels x pixels
    return every[:, RADIUS:-RADIUS] if side > 2 * RADIUS else every


class Collected(Metric):
    """All rows since the last reset, those of other processes included: N x size float32."""

    full_state_update = False
    rows: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        self.add_state("rows", [], dist_reduce_fx="cat")

    def update(self, rows: Tensor) -> None:
        self.rows.append(rows.float().clone())  # CUDA graphs write the next batch over it

    def compute(self) -> Tensor:
        return dim_zero_cat(self.rows)


class Yardstick(PreciseMetric):
    """MSE, MAE, PSNR and SSIM over all images since the last reset.

    MSE and MAE are means over images, channels and pixels, in the units of [0, 1]; PSNR is 10 log10(1 / MSE) of that
    mean, in dB; SSIM is the mean over images of `ssim_per_image`. Reconstructions outside [0, 1] are not clipped: they
    count as the errors they are.

    Args:
        metrics: further ones by name, of which the mean over images is taken.
    """

    full_state_update = False
    squared: Tensor
    absolute: Tensor
    of_images: Tensor  # the sum of each figure that an image has by itself
    pixels: Tensor
    images: Tensor

    def __init__(self, metrics: Mapping[str, ImageMetric] | None = None) -> None:
        super().__init__()
        self.metrics: dict[str, ImageMetric] = {"ssim": ssim_per_image, **(metrics or {})}
        for name in ("squared", "absolute", "pixels", "images"):
            self.add_state(name, torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("of_images", torch.zeros(len(self.metrics), dtype=torch.float64), dist_reduce_fx="sum")

    def per_image(self, reconstructions: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """`ssim` and the further metrics of each image, N numbers each."""
        return {name: metric(reconstructions, targets) for name, metric in self.metrics.items()}

    def update(self, reconstructions: Tensor, targets: Tensor, per_image: Mapping[str, Tensor] | None = None) -> None:
        """Adds a batch.

        Args:
            reconstructions, targets: N x C x H x W float32 in the scale of [0, 1].
            per_image: what `per_image` gives, if it is known already: it costs more than all the rest.
        """
        difference = reconstructions - targets
        per_image = self.per_image(reconstructions, targets) if per_image is None else per_image
        self.squared += precise_sum(difference.square())
        self.absolute += precise_sum(difference.abs())
        self.of_images += torch.stack([precise_sum(per_image[name]) for name in self.metrics])
        self.pixels += targets.numel()
        self.images += len(targets)

    def compute(self) -> dict[str, Tensor]:
        """`mse`, `mae`, `psnr`, `ssim` and the further metrics, each a float64 scalar."""
        mse = self.squared / self.pixels
        return {
            "mse": mse,
            "mae": self.absolute / self.pixels,
            "psnr": -10 * torch.log10(mse),
            **dict(zip(self.metrics, self.of_images / self.images, strict=True)),
        }
