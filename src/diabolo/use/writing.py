"""Files of images that a model makes, in the units and with the names of those that they are made of."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from diabolo.callbacks.layout import as_bytes, rows
from diabolo.data.decoding import MODES
from diabolo.data.pixels import from_unit
from diabolo.errors import UserError, printable
from diabolo.training.whole_files import whole
from diabolo.use.arguments import refuse_existing

FRAME, HELD = 80, 400  # milliseconds of a film's frames, and of its ends
LARGEST = 1024  # pixels of a film's longer side
BYTE, SHORT = 255, 65535  # white in 8 and in 16 bits


class ImageWriter:
    """Writes images, C x H x W in [0, 1], as the run would read them again.

    Grey images have the bits of the run's own (`data.depth`, floats 16) or, where it declares a `data.value_range`,
    these numbers, as TIFF where they are no whole ones. Images of two to four channels have 8 bits, since Pillow writes
    no more. Images of more channels are arrays, C x H x W in `.npy`, stored as the run's own.

    Args:
        image_shape: (C, H, W).
        depth: "uint8", "uint16" or "float32".
        value_range: what is black and what is white, or None.
    """

    def __init__(
        self, image_shape: Sequence[int], depth: str = "uint8", value_range: tuple[float, float] | None = None
    ) -> None:
        self.channels, self.depth = image_shape[0], depth
        white = BYTE if depth == "uint8" or self.channels > 1 else SHORT
        low, high = value_range or (0, white)
        self.whole = float(low).is_integer() and float(high).is_integer() and low >= 0 and high <= SHORT
        if self.channels > 1 and not (self.whole and high <= BYTE):
            low, high, self.whole = 0, BYTE, True
        self.low, self.high = low, high
        self.ending = ".npy" if self.channels not in MODES else ".png" if self.whole else ".tif"

    def write(self, path: Path, image: Tensor) -> None:
        """Writes one image; folders on the way are made.

        Raises:
            UserError: it cannot be written.
        """
        image = image.clamp(0, 1)
        if self.channels not in MODES:
            array = from_unit(image, self.depth).numpy()
            with _writing(path) as file:
                np.save(file, array)
            return
        scale = torch.full((self.channels, 1, 1), float(self.high - self.low))
        offset = torch.full((self.channels, 1, 1), float(self.low))
        if self.channels in (2, 4):  # alpha is never of the declared range
            scale[-1], offset[-1] = BYTE, 0
        values = (image * scale + offset).permute(1, 2, 0).squeeze(2)
        if self.whole:
            array = values.round().numpy().astype(np.uint8 if self.high <= BYTE else np.uint16)
        else:
            array = values.numpy()
        _save(path, Image.fromarray(array))

    def places(self, names: Sequence[str], folder: Path, overwrite: bool, ending: str | None = None) -> list[Path]:
        """Where images of these names are written: below `folder`, with another ending.

        Raises:
            UserError: a name that leads out of the folder, or a file that is there already.
        """
        for name in names:
            _refuse_outside(folder, name)
        stems = [str(PurePosixPath(name).with_suffix("")) for name in names]
        often = Counter(stem.casefold() for stem in stems)
        places = [  # a.jpg and a.png stay apart, as a.jpg.png and a.png.png
            folder / f"{stem if often[stem.casefold()] == 1 else name}{ending or self.ending}"
            for stem, name in zip(stems, names, strict=True)
        ]
        if folder.exists() and not folder.is_dir():
            raise UserError(f"{printable(folder)!r} is a file: name another folder by --out.")
        refuse_existing(places, overwrite)
        return places


def _refuse_outside(folder: Path, name: str) -> None:
    """Refuses a name that leads out of a folder: names may come from anyone's file of codes."""
    inside, place = os.path.abspath(folder), os.path.abspath(os.path.join(folder, name))
    try:
        is_inside = os.path.commonpath([inside, place]) == inside != place and "\0" not in name
    except ValueError:  # on two drives
        is_inside = False
    if not is_inside:
        raise UserError(f"the name {printable(name)[:80]!r} is none of a file below a folder.")


def save_picture(path: Path, picture: Tensor) -> None:
    """Writes a drawing, C x H x W in [0, 1], grey or colour, in the format that the ending of `path` says.

    Raises:
        UserError: it cannot be written.
    """
    _save(path, as_image(picture))


def save_film(path: Path, images: Tensor, smallest: int) -> None:
    """Writes images, N x C x H x W in [0, 1], grey or colour, as an animated GIF that goes forth and back for ever.

    Args:
        smallest: pixels of the shorter side, up to which images are enlarged by a whole factor.
    """
    first, *others = [as_image(rows([image[None].clamp(0, 1)], smallest=smallest, largest=LARGEST)) for image in images]
    back = others[-2::-1]
    with _writing(path) as file:
        times = [HELD, *[FRAME] * (len(others) - 1), HELD, *[FRAME] * len(back)]
        first.save(file, "GIF", save_all=True, append_images=[*others, *back], duration=times, loop=0)


def as_image(picture: Tensor) -> Image.Image:
    """A drawing, C x H x W in [0, 1], grey or colour, as Pillow's image."""
    return Image.fromarray(as_bytes(picture).permute(1, 2, 0).squeeze(2).cpu().numpy())


def _save(path: Path, image: Image.Image) -> None:
    with _writing(path) as file:
        image.save(file, Image.registered_extensions()[path.suffix.lower()], compress_level=1)


@contextmanager
def _writing(path: Path) -> Iterator[BinaryIO]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole(path, sync=False) as draft, draft.open("wb") as file:
            yield file
    except OSError as failure:
        raise UserError(f"{printable(path)!r} cannot be written ({failure.strerror or failure}).") from failure
