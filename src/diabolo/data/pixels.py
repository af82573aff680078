"""The scale of pixels: [0, 1] outside, normalised inside the network."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from diabolo.errors import ConfigError, UserError


class PixelScale(nn.Module):
    """x -> (x - mean) / std per channel, and back; without `mean` and `std` the network sees [0, 1] itself.

    `mean` and `std` are one number for all channels or one per channel, in the units of [0, 1].
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, mean: float | Sequence[float] | None = None, std: float | Sequence[float] | None = None, channels: int = 1
    ) -> None:
        super().__init__()
        self.normalises = mean is not None or std is not None
        for name, given, neutral in (("mean", mean, 0.0), ("std", std, 1.0)):
            values = torch.tensor(neutral if given is None else _numbers(name, given)).flatten()
            if len(values) not in (1, channels):
                raise UserError(f"`data.{name}` (= {given}) must be one number or one for each of {channels} channels.")
            if name == "std" and not bool((values > 0).all()):
                raise ConfigError("data.std", given, "must be above 0")
            self.register_buffer(name, values.view(-1, 1, 1), persistent=False)

    def to_network(self, images: Tensor) -> Tensor:
        """N x C x H x W, bytes or floats in [0, 1], to float32 in the network's scale."""
        pixels = images.float().div_(255) if images.dtype == torch.uint8 else images.float()
        return pixels.sub(self.mean).div_(self.std) if self.normalises else pixels

    def to_unit(self, images: Tensor) -> Tensor:
        """N x C x H x W in the network's scale to float32 in the scale of [0, 1], not clipped."""
        return images.float() * self.std + self.mean if self.normalises else images.float()


def _numbers(name: str, given: float | Sequence[float]) -> list[float]:
    try:
        return [float(value) for value in (given if isinstance(given, Sequence) else [given])]
    except (TypeError, ValueError):
        raise UserError(f"`data.{name}` (= {given!r}) must be a number or a list of numbers.") from None
