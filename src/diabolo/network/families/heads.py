"""How the convolutional families go from feature maps to the flat code and back.

`head` is one of
- "linear": the maps are flattened and one linear layer makes the code;
- "mlp": the same with a linear layer, normalised and activated, per entry of `hidden` between them;
- "conv": one convolution whose kernel covers the whole map makes the code (as many weights as "linear");
- "spatial": one more stage whose maps are the code, so that a code of 196 numbers is 4 maps of 7x7. Its size must be a
  multiple of the map's pixels.
"""

from collections.abc import Callable, Sequence

from torch import nn

from diabolo.errors import UserError, check_choice, check_ints
from diabolo.network.families.fc import FCDecoder, FCEncoder
from diabolo.network.shapes import Size, descent

Maps = tuple[int, int, int]  # channels, height, width
HEADS = ("linear", "mlp", "conv", "spatial")


def plan(
    image_shape: Sequence[int], channels: Sequence[int], head: str, features: int, step: Callable[[int], int]
) -> tuple[list[int], list[Size]]:
    """Widths and sizes of the maps from the image to the last stage, the same for both halves.

    Returns `([C, *channels], [(H, W), ...])` of equal length; with the "spatial" head one entry more, whose width is
    `features` divided by the map's pixels.

    Raises:
        UserError: the image is too small for the stages, or `features` does not fill whole maps.
    """
    check_choice("head", head, HEADS)
    widths = [image_shape[0], *check_ints("channels", channels)]
    stages = len(widths) - 1 + (head == "spatial")
    sizes = descent((image_shape[1], image_shape[2]), stages, step)
    if head == "spatial":
        height, width = sizes[-1]
        pixels = height * width
        if features % pixels:
            near = max(1, features // pixels)
            possible = ", ".join(str(pixels * n) for n in range(max(1, near - 1), near + 3))
            raise UserError(
                f"`bottleneck.size` (= {features}) does not fill maps of {height}x{width}: with `model.head=spatial`"
                f" it must be a multiple of {pixels}, for example {possible}."
            )
        widths.append(features // pixels)
    return widths, sizes


def to_code(
    head: str, maps: Maps, out_features: int, hidden: Sequence[int], norm: str, activation: str
) -> list[nn.Module]:
    """Layers from N x `maps` to N x `out_features`."""
    if head in ("linear", "mlp"):
        return list(FCEncoder(maps, out_features, hidden if head == "mlp" else (), activation, norm))
    if head == "conv":
        return [nn.Conv2d(maps[0], out_features, maps[1:]), nn.Flatten()]
    return [nn.Flatten()]


def from_code(
    head: str, in_features: int, maps: Maps, hidden: Sequence[int], norm: str, activation: str
) -> list[nn.Module]:
    """Layers from N x `in_features` to N x `maps`."""
    if head in ("linear", "mlp"):
        return list(FCDecoder(in_features, maps, hidden if head == "mlp" else (), activation, norm))
    if head == "conv":
        return [nn.Unflatten(1, (in_features, 1, 1)), nn.ConvTranspose2d(in_features, maps[0], maps[1:])]
    return [nn.Unflatten(1, maps)]
