"""Which shapes of images there may be. Without torch, which takes long to import."""

from typing import Any

from diabolo.errors import ConfigError, check_ints

SMALLEST_SIDE = 8
LARGEST_SIDE = 8192


def check_image_shape(image_shape: Any) -> tuple[int, int, int]:
    """`image_shape` as a tuple of three.

    Raises:
        ConfigError: not three whole numbers, not 1 or 3 channels, or a side under 8 or above 8,192.
    """
    shape = check_ints("data.image_shape", image_shape)
    if len(shape) != 3 or shape[0] not in (1, 3) or min(shape[1:]) < SMALLEST_SIDE:
        raise ConfigError(
            "data.image_shape",
            shape,
            f"must be [channels, height, width] with 1 or 3 channels and sides of at least {SMALLEST_SIDE}",
        )
    if max(shape[1:]) > LARGEST_SIDE:
        raise ConfigError("data.image_shape", shape, f"must have sides of at most {LARGEST_SIDE:,}")
    return shape[0], shape[1], shape[2]
