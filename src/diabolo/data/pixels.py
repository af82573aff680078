"""The scale of pixels: [0, 1] outside, normalised inside the network."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from diabolo.errors import ConfigError


class PixelScale(nn.Module):
    """x -> (x - mean) / std for each channel, and back; without `mean` and `std` the network sees [0, 1] itself.

    Args:
        mean, std: in the units of [0, 1]: one number for all channels, one for each, or None for 0 and 1.
        channels: of the images.

    Raises:
        ConfigError: no numbers, not as many as channels, or a `std` that is not above 0.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, mean: float | Sequence[float] | None = None, std: float | Sequence[float] | None = None, channels: int = 1
    ) -> None:
        super().__init__()
        self.normalises = mean is not None or std is not None
        for name, value, neutral in (("mean", mean, 0.0), ("std", std, 1.0)):
            values = torch.tensor(neutral if value is None else _numbers(name, value)).flatten()
            if len(values) not in (1, channels):
                raise ConfigError(f"data.{name}", value, f"must be one number or one for each of {channels} channels")
            if name == "std" and not bool((values > 0).all()):
                raise ConfigError("data.std", value, "must be above 0")
            self.register_buffer(name, values.view(-1, 1, 1), persistent=False)

    def to_network(self, images: Tensor) -> Tensor:
        """N x C x H x W, bytes or floats in [0, 1], to float32 in the network's scale."""
        pixels = images.float().div_(255) if images.dtype == torch.uint8 else images.float()
        return pixels.sub(self.mean).div_(self.std) if self.normalises else pixels

    def to_unit(self, images: Tensor) -> Tensor:
        """N x C x H x W in the network's scale to float32 in the scale of [0, 1], not clipped."""
        return images.float() * self.std + self.mean if self.normalises else images.float()


def _numbers(name: str, value: float | Sequence[float]) -> list[float]:
    try:
        return [float(number) for number in (value if isinstance(value, Sequence) else [value])]
    except (TypeError, ValueError):
        raise ConfigError(f"data.{name}", value, "must be a number or a list of numbers") from None
