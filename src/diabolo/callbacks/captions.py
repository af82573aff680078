"""Words on pictures, and plots as pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LETTERS = 14  # pixels
MARGIN = 6


def titled(picture: Tensor, title: str) -> Tensor:
    """A picture, C x H x W in [0, 1], below a line of black on white; longer titles are broken into lines."""
    font = ImageFont.load_default(LETTERS)
    lines, width = [""], picture.shape[2] - 2 * MARGIN
    for word in title.split():
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) <= width or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    strip = _written("\n".join(lines), picture.shape[2], len(lines) * (LETTERS + 4) + 2 * MARGIN)
    return torch.cat([strip.expand(picture.shape[0], -1, -1).to(picture), picture], 1)


def labelled(picture: Tensor, labels: Sequence[str]) -> Tensor:
    """A picture of as many equally high rows as there are labels, each with its label on the left."""
    font = ImageFont.load_default(LETTERS)
    width = int(max(font.getlength(label) for label in labels)) + 2 * MARGIN
    edges = [round(i * picture.shape[1] / len(labels)) for i in range(len(labels) + 1)]
    strips = [
        _written(label, width, below - above) for label, above, below in zip(labels, edges, edges[1:], strict=False)
    ]  # 1 x H / rows x width
    return torch.cat([torch.cat(strips, 1).expand(picture.shape[0], -1, -1).to(picture), picture], 2)


def plotted(figure: Figure) -> Tensor:
    """A figure of matplotlib as a picture, 3 x H x W in [0, 1]."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[..., :3].copy()
    return torch.from_numpy(pixels).permute(2, 0, 1).float() / 255


def _written(text: str, width: int, height: int) -> Tensor:
    """Black letters on white, 1 x height x width in [0, 1], from the left and in the middle of the height."""
    image = Image.new("L", (width, height), 255)
    draw = ImageDraw.Draw(image)
    draw.multiline_text((MARGIN, height // 2), text, fill=0, font=ImageFont.load_default(LETTERS), anchor="lm")
    return torch.from_numpy(np.asarray(image).copy())[None].float() / 255
