"""Layers that enlarge feature maps to an explicit size."""

import torch.nn.functional as F
from torch import Tensor, nn

from diabolo.errors import choice
from diabolo.shapes import Size

MODES = ("nearest", "bilinear")


class Upsample(nn.Module):
    """Resizes N x C x h x w to N x C x `size`, by repeating the nearest value or by bilinear interpolation.

    Resize-then-convolve has no checkerboard artefacts (Odena et al., "Deconvolution and Checkerboard Artifacts",
    Distill 2016). An explicit size restores odd sides, which a factor of two cannot.
    """

    def __init__(self, size: Size, mode: str = "nearest") -> None:
        super().__init__()
        self.size = size
        self.mode = choice("upsample", mode, MODES)

    def forward(self, maps: Tensor) -> Tensor:
        return F.interpolate(maps, self.size, mode=self.mode, align_corners=False if self.mode == "bilinear" else None)

    def extra_repr(self) -> str:
        return f"size={self.size}, mode={self.mode}"
