"""How much of a checkerboard is in images: their power at the frequencies of the pattern, compared with that around.

Layers that enlarge by a stride repeat the spectrum of their input at the multiples of 1 / stride (Zhang, Karaman &
Chang, "Detecting and simulating artifacts in GAN fake images", 2019). A constant input gives a constant output only if
their kernel has no gain at these frequencies (the condition of Sugawara, Shiota & Kiya, "Checkerboard artifacts free
convolutional neural networks", 2019). Else there is the pattern of Odena, Dumoulin & Olah, "Deconvolution and
checkerboard artifacts", Distill, 2016: a peak at these frequencies, where the spectrum of images is smooth. The ratio
below, by which diabolo measures this peak, comes from no paper.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from diabolo.errors import ConfigError, check_int
from diabolo.measures.precise import PreciseMetric, precise

REACH = 2  # bins from a frequency to its neighbourhood: a Hann window spreads a peak over the next bins, no further
ROUNDING = (
    1 / 255
) ** 2 / 12  # variance of rounding to bytes, whatever the depth: a peak below its power does not count


def powers(images: Tensor, period: int = 2) -> Tensor:
    """The power of images at the frequencies of a checkerboard, and around them.

    The frequencies are (a / period, b / period) in cycles a pixel, for whole a and b that are not both multiples of the
    period. Around each lies the ring of the 16 frequencies two bins away. The image is cropped to multiples of the
    period, so that the frequencies are bins of the discrete Fourier transform, and windowed (Hann), so that its borders
    count as no edges. A pattern of amplitude A at one of the frequencies has the power A^2 there and 0 around it. The
    power of rounding pixels to bytes is added to both.

    Args:
        images: N x C x H x W in the scale of [0, 1].
        period: of the pattern, in pixels.

    Returns:
        N x 2 float64: the power at the frequencies and around them, means over channels and frequencies.

    Raises:
        ConfigError: a side of less than 4 periods: the neighbourhoods of two frequencies would meet.
    """
    check_sides(images.shape[-2:], period)
    height, width = (side - side % period for side in images.shape[-2:])
    images = precise(images)
    rows, columns = (torch.hann_window(side, dtype=images.dtype, device=images.device) for side in (height, width))
    window = rows[:, None] * columns  # H x W
    spectrum = torch.fft.fft2(images[..., :height, :width] * window) / window.sum()
    power = spectrum.abs().square().mean(1)  # N x H x W
    at, around = [], []
    for u in range(0, height, height // period):
        for v in range(0, width, width // period):
            if (u, v) == (0, 0):
                continue
            near = [
                (i, j) for i in range(-REACH, REACH + 1) for j in range(-REACH, REACH + 1) if REACH in map(abs, (i, j))
            ]
            at.append(power[:, u, v])
            around += [power[:, (u + i) % height, (v + j) % width] for i, j in near]
    rounding = ROUNDING * window.square().sum() / window.sum() ** 2
    return torch.stack([torch.stack(at).mean(0), torch.stack(around).mean(0)], 1) + rounding


def check_sides(sides: Sequence[int], period: int) -> None:
    """Checks that images of this height and width are large enough for `powers`.

    Raises:
        ConfigError: they are not.
    """
    if min(sides) < 2 * REACH * period:
        raise ConfigError(
            "period",
            period,
            f"needs images of at least {2 * REACH * period} pixels a side, not {sides[0]}x{sides[1]}: choose a smaller"
            " one",
        )


class Checkerboard(PreciseMetric):
    """The ratio of the power at a checkerboard's frequencies to the power around them, in the mean spectrum of all
    images since the last reset: about 1 for images without a pattern, be they smooth or noisy; it grows with the
    pattern's power. See `powers`.

    Args:
        period: of the pattern in pixels, 2 or more.

    Raises:
        ConfigError: `period` is no such number; or, in `update`, the images are too small for it.
    """

    full_state_update = False
    power: Tensor

    def __init__(self, period: int = 2) -> None:
        super().__init__()
        self.period = check_int("period", period, 2)
        self.add_state("power", torch.zeros(2, dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, images: Tensor) -> None:
        """Adds a batch of images, N x C x H x W in the scale of [0, 1]."""
        self.power += powers(images, self.period).sum(0)

    def compute(self) -> Tensor:
        return self.power[0] / self.power[1]
