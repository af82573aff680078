"""Decodes the file of an image and brings it to the shape that a network takes."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError
from torch import Tensor

import diabolo.data.formats  # noqa: F401, registers Pillow's plugins

FITS = ("crop", "stretch", "pad")
TURNS = {  # by the EXIF orientation, to what it asks for
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
MOST_PIXELS = 89_478_485  # Pillow's own limit, beyond which it warns, and refuses at twice as many
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)  # such images are refused in a sentence
BROKEN = (OSError, ValueError, SyntaxError, Image.DecompressionBombError)  # what broken files make Pillow raise


def decode(path: Path, image_shape: Sequence[int], fit: str) -> Tensor:
    """The image at `path`, turned as its EXIF data say, as C x H x W bytes."""
    channels, height, width = image_shape
    with Image.open(path) as image:
        _refuse_huge(image)
        upright = _to_bytes(_upright(image)).convert("L" if channels == 1 else "RGB")
    size, bilinear = (width, height), Image.Resampling.BILINEAR
    if fit == "crop":
        upright = ImageOps.fit(upright, size, bilinear)
    elif fit == "pad":
        upright = ImageOps.pad(upright, size, bilinear)
    elif upright.size != size:
        upright = upright.resize(size, bilinear)
    return torch.from_numpy(np.array(upright)).view(height, width, channels).permute(2, 0, 1).contiguous()


def _refuse_huge(image: Image.Image) -> None:
    """Raises ValueError for an image of which a few at once would fill the memory."""
    if image.width * image.height > MOST_PIXELS:
        raise ValueError(f"it has {image.width:,}x{image.height:,} pixels, more than the {MOST_PIXELS:,} that are read")


def _upright(image: Image.Image) -> Image.Image:
    """The image turned as its EXIF data say; as it is where they are damaged, as cameras and editors leave them."""
    image.load()  # so that what fails below is the EXIF data, not the image
    try:
        turn = TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # whatever Pillow's parser raises: struct.error, KeyError, SyntaxError, ...
        turn = None
    return image if turn is None else image.transpose(turn)


def _to_bytes(image: Image.Image) -> Image.Image:
    """Images of 16 or 32 bits a pixel scaled to 8 bits: Pillow's own conversion would clip them to white. If all whole
    numbers are below 256 they count as 8 bits, if all floats are at most 1 as [0, 1]."""
    if image.mode == "P" and "transparency" in image.info:
        return image.convert("RGBA")  # without Pillow's warning that the transparency is lost
    if image.mode not in ("I", "I;16", "I;16B", "I;16L", "F"):
        return image
    values = np.asarray(image, dtype=np.float64)
    if not np.isfinite(values).all():
        raise ValueError("it holds pixels that are no finite numbers")
    if image.mode == "F" and values.max() <= 1:
        values = values * 255
    top = 65535.0 if image.mode.startswith("I;16") or values.max() > 255 else 255.0
    return Image.fromarray((values / max(top, values.max()) * 255).round().clip(0, 255).astype(np.uint8))


def try_decode(path: Path, image_shape: tuple[int, ...], fit: str) -> Tensor | str:
    try:
        return decode(path, image_shape, fit)
    except UnidentifiedImageError:
        return "not an image"
    except BROKEN as failure:
        return str(failure)


def try_header(path: Path) -> Tensor | str:
    try:
        with Image.open(path) as image:
            _refuse_huge(image)
            return torch.empty(0)
    except UnidentifiedImageError:
        return "not an image"
    except BROKEN as failure:
        return str(failure)
