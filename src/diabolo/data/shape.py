"""Which shapes and depths of images there may be, and which of their channels are drawn. Without torch, which takes
long to import."""

from collections.abc import Sequence
from math import isfinite
from typing import Any

from diabolo.errors import ConfigError, check_ints

DEPTHS = ("uint8", "uint16", "float32")  # how pixels are stored: each fills the range of its type, floats [0, 1]
MOST_CHANNELS = 4096
SMALLEST_SIDE = 8
LARGEST_SIDE = 8192


def check_image_shape(image_shape: Any) -> tuple[int, int, int]:
    """`image_shape` as a tuple of three.

    Raises:
        ConfigError: not three whole numbers, more than 4,096 channels, or a side under 8 or above 8,192.
    """
    shape = check_ints("data.image_shape", image_shape, such_as="[3,64,64] for channels, height, width")
    if len(shape) != 3 or min(shape[1:]) < SMALLEST_SIDE:
        raise ConfigError(
            "data.image_shape",
            shape,
            f"must be [channels, height, width] with sides of at least {SMALLEST_SIDE}",
        )
    if shape[0] > MOST_CHANNELS:
        raise ConfigError("data.image_shape", shape, f"must be [channels, height, width] with at most {MOST_CHANNELS:,}"
                          " channels")  # fmt: skip
    if max(shape[1:]) > LARGEST_SIDE:
        raise ConfigError("data.image_shape", shape, f"must have sides of at most {LARGEST_SIDE:,}")
    return shape[0], shape[1], shape[2]


def check_value_range(key: str, value: Any) -> tuple[float, float] | None:
    """`value` as two numbers, or None.

    Raises:
        ConfigError: neither None nor two finite numbers of which the second is larger.
    """
    if value is None:
        return None
    numbers = list(value) if isinstance(value, Sequence) and not isinstance(value, str) else []
    if len(numbers) != 2 or any(isinstance(n, bool) or not isinstance(n, int | float) for n in numbers):
        raise ConfigError(key, value, "must be two numbers, those of black and of white, such as [0,4095], or null")
    if not all(map(isfinite, numbers)) or numbers[0] >= numbers[1]:
        raise ConfigError(key, value, "must be two finite numbers, the larger one last")
    return numbers[0], numbers[1]


def check_shown_channels(key: str, value: Any, channels: int = MOST_CHANNELS) -> tuple[int, ...] | None:
    """`value` as one channel, drawn in grey, or three, drawn as red, green and blue; None stays None.

    Raises:
        ConfigError: neither one nor three whole numbers below `channels`.
    """
    if value is None:
        return None
    shown = check_ints(key, value, minimum=0)
    if len(shown) not in (1, 3) or max(shown) >= channels:
        raise ConfigError(
            key, shown, f"must be one channel (grey) or three (red, green, blue), each from 0 to {channels - 1}"
        )
    return tuple(shown)


def shown_by_default(channels: int) -> Sequence[int]:
    """The channels that are drawn: the first three, or the first of one or two (grey, without its alpha)."""
    return range(3) if channels >= 3 else range(1)
