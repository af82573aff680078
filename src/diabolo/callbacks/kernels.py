"""What the layers have learnt and what they see: kernels, and the maps that an image leaves at every stage."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor, nn

from diabolo.callbacks.pictures import GAP, Drawing, chosen, diverging, rows
from diabolo.errors import check_int

if TYPE_CHECKING:
    from diabolo.data.datamodule import ImageData
    from diabolo.training.autoencoder_module import AutoencoderModule

A_ROW = 16  # tiles of a line, and numbers of a line of a folded vector
BETWEEN = 0.75  # the grey between tiles, since white is 0
LINE = 18  # pixels, the height of a line of text
FONT = ImageFont.load_default(12)


class Kernels(Drawing):
    """The encoder's first kernels and the decoder's last, for each channel of the image in the colours of their own
    range: blue below 0, white at 0, red above, symmetric around 0.

    The weights of a fully connected layer are drawn as the images that a unit answers to (encoder) or paints (decoder).

    Args:
        most: units of a layer.
    """

    name = "kernels"

    def __init__(self, most: int = 64, every_n_epochs: int = 5) -> None:
        super().__init__("test", every_n_epochs)
        self.most = check_int("most", most)

    def draw(self, module: AutoencoderModule, data: ImageData) -> Tensor:
        parts, lines = dict(module.trained().named_children()), []
        for name, which in (("encoder", 0), ("decoder", -1)):
            if (part := parts.get(name)) is None:  # a classifier's decoder
                continue
            layers = [pair for pair in part.named_modules() if isinstance(pair[1], WEIGHTED)]
            if not layers:
                lines.append(text(f"{name} {type(part).__name__}: no kernels"))
                continue
            path, layer = layers[which]
            sheets = kernels(layer, encodes=name == "encoder", shape=data.image_shape)
            for channel, tiles in enumerate(sheets, 1):
                of = f", channel {channel} of {len(sheets)}" if len(sheets) > 1 else ""
                lines += sheet(f"{name}{f'.{path}' if path else ''} {type(layer).__name__}{of}", tiles, self.most)
        return stacked(lines)


class FeatureMaps(Drawing):
    """What one image becomes on its way: the maps of every stage of encoder and decoder, each stage in the colours of
    its own range, symmetric around 0. A stage is a layer with what follows it and keeps the shape (its activation).

    Vectors, the code among them, are drawn as one tile, folded into lines of 16 numbers.

    Args:
        image: index into the split.
        most: maps of a stage.
    """

    name = "feature_maps"

    def __init__(self, image: int = 0, most: int = 32, split: str = "test", every_n_epochs: int = 5) -> None:
        super().__init__(split, every_n_epochs)
        self.image = check_int("image", image, 0)
        self.most = check_int("most", most)

    def draw(self, module: AutoencoderModule, data: ImageData) -> Tensor:
        pixels = chosen(data, self.split, [self.image], "image").to(module.device)
        lines = [text(f"image {self.image} of the {self.split} split"), rows([pixels.float() / 255])]
        for title, values in stages(module, pixels):
            vector = values.dim() == 1
            tiles = folded(values) if vector else values[:, None]
            lines += sheet(f"{title}, {len(values)} numbers" if vector else title, tiles, self.most)
        return stacked(lines)


WEIGHTED = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)


def kernels(layer: nn.Module, encodes: bool, shape: Sequence[int]) -> list[Tensor]:
    """The weights between each channel of the image and all units, units x 1 x h x w; of a linear layer that does not
    meet the pixels themselves the whole matrix, units last, as one tile."""
    assert isinstance(layer, WEIGHTED)
    weight = layer.weight.detach().float().cpu()
    if encodes == isinstance(layer, nn.ConvTranspose2d):  # stored with the image's side first
        weight = weight.transpose(0, 1)  # units x channels (x h x w), or units x pixels
    if weight.dim() == 2:
        if weight.shape[1] != prod(shape):
            return [weight.T[None, None]]
        weight = weight.reshape(-1, *shape)
    return [one[:, None] for one in weight.unbind(1)]


def stages(module: AutoencoderModule, pixels: Tensor) -> list[tuple[str, Tensor]]:
    """The layers that one image, 1 x C x H x W, passes, and what leaves them, without N. A layer
    without weights that keeps the shape stands with the one before it; a vector that is unflattened stands as maps."""
    passed: list[tuple[str, Tensor]] = []

    def note(path: str) -> Callable[[nn.Module, Any, Any], None]:
        def hook(layer: nn.Module, inputs: Any, output: Any) -> None:
            if isinstance(layer, nn.Flatten) or not isinstance(output, Tensor) or output.dim() not in (2, 4):
                return
            values, title = output[0].float().cpu(), f"{path} {type(layer).__name__}"
            if isinstance(layer, nn.Unflatten):
                joins = bool(passed) and passed[-1][0].split(".")[0] == path.split(".")[0]
            else:
                joins = bool(passed) and not isinstance(layer, WEIGHTED) and passed[-1][1].shape == values.shape
            if joins:
                title = f"{passed.pop()[0]}, {type(layer).__name__}"
            passed.append((title, values))

        return hook

    leaves = [(path, layer) for path, layer in module.trained().named_modules() if not any(layer.children())]
    hooks = [layer.register_forward_hook(note(path)) for path, layer in leaves if not isinstance(layer, nn.Identity)]
    try:
        module(pixels)
    finally:
        for hook in hooks:
            hook.remove()
    return passed


def folded(vector: Tensor) -> Tensor:
    """n numbers as 1 x 1 x lines x 16 (fewer columns where n is less), filled up with zeros."""
    columns = min(len(vector), A_ROW)
    filled = torch.nn.functional.pad(vector, (0, -len(vector) % columns))
    return filled.view(1, 1, -1, columns)


def sheet(title: str, tiles: Tensor, most: int) -> list[Tensor]:
    """A caption, which says the range of the colours, and the first `most` of signed tiles, N x 1 x H x W."""
    limit = float(tiles.abs().max())
    count, (height, width) = len(tiles), tiles.shape[-2:]
    some = f"{most} of {count}" if count > most else f"{count}"
    caption = f"{title}: {some} of {height}x{width}, blue {-limit:.4g}, red {limit:.4g}"
    return [text(caption), rows(diverging(tiles[:most], limit or 1.0).split(A_ROW), BETWEEN)]


def text(line: str) -> Tensor:
    """A line of black text on white, 3 x 18 x W."""
    canvas = Image.new("L", (int(FONT.getlength(line)) + 2 * GAP, LINE), 255)
    ImageDraw.Draw(canvas).text((GAP, GAP), line, 0, FONT)
    grey = torch.frombuffer(bytearray(canvas.tobytes()), dtype=torch.uint8).view(1, LINE, -1)
    return grey.expand(3, -1, -1) / 255


def stacked(lines: Sequence[Tensor]) -> Tensor:
    """C x H x W pictures below each other, filled up with white: 3 x H' x W'."""
    widest = max(line.shape[2] for line in lines)
    padded = [torch.nn.functional.pad(line, (0, widest - line.shape[2], 0, GAP), value=1.0) for line in lines]
    return torch.cat([line.expand(3, -1, -1) for line in padded], 1)
