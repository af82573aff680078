"""How the convolutional families go from feature maps to the flat code and back.

`head` is one of
- "linear": the maps are flattened and one linear layer makes the code;
- "mlp": the same with a linear layer, normalised and activated, per entry of `hidden` between them;
- "conv": one convolution whose kernel covers the whole map makes the code (as many weights as "linear");
- "spatial": one more stage whose maps are the code, so that a code of 196 numbers is 4 maps of 7x7. Its size must be a
  multiple of the map's pixels.
- "places": the same without a stage more: a 1x1 convolution makes the code's maps, and a 3x3 one goes back. The numbers
  of a place stand together in the code, so that a codebook has an entry a place (van den Oord et al., "Neural Discrete
  Representation Learning", 2017).
"""

from collections.abc import Callable, Sequence

from torch import nn

from diabolo.errors import UserError, check_choice, check_ints
from diabolo.network.families.fc import FCDecoder, FCEncoder
from diabolo.network.layers import Permute
from diabolo.network.shapes import Size, descent

Maps = tuple[int, int, int]  # channels, height, width
HEADS = ("linear", "mlp", "conv", "spatial", "places")
Step = Callable[[int], int]  # what a stage makes of a side


def plan(
    image_shape: Sequence[int], channels: Sequence[int], head: str, features: int, step: Step | Sequence[Step]
) -> tuple[list[int], list[Size]]:
    """Widths and sizes of the maps from the image to the last stage, the same for both halves.

    Returns `([C, *channels], [(H, W), ...])` of equal length; with the "spatial" head one entry more, whose width is
    `features` divided by the map's pixels. `step` is that of every stage, or a list with one a stage.

    Raises:
        UserError: the image is too small for the stages, or `features` does not fill whole maps.
    """
    check_choice("head", head, HEADS)
    widths = [image_shape[0], *check_ints("channels", channels)]
    steps = step if isinstance(step, Sequence) else [step] * (len(widths) - 1 + (head == "spatial"))
    sizes = descent((image_shape[1], image_shape[2]), steps)
    if head in ("spatial", "places"):
        height, width = sizes[-1]
        pixels = height * width
        if features % pixels:
            near = max(1, features // pixels)
            possible = ", ".join(str(pixels * n) for n in range(max(1, near - 1), near + 3))
            raise UserError(
                f"`bottleneck.size` (= {features}) does not fill maps of {height}x{width}: with `model.head={head}`"
                f" it must be a multiple of {pixels}, for example {possible}."
            )
        if head == "spatial":
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
    if head == "places":
        pixels = maps[1] * maps[2]
        return [nn.Conv2d(maps[0], out_features // pixels, 1), Permute(1, 2, 0), nn.Flatten()]
    return [nn.Flatten()]


def from_code(
    head: str, in_features: int, maps: Maps, hidden: Sequence[int], norm: str, activation: str
) -> list[nn.Module]:
    """Layers from N x `in_features` to N x `maps`."""
    if head in ("linear", "mlp"):
        return list(FCDecoder(in_features, maps, hidden if head == "mlp" else (), activation, norm))
    if head == "conv":
        return [nn.Unflatten(1, (in_features, 1, 1)), nn.ConvTranspose2d(in_features, maps[0], maps[1:])]
    if head == "places":
        depth = in_features // (maps[1] * maps[2])
        to_maps = [nn.Unflatten(1, (*maps[1:], depth)), Permute(2, 0, 1)]
        return [*to_maps, nn.Conv2d(depth, maps[0], 3, padding=1)]
    return [nn.Unflatten(1, maps)]
