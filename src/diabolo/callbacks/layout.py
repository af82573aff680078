"""How pictures are laid out: images in rows, signed values as colours, text beside images, plots as pictures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from diabolo.data.pixels import unit_interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SMALLEST_TILE = 56  # pixels; smaller images are enlarged by a whole factor so that one can see them
LARGEST_TILE = 128  # pixels; larger images are averaged down, so that twelve of them fit on a screen
GAP = 2  # pixels between tiles
ERROR_LIMIT = 0.5  # the error at which its map is fully red or blue
LETTERS = 14  # pixels, the size of the text
MARGIN = 6  # pixels around a text


def rows(
    images: Iterable[Tensor], gap_shade: float = 1.0, smallest: int = SMALLEST_TILE, largest: int = LARGEST_TILE
) -> Tensor:
    """One row for each entry, all tiles of a row side by side.

    Args:
        images: of each row, N x C x H x W in [0, 1], clipped; small ones are enlarged and large ones reduced. Grey rows
            and others may be mixed.
        gap_shade: of the lines between the tiles, from 0 (black) to 1 (white).
        smallest, largest: pixels of a tile's shorter and longer side, up to which it is enlarged by a whole factor and
            beyond which it is averaged down.

    Returns:
        C x H' x W' in [0, 1].
    """
    strips = [strip.detach().float().clamp(0, 1).cpu() for strip in images]
    channels = max(strip.shape[1] for strip in strips)
    lines = []
    for strip in strips:
        strip = shrink(strip, largest)
        height, width = strip.shape[-2:]
        factor = max(1, -(-smallest // min(height, width)))
        tiles = strip.expand(-1, channels, -1, -1).repeat_interleave(factor, 2).repeat_interleave(factor, 3)
        padded = F.pad(tiles, (0, GAP, 0, GAP), value=gap_shade)  # N x C x (H + gap) x (W + gap)
        lines.append(padded.permute(1, 2, 0, 3).reshape(channels, padded.shape[2], -1))  # C x (H + gap) x N(W + gap)
    widest = max(line.shape[2] for line in lines)
    return torch.cat([F.pad(line, (0, widest - line.shape[2]), value=1.0) for line in lines], 1)[:, :-GAP, :-GAP]


def stacked(pictures: Sequence[Tensor]) -> Tensor:
    """Pictures one below the other, C x H x W each with 1 or 3 channels, filled up with white: 3 x H' x W'."""
    widest = max(picture.shape[2] for picture in pictures)
    padded = [F.pad(picture, (0, widest - picture.shape[2], 0, GAP), value=1.0) for picture in pictures]
    return torch.cat([picture.expand(3, -1, -1) for picture in padded], 1)


def as_bytes(pictures: Tensor) -> Tensor:
    """Pictures in [0, 1] as uint8, of the same shape."""
    return (pictures * 255).round().byte()


def shrink(images: Tensor, side: int) -> Tensor:
    """N x C x H x W images averaged down until the longer side is `side` pixels; smaller ones as they are."""
    height, width = images.shape[-2:]
    if max(height, width) <= side:
        return images
    scale = side / max(height, width)
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    return F.interpolate(images.float(), size, mode="area")


def diverging(values: Tensor, limit: float) -> Tensor:
    """Signed values as colours: blue at `-limit`, white at 0, red at `limit`; the mean over channels counts.

    N x C x H x W -> N x 3 x H x W in [0, 1].
    """
    level = (values.float().mean(1, keepdim=True) / limit).clamp(-1, 1)
    above, below = level.clamp(min=0), (-level).clamp(min=0)
    red, green, blue = 1 - below, 1 - above - below, 1 - above
    return torch.cat([red, green, blue], 1)


@cache
def _font(letters: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(letters)


def text_width(text: str, letters: int = LETTERS) -> float:
    """How many pixels a line of text is wide in letters of so many pixels."""
    return _font(letters).getlength(text)


def text_image(
    text: str, width: int, height: int, at: tuple[int, int], anchor: str = "lm", letters: int = LETTERS
) -> Tensor:
    """Black text on white, 1 x `height` x `width` in [0, 1].

    Args:
        text: one or more lines.
        at: x and y in pixels, of the text's `anchor` (Pillow's: "lm" is left and middle, "la" left and top).
        letters: their size in pixels.
    """
    image = Image.new("L", (width, height), 255)
    ImageDraw.Draw(image).text(at, text, fill=0, font=_font(letters), anchor=anchor)
    return unit_interval(torch.from_numpy(np.array(image))[None])


def titled(picture: Tensor, title: str) -> Tensor:
    """A C x H x W picture in [0, 1] with a title above it, broken into lines where it is long."""
    lines, width = [""], picture.shape[2] - 2 * MARGIN
    for word in title.split():
        longer = f"{lines[-1]} {word}".strip()
        if text_width(longer) <= width or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    height = len(lines) * (LETTERS + 4) + 2 * MARGIN
    strip = text_image("\n".join(lines), picture.shape[2], height, (MARGIN, height // 2))
    return torch.cat([strip.expand(picture.shape[0], -1, -1).to(picture), picture], 1)


def labelled(picture: Tensor, labels: Sequence[str]) -> Tensor:
    """A C x H x W picture in [0, 1], of as many equally high rows as there are labels, with each row's label on its
    left."""
    width = int(max(map(text_width, labels))) + 2 * MARGIN
    edges = [round(i * picture.shape[1] / len(labels)) for i in range(len(labels) + 1)]
    heights = [below - above for above, below in pairwise(edges)]
    strips = [
        text_image(label, width, height, (MARGIN, height // 2)) for label, height in zip(labels, heights, strict=True)
    ]  # 1 x H / rows x width
    return torch.cat([torch.cat(strips, 1).expand(picture.shape[0], -1, -1).to(picture), picture], 2)


def headed(picture: Tensor, heads: Sequence[str]) -> Tensor:
    """A C x H x W picture in [0, 1], of as many equally wide columns as there are heads, with each column's head above
    it."""
    edges = [round(i * picture.shape[2] / len(heads)) for i in range(len(heads) + 1)]
    widths = [right - left for left, right in pairwise(edges)]
    strips = [
        text_image(head, width, LETTERS + 4, (GAP, LETTERS // 2 + 2)) for head, width in zip(heads, widths, strict=True)
    ]
    return torch.cat([torch.cat(strips, 2).expand(picture.shape[0], -1, -1).to(picture), picture], 1)


def figure_image(figure: Figure) -> Tensor:
    """A figure of matplotlib as a picture, 3 x H x W in [0, 1]."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[..., :3].copy()
    return unit_interval(torch.from_numpy(pixels).permute(2, 0, 1))
