"""Integer arithmetic of image sizes: what a layer does to the side of a feature map.

Sizes are those of one spatial axis unless a name says otherwise. The formulas are PyTorch's (documentation of
`Conv2d`, `ConvTranspose2d` and `MaxPool2d`); see also Dumoulin & Visin, "A guide to convolution arithmetic for deep
learning" (2016).
"""

from collections.abc import Callable, Sequence

from diabolo.errors import UserError

Size = tuple[int, int]  # (height, width)


def conv_size(size: int, kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1) -> int:
    """Side of a convolution's output: floor((size + 2p - d(k - 1) - 1) / s) + 1."""
    return (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1


def transposed_size(
    size: int, kernel: int, stride: int = 1, padding: int = 0, output_padding: int = 0, dilation: int = 1
) -> int:
    """Side of a transposed convolution's output: (size - 1)s - 2p + d(k - 1) + op + 1."""
    return (size - 1) * stride - 2 * padding + dilation * (kernel - 1) + output_padding + 1


def pooled_size(size: int, window: int = 2) -> int:
    """Side after pooling with stride = window in ceil mode: a rest at the border keeps a place of its own."""
    return -(-size // window)


def output_padding(size: int, target: int, kernel: int, stride: int, padding: int) -> int:
    """The output padding with which a transposed convolution takes `size` to exactly `target`.

    Raises:
        UserError: no output padding from 0 to stride - 1 gives `target`.
    """
    missing = target - transposed_size(size, kernel, stride, padding)
    if not 0 <= missing < stride:
        raise UserError(
            f"a transposed convolution with kernel {kernel}, stride {stride} and padding {padding} cannot take"
            f" size {size} to {target}; choose a kernel of at least {stride}."
        )
    return missing


def descent(image: Size, steps: Sequence[Callable[[int], int]]) -> list[Size]:
    """Sizes from the image down: `[image, after stage 1, ..., after stage n]`, each side through the stage's step.

    Raises:
        UserError: the image is too small for so many stages (a side of 1 would have to shrink again).
    """
    sizes = [image]
    for stage, step in enumerate(steps):
        height, width = sizes[-1]
        if min(height, width) < 2:
            raise UserError(
                f"an image of {image[0]}x{image[1]} is too small for {len(steps)} stages: it is down to"
                f" {height}x{width} after {stage}; use at most {stage} (fewer `model.channels`) or larger images"
                " (`data.image_shape`)."
            )
        sizes.append((step(height), step(width)))
    return sizes
