"""What the layers have learnt and what they see: their kernels, and the feature maps of one image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import TYPE_CHECKING, Any

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrize import type_before_parametrizations

from diabolo.callbacks.layout import GAP, diverging, rows, stacked, text_image, text_width
from diabolo.callbacks.pictures import Drawing, images_at
from diabolo.data.pixels import unit_interval
from diabolo.errors import check_int
from diabolo.network.layers import is_leaf, is_normalisation

if TYPE_CHECKING:
    from diabolo.data.datamodule import ImageData
    from diabolo.training.autoencoder_module import AutoencoderModule, Labels

IN_A_ROW = 16  # tiles, and numbers of a folded vector
GREY = 0.75  # between the tiles, since white is 0
LINE = 18  # pixels, the height of a caption
LETTERS = 12  # pixels, the size of its text
WEIGHTED = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)


class Kernels(Drawing):
    """Draws the encoder's first kernels and the decoder's last, for each channel of the image. Blue is below 0, white 0
    and red above, symmetric around 0, each channel in its own range.

    The weights of a fully connected layer are drawn as images: those that a unit responds to (encoder) or adds to the
    output (decoder).

    Args:
        most: the most units of a layer that are drawn, the first ones.
        every_n_epochs: as in `Drawing`.
    """

    name = "kernels"

    def __init__(self, most: int = 64, every_n_epochs: int = 5) -> None:
        super().__init__("test", every_n_epochs)
        self.most = check_int("most", most)

    def draw(self, module: AutoencoderModule, data: ImageData) -> Tensor:
        parts, lines = dict(module.trained().named_children()), []
        for name, which in (("encoder", 0), ("decoder", -1)):
            if (part := parts.get(name)) is None:  # a classifier has no decoder
                continue
            layers = [pair for pair in part.named_modules() if isinstance(pair[1], WEIGHTED)]
            if not layers:
                lines.append(caption(f"{name} {type(part).__name__}: no kernels"))
                continue
            path, layer = layers[which]
            sheets = kernels(layer, encodes=name == "encoder", shape=data.image_shape)
            for channel, tiles in enumerate(sheets, 1):
                of = f", channel {channel} of {len(sheets)}" if len(sheets) > 1 else ""
                lines += sheet(f"{name}{f'.{path}' if path else ''} {type(layer).__name__}{of}", tiles, self.most)
        return stacked(lines)


class FeatureMaps(Drawing):
    """Draws the feature maps of one image at every stage of encoder and decoder, in colours as in `Kernels`, each stage
    in its own range. A stage is a layer together with the layers behind it that keep the shape (its activation).

    Vectors, the code among them, are drawn as one tile, folded into lines of 16 numbers.

    Args:
        image: index into the split.
        most: the most maps of a stage that are drawn, the first ones.
        split, every_n_epochs: as in `Drawing`.

    Raises:
        UserError: when drawing, an index that the split does not have.
    """

    name = "feature_maps"

    def __init__(self, image: int = 0, most: int = 32, split: str = "test", every_n_epochs: int = 5) -> None:
        super().__init__(split, every_n_epochs)
        self.image = check_int("image", image, 0)
        self.most = check_int("most", most)

    def draw(self, module: AutoencoderModule, data: ImageData) -> Tensor:
        pixels = images_at(data, self.split, [self.image], "image").to(module.device)
        lines = [caption(f"image {self.image} of the {self.split} split"), rows([data.shown(unit_interval(pixels))])]
        for title, values in stages(module, pixels, data.labels(self.split)[[self.image]]):
            vector = values.dim() == 1
            tiles = folded(values) if vector else values[:, None]
            lines += sheet(f"{title}, {len(values)} numbers" if vector else title, tiles, self.most)
        return stacked(lines)


def kernels(layer: nn.Module, encodes: bool, shape: Sequence[int]) -> list[Tensor]:
    """The weights between the image and the units of a layer: for each channel of the image units x 1 x h x w.

    A linear layer that does not touch the pixels themselves gives its whole matrix as one tile, 1 x 1 x inputs x units.

    Args:
        layer: linear, convolutional or transposed convolutional.
        encodes: whether the layer takes the image in; else it gives the image out.
        shape: of the image, (C, H, W).
    """
    assert isinstance(layer, WEIGHTED)
    weight = layer.weight.detach().float().cpu()
    if encodes == isinstance(layer, nn.ConvTranspose2d):  # stored with the image's side first
        weight = weight.transpose(0, 1)  # units x channels (x h x w), or units x pixels
    if weight.dim() == 2:
        if weight.shape[1] != prod(shape):
            return [weight.T[None, None]]
        weight = weight.reshape(-1, *shape)
    return [one[:, None] for one in weight.unbind(1)]


def stages(module: AutoencoderModule, pixels: Tensor, label: Labels = None) -> list[tuple[str, Tensor]]:
    """The stages that one image, 1 x C x H x W, passes: each with a title and its output without N.

    A layer without weights that keeps the shape belongs to the stage before it; a vector that is unflattened counts as
    maps.
    """
    passed: list[tuple[str, Tensor]] = []

    def note(path: str) -> Callable[[nn.Module, Any, Any], None]:
        def hook(layer: nn.Module, inputs: Any, output: Any) -> None:
            if isinstance(layer, nn.Flatten) or not isinstance(output, Tensor) or output.dim() not in (2, 4):
                return
            values, title = output[0].float().cpu(), f"{path} {type_before_parametrizations(layer).__name__}"
            if isinstance(layer, nn.Unflatten):
                joins = bool(passed) and passed[-1][0].split(".")[0] == path.split(".")[0]
            else:
                joins = bool(passed) and not isinstance(layer, WEIGHTED) and passed[-1][1].shape == values.shape
            if joins:
                title = f"{passed.pop()[0]}, {type(layer).__name__}"
            passed.append((title, values))

        return hook

    leaves = [(path, layer) for path, layer in module.trained().named_modules() if is_leaf(layer)]
    hooks = [
        layer.register_forward_hook(note(path))
        for path, layer in leaves
        if not isinstance(layer, nn.Identity | nn.Embedding) and not is_normalisation(path)
    ]
    try:
        module(pixels, label)
    finally:
        for hook in hooks:
            hook.remove()
    return passed


def folded(vector: Tensor) -> Tensor:
    """n numbers as 1 x 1 x lines x 16, filled up with zeros; fewer than 16 are one line."""
    columns = min(len(vector), IN_A_ROW)
    filled = F.pad(vector, (0, -len(vector) % columns))
    return filled.view(1, 1, -1, columns)


def sheet(title: str, tiles: Tensor, most: int) -> list[Tensor]:
    """A caption with the range of the colours, and a picture of the first `most` tiles.

    Args:
        title: what the caption begins with.
        tiles: signed values, N x 1 x H x W.
    """
    limit = float(tiles.abs().max())
    count, (height, width) = len(tiles), tiles.shape[-2:]
    some = f"{most} of {count}" if count > most else f"{count}"
    line = f"{title}: {some} of {height}x{width}, blue {-limit:.4g}, red {limit:.4g}"
    return [caption(line), rows(diverging(tiles[:most], limit or 1.0).split(IN_A_ROW), GREY)]


def caption(line: str) -> Tensor:
    """A line of black text on white, 1 x 18 x W in [0, 1]."""
    width = int(text_width(line, LETTERS)) + 2 * GAP
    return text_image(line, width, LINE, (GAP, GAP), "la", LETTERS)
