"""Perceptual metrics without trained weights, as the library PIQ computes them (`uv sync --extra perceptual`).

On the human judgements of KADID-10k they rank distortions better than SSIM does: Spearman's correlation .89 (HaarPSI,
MDSI) and .85 (GMSD) beside .72, https://github.com/photosynthesis-team/piq#benchmark.
"""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor

from diabolo.data.extras import extra
from diabolo.errors import UserError


class Perceptual:
    """A metric of PIQ's: (reconstructions, targets), N x C x H x W in the scale of [0, 1] -> N.

    Reconstructions are clipped to [0, 1], the range in which these metrics are defined. Three channels are red, green
    and blue; of any other number each is measured as a grey image, and the mean is taken.

    Raises:
        UserError: PIQ is not installed; or, when it is called, the images are smaller than `smallest`.
    """

    smallest: ClassVar[int]  # pixels a side

    def __init__(self) -> None:
        self.piq: Any = extra("piq", "perceptual")

    def compare(self, reconstructions: Tensor, targets: Tensor) -> Tensor:
        """Of images of one or three channels in [0, 1], N numbers."""
        raise NotImplementedError

    def __call__(self, reconstructions: Tensor, targets: Tensor) -> Tensor:
        channels, height, width = targets.shape[1:]
        if min(height, width) < self.smallest:
            raise UserError(
                f"{type(self).__name__} needs images of at least {self.smallest} pixels a side, not {height}x{width}:"
                " leave it out."
            )
        reconstructions = reconstructions.nan_to_num(0.0).clamp(0, 1)  # NaN stops a run by its MSE, with a sentence
        targets = targets.clamp(0, 1)  # on their way through normalised pixels they may come out at 1.0000001
        if channels == 3:
            return self.compare(reconstructions, targets)
        grey = (images.flatten(0, 1)[:, None] for images in (reconstructions, targets))
        return self.compare(*grey).view(-1, channels).mean(1)


class HaarPSI(Perceptual):
    """Haar wavelet-based perceptual similarity index, 1 for equal images (Reisenhofer, Bosse, Kutyniok & Wiegand, "A
    Haar wavelet-based perceptual similarity index for image quality assessment", 2018,
    https://arxiv.org/abs/1607.06140). Two black images, of which the formula gives infinity, are equal.
    """

    smallest = 16

    def compare(self, reconstructions: Tensor, targets: Tensor) -> Tensor:
        similarity: Tensor = self.piq.haarpsi(reconstructions, targets, reduction="none")
        return similarity.clamp(max=1)


class GMSD(Perceptual):
    """Gradient magnitude similarity deviation, 0 for equal images (Xue, Zhang, Mou & Bovik, "Gradient magnitude
    similarity deviation: a highly efficient perceptual image quality index", 2014, https://arxiv.org/abs/1308.3052); of
    colour images that of their brightness."""

    smallest = 6  # its filter of 3x3 pixels looks at the image at half its size

    def compare(self, reconstructions: Tensor, targets: Tensor) -> Tensor:
        deviation: Tensor = self.piq.gmsd(reconstructions, targets, reduction="none")
        return deviation


class MDSI(Perceptual):
    """Mean deviation similarity index, of gradients and colours, 0 for equal images (Nafchi, Shahkolaei, Hedjam &
    Cheriet, "Mean deviation similarity index: efficient and reliable full-reference image quality evaluator", 2016,
    https://arxiv.org/abs/1608.07433). A grey image has its values in each of the three channels."""

    smallest = 3

    def compare(self, reconstructions: Tensor, targets: Tensor) -> Tensor:
        colour = (images.expand(-1, 3, -1, -1) for images in (reconstructions, targets))
        deviation: Tensor = self.piq.mdsi(*colour, reduction="none")
        return deviation
