"""Reconstruction losses that compare more than one pixel at a time: structure, edges, frequencies.

They take the reconstruction and its target, both N x C x H x W in the network's scale, compare them in the scale of
[0, 1], in float32, and give a scalar: what a loss is worth does not depend on how the data were normalised.
"""

from collections.abc import Sequence
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchmetrics.functional.image import (
    multiscale_structural_similarity_index_measure,
    structural_similarity_index_measure,
)

from diabolo.data.pixels import PixelScale
from diabolo.errors import ConfigError, UserError, check_bool, check_choice, check_int, check_not_negative

PIXEL_LOSSES = {"mse": Tensor.square, "mae": Tensor.abs}
SOBEL = ((-0.125, 0.0, 0.125), (-0.25, 0.0, 0.25), (-0.125, 0.0, 0.125))  # a ramp of slope 1 gives 1


class SSIM(nn.Module):
    """1 - structural similarity (Wang et al. 2004), on the scale of [0, 1]. One value an image, so that there is no
    `reduction`.

    Args:
        window: side of the uniform window, in pixels, odd.
        mean, std: those by which the data were normalised: a number, one a channel, or None.
        channels: of the images.
    """

    on_logits: ClassVar[bool] = False

    def __init__(
        self,
        window: int = 7,
        mean: float | Sequence[float] | None = None,
        std: float | Sequence[float] | None = None,
        channels: int = 1,
    ) -> None:
        super().__init__()
        if check_int("window", window, 3) % 2 == 0:
            raise ConfigError("window", window, "must be odd")
        self.window = window
        self.pixels = PixelScale(mean, std, channels)

    def forward(self, reconstruction: Tensor, target: Tensor) -> Tensor:
        side = min(target.shape[-2:])
        if side < self.window:
            raise ConfigError("loss.window", self.window, f"must not exceed the image's smaller side ({side})")
        return 1 - self.similarity(self.pixels.to_unit(reconstruction), self.pixels.to_unit(target))

    def similarity(self, reconstruction: Tensor, target: Tensor) -> Tensor:
        """Of images in [0, 1], a scalar."""
        value = structural_similarity_index_measure(
            reconstruction, target, gaussian_kernel=False, kernel_size=self.window, data_range=1.0
        )
        assert isinstance(value, Tensor)  # a tuple only where a full image is asked for
        return value


class MSSSIM(SSIM):
    """1 - multi-scale structural similarity (Wang et al. 2003) over an image and its halvings.

    The weights are the paper's first `levels`, scaled to sum to 1; negative contrast terms count as 0 (its "relu"
    form), which keeps the gradient finite. The window must fit into the smallest scale, and torchmetrics asks for a
    smaller side of at least window * (levels - 1)^2, which is more at 4 levels.

    Args:
        window, mean, std, channels: as in `SSIM`.
        levels: how many scales, the image itself included.
    """

    WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)

    def __init__(
        self,
        window: int = 7,
        levels: int = 3,
        mean: float | Sequence[float] | None = None,
        std: float | Sequence[float] | None = None,
        channels: int = 1,
    ) -> None:
        super().__init__(window, mean, std, channels)
        if check_int("levels", levels) > len(self.WEIGHTS):
            raise ConfigError("levels", levels, f"must be at most {len(self.WEIGHTS)}")
        self.betas = tuple(weight / sum(self.WEIGHTS[:levels]) for weight in self.WEIGHTS[:levels])

    def similarity(self, reconstruction: Tensor, target: Tensor) -> Tensor:
        levels, side = len(self.betas), min(target.shape[-2:])
        needed = self.window * max(2 ** (levels - 1), (levels - 1) ** 2)
        if side < needed:
            raise UserError(
                f"the image's smaller side (= {side}) must be at least {needed} with `loss.levels` (= {levels}) and"
                f" `loss.window` (= {self.window}): take fewer levels or a smaller window."
            )
        return multiscale_structural_similarity_index_measure(
            reconstruction,
            target,
            gaussian_kernel=False,
            kernel_size=self.window,
            data_range=1.0,
            betas=self.betas,
            normalize="relu",
        )


class Gradient(nn.Module):
    """The error of the pixels plus `weight` times that of the image's gradient, which a blurred edge has and MSE hardly
    sees.

    Both are means over all numbers, of squares (`pixel="mse"`) or of absolute values ("mae"). The second is the
    gradient difference loss of Mathieu, Couprie & LeCun, "Deep multi-scale video prediction beyond mean square error",
    2016, https://arxiv.org/abs/1511.05440, but for the sign: they compare the absolute values of the two gradients, to
    which an edge from dark to bright is the same as one from bright to dark. With squares it is the squared error in
    the Sobolev space H1.

    Args:
        pixel: "mse" or "mae".
        weight: of the gradient's error, 0 or more.
        operator: "difference", of neighbouring pixels in each direction, or "sobel", which also averages over three
            rows or columns; the border is repeated.
        mean, std, channels: as in `SSIM`.

    Raises:
        ConfigError: an argument that is not as above.
    """

    on_logits: ClassVar[bool] = False

    def __init__(
        self,
        pixel: str = "mse",
        weight: float = 1.0,
        operator: str = "difference",
        mean: float | Sequence[float] | None = None,
        std: float | Sequence[float] | None = None,
        channels: int = 1,
    ) -> None:
        super().__init__()
        self.error = PIXEL_LOSSES[check_choice("pixel", pixel, tuple(PIXEL_LOSSES))]
        self.weight = check_not_negative("weight", weight)
        self.operator = check_choice("operator", operator, ("difference", "sobel"))
        self.pixels = PixelScale(mean, std, channels)

    def forward(self, reconstruction: Tensor, target: Tensor) -> Tensor:
        difference = self.pixels.to_unit(reconstruction) - self.pixels.to_unit(target)
        slopes = self.gradient(difference)  # that of a difference is the difference of gradients
        return self.error(difference).mean() + self.weight * self.error(slopes).mean()

    def gradient(self, images: Tensor) -> Tensor:
        """The slopes along rows and columns, in units of [0, 1] a pixel: N x C x H x W -> N x C x numbers."""
        if self.operator == "difference":
            return torch.cat([images.diff(dim=axis).flatten(2) for axis in (2, 3)], 2)
        kernel = torch.tensor(SOBEL, dtype=images.dtype, device=images.device)
        padded = F.pad(images, [1] * 4, mode="replicate").flatten(0, 1)[:, None]  # NC x 1 x (H + 2) x (W + 2)
        return F.conv2d(padded, torch.stack([kernel, kernel.T])[:, None]).view(*images.shape[:2], -1)


class FocalFrequency(nn.Module):
    """Focal frequency loss (Jiang, Dai, Wu & Loy, "Focal frequency loss for image reconstruction and synthesis", 2021,
    https://arxiv.org/abs/2012.12821): the squared error of each frequency, weighted by that error itself, so that those
    count most that the network misses most.

    With F the orthonormal 2-D Fourier transform of reconstruction minus target, it is the mean of w |F|^2 with
    w = |F|^alpha / max |F|^alpha; the maximum is that of an image and channel, and w has no gradient. With `alpha` 0 it
    is MSE. The arguments are those of the authors' code, https://github.com/EndlessSora/focal-frequency-loss, whose
    values it gives. They train on it beside MSE: see loss=mix.

    Args:
        alpha: how sharply it looks at the worst frequencies, 0 or more.
        patch_factor: cuts the image into so many parts a side, each with a spectrum of its own.
        ave_spectrum: whether to compare the mean spectra of a batch instead of those of its images.
        log_matrix: whether the weights are log(1 + |F|^alpha), scaled likewise, which lifts the small ones.
        mean, std, channels: as in `SSIM`.

    Raises:
        ConfigError: an argument that is not as above; or, when it is called, `patch_factor` does not divide the image.
    """

    on_logits: ClassVar[bool] = False

    def __init__(
        self,
        alpha: float = 1.0,
        patch_factor: int = 1,
        ave_spectrum: bool = False,
        log_matrix: bool = False,
        mean: float | Sequence[float] | None = None,
        std: float | Sequence[float] | None = None,
        channels: int = 1,
    ) -> None:
        super().__init__()
        self.alpha = check_not_negative("alpha", alpha)
        self.patch_factor = check_int("patch_factor", patch_factor)
        self.ave_spectrum = check_bool("ave_spectrum", ave_spectrum)
        self.log_matrix = check_bool("log_matrix", log_matrix)
        self.pixels = PixelScale(mean, std, channels)

    def forward(self, reconstruction: Tensor, target: Tensor) -> Tensor:
        difference = self.pixels.to_unit(reconstruction) - self.pixels.to_unit(target)
        if self.ave_spectrum:  # a spectrum is linear in the image
            difference = difference.mean(0, keepdim=True)
        spectrum = torch.view_as_real(torch.fft.fft2(self.patches(difference), norm="ortho"))
        power = spectrum.square().sum(-1)  # of the error: N x C x rows x columns x h x w
        with torch.no_grad():
            weights = power ** (self.alpha / 2)
            if self.log_matrix:
                weights = weights.log1p()
            weights = (weights / weights.amax((-2, -1), keepdim=True)).nan_to_num(0.0)  # 0 / 0 where all is equal
        return (weights * power).mean()

    def patches(self, images: Tensor) -> Tensor:
        """The parts of images: N x C x H x W -> N x C x rows x columns x h x w."""
        parts, (height, width) = self.patch_factor, images.shape[-2:]
        if height % parts or width % parts:
            rule = f"must divide both sides of the images, {height}x{width}"
            raise ConfigError("loss.patch_factor", parts, rule)
        return images.unfold(2, height // parts, height // parts).unfold(3, width // parts, width // parts)
