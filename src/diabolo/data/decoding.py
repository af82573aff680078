"""Decodes the file of an image and brings it to the shape that a network takes."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from io import BytesIO

import numpy as np
import torch
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError
from torch import Tensor

import diabolo.data.folders.formats  # noqa: F401, registers Pillow's plugins
from diabolo.data.images import fit_shape
from diabolo.data.pages import ImageFile, opened
from diabolo.data.pixels import Range, from_unit, to_depth, to_unit_range

FITS = ("crop", "stretch", "pad")
BILINEAR = Image.Resampling.BILINEAR
MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}  # Pillow's, by the number of channels
DEEP = ("I", "I;16", "I;16B", "I;16L", "F")  # Pillow's modes of more than 8 bits, all of one channel
ASSUMED = {"I": (0, 65535), "F": (0, 1)}  # black and white where no range is declared; 32 bits mostly hold 16
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


def decode(
    file: ImageFile | BytesIO,
    image_shape: Sequence[int],
    fit: str,
    depth: str = "uint8",
    value_range: Range | None = None,
) -> Tensor:
    """The image in `file`, turned as its EXIF data say, as C x H x W pixels of `depth`.

    Args:
        image_shape: (C, H, W).
        fit: how it is brought to that height and width, one of `FITS`.
        depth: "uint8", "uint16" or "float32".
        value_range: the numbers in the file that are black and white; None for what is assumed (see `assumption`).

    Raises:
        OSError, ValueError, ...: what `BROKEN` names, where it cannot be read, or holds values outside of the range.
    """
    with opened(file) as image:
        _refuse_huge(image)
        return to_shape(_upright(image), image_shape, fit, depth, value_range)


def to_shape(
    image: Image.Image, image_shape: Sequence[int], fit: str, depth: str = "uint8", value_range: Range | None = None
) -> Tensor:
    """Pillow's image as C x H x W pixels; arguments and errors are those of `decode`.

    An image of 8 bits is fitted as such and then widened, one of more bits or of a declared range is scaled first.
    """
    channels, height, width = image_shape
    if channels not in MODES:
        raise ValueError(f"data.image_shape asks for {channels} channels, and image files are read with up to four")
    if image.mode not in DEEP:
        image = _convert(image, MODES[channels])
        if value_range is None:
            return to_depth(_pixels(_fitted(image, fit, (width, height))), depth)
    unit = _unit(image, value_range)  # H x W (x C)
    if depth == "uint8":
        small = Image.fromarray((unit * 255).round().astype(np.uint8))
        return _pixels(_fitted(_convert(small, MODES[channels]), fit, (width, height)))
    bands = [unit] if unit.ndim == 2 else list(unit.transpose(2, 0, 1))
    fitted = [_pixels(_fitted(Image.fromarray(band.astype(np.float32)), fit, (width, height))) for band in bands]
    return fit_shape(from_unit(torch.cat(fitted).clamp(0, 1), depth)[None], image_shape)[0]


def _convert(image: Image.Image, mode: str) -> Image.Image:
    """An image of 8 bits in "L", "LA", "RGB" or "RGBA"; what has no alpha gets an opaque one."""
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")  # without Pillow's warning that the transparency is lost
    if mode in ("LA", "RGBA") and not image.has_transparency_data:
        image = image.convert(mode.removesuffix("A"))
    return image.convert(mode)


def _fitted(image: Image.Image, fit: str, size: tuple[int, int]) -> Image.Image:
    if fit == "crop":
        return ImageOps.fit(image, size, BILINEAR)
    if fit == "pad":
        return ImageOps.pad(image, size, BILINEAR)
    return image if image.size == size else image.resize(size, BILINEAR)


def _pixels(image: Image.Image) -> Tensor:
    """C x H x W, of the image's own type."""
    array = np.array(image)
    return torch.from_numpy(array.reshape(*array.shape[:2], -1)).permute(2, 0, 1).contiguous()


def _unit(image: Image.Image, value_range: Range | None) -> np.ndarray:
    """The image with black at 0 and white at 1, H x W (x C) float64; alpha is never of the declared range."""
    values = np.asarray(image)
    if image.mode not in ("LA", "RGBA"):
        return to_unit_range(values, value_range or ASSUMED.get(image.mode))
    unit = to_unit_range(values[..., :-1], value_range)
    return np.concatenate([unit, to_unit_range(values[..., -1:])], -1)


def assumption(file: ImageFile) -> str | None:
    """What is taken for black and white in a file of more than 8 bits where no range is declared, in a sentence."""
    try:
        with opened(file) as image:
            mode = image.mode
    except BROKEN:
        return None  # which is said elsewhere
    if mode not in DEEP:
        return None
    kind = "floats" if mode == "F" else "numbers of 32 bits" if mode == "I" else "numbers of 16 bits"
    low, high = ASSUMED.get(mode, ASSUMED["I"])
    return (
        f"the images hold {kind}: {low} is taken for black and {high:,} for white;"
        " data.value_range=[LOW,HIGH] says otherwise"
    )


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


def try_decode(
    file: ImageFile, image_shape: tuple[int, ...], fit: str, depth: str = "uint8", value_range: Range | None = None
) -> Tensor | str:
    """`decode`, or why it fails."""
    try:
        return decode(file, image_shape, fit, depth, value_range)
    except UnidentifiedImageError:
        return "not an image"
    except BROKEN as failure:
        return str(failure)


def try_header(file: ImageFile) -> Tensor | str:
    try:
        with opened(file) as image:
            _refuse_huge(image)
            return torch.empty(0)
    except UnidentifiedImageError:
        return "not an image"
    except BROKEN as failure:
        return str(failure)
