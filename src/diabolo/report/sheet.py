"""A sheet of images: rows of pictures with captions."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from diabolo.report.collect import Run

LONGEST_CAPTION = 400  # letters in a picture
GAP, GREY = 1, 128  # pixels between images; a grey that shows on white and on black


@dataclass(frozen=True)
class Row:
    """A caption and H x W (grey) or H x W x 3 bytes, to be shown `scale` times as large. `run` is whose it is, if it is
    a run's, and `errors` are the MSE of each of its images."""

    caption: str
    picture: np.ndarray
    scale: int = 1
    error: float | None = None
    run: Run | None = None
    errors: tuple[float, ...] = ()


@dataclass(frozen=True)
class Sheet:
    """Captioned pictures below each other, or side by side where there is room. Where `images` is above 0, each row has
    so many images, the same in every row."""

    name: str
    title: str
    note: str
    rows: tuple[Row, ...]
    side_by_side: bool = False
    images: int = 0


def strip(images: np.ndarray) -> np.ndarray:
    """N x C x H x W bytes, grey or colour, in a row, a grey line between them: H x W' or H x W' x 3."""
    count, channels, height, width = images.shape
    line = np.full((height, count * (width + GAP) - GAP, channels), GREY, np.uint8)
    for place, image in enumerate(images):
        left = place * (width + GAP)
        line[:, left : left + width] = image.transpose(1, 2, 0)
    return line[..., 0] if channels == 1 else line


def png(picture: np.ndarray) -> bytes:
    """H x W or H x W x 3 bytes as a PNG file."""
    Image.fromarray(picture).save(file := io.BytesIO(), "PNG", optimize=True)
    return file.getvalue()


def captioned(sheet: Sheet) -> np.ndarray:
    """The whole sheet as one picture on white, each row under its caption: H x W x 3 bytes."""
    font, line = ImageFont.load_default(16), 26
    pictures = [row.picture.repeat(row.scale, 0).repeat(row.scale, 1) for row in sheet.rows]
    texts = [" ".join(_said(row).split())[:LONGEST_CAPTION] for row in sheet.rows]
    width = max(*(p.shape[1] for p in pictures), *(int(font.getlength(text)) for text in texts)) + 12
    page = Image.new("RGB", (width, sum(p.shape[0] + line + 6 for p in pictures) + 6), "white")
    pen, top = ImageDraw.Draw(page), 0
    for text, picture in zip(texts, pictures, strict=True):
        pen.text((6, top + 4), text, fill="black", font=font)
        page.paste(Image.fromarray(picture), (6, top + line))
        top += line + picture.shape[0] + 6
    return np.asarray(page)


def _said(row: Row) -> str:
    return row.caption if row.error is None else f"{row.caption}   MSE {row.error:.4g}"
