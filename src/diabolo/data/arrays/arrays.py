"""Images that come as arrays: `.npy`, `.npz` and `.pt` files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from diabolo.data.arrays.files import ARRAYS, Stored, find
from diabolo.data.arrays.files import reading as reading_file
from diabolo.data.arrays.names import choose, numbered
from diabolo.data.arrays.sets import AXES, ArrayLayout, axes_of, open_images, where_of
from diabolo.data.files import Reading
from diabolo.data.images import Splits
from diabolo.errors import ConfigError, UserError, check_choice, printable


def array_images(
    root: str,
    image_shape: Sequence[int],
    images: str | None = None,
    labels: str | None = None,
    axes: str | None = None,
    fit: str = "crop",
    memory_limit: int = 1 << 30,
    depth: str = "uint8",
    value_range: tuple[float, float] | None = None,
) -> Splits:
    """The images and labels of a `.npy`, `.npz` or `.pt` file, or of a folder of such files.

    Args:
        root: the file or the folder. In a folder, the name of an array is that of its file, with its key after it where
            a file holds several.
        image_shape: (channels, height, width) that the images are brought to.
        images, labels: the names of these arrays, with or without the word of their part ("train"), or None to find
            them; "none" for images without labels.
        axes: of the images, "NHW", "NHWC" or "NCHW"; None to tell it by `image_shape`.
        fit, memory_limit, depth, value_range: as in `Reading`. Larger sets are mapped where the file allows it and the
            images lie in it as they are to be stored, else read image by image.

    Raises:
        UserError: no such file, one that cannot be read, or it is not clear which array is what.
    """
    reading = Reading(tuple(image_shape), fit, "refuse", memory_limit, depth, value_range)
    stored = find(Path(root).expanduser(), ARRAYS, "files of arrays")
    return array_splits(stored, images, labels, axes, reading)


def array_splits(
    stored: Sequence[Stored], images: str | None, labels: str | None, axes: str | None, reading: Reading
) -> Splits:
    """The parts that arrays are, whatever the files they lie in; the arguments are those of `array_images`."""
    if axes is not None:
        check_choice("axes", axes, AXES)
    parts = choose(stored, images, labels)
    read = [None if part.labels is None else _labels(part.labels) for part in parts.values()]
    numbers, classes = numbered(read, [str(part.labels) for part in parts.values()])
    opened, said = {}, []
    for (name, part), values in zip(parts.items(), numbers, strict=True):
        count = part.images.shape[0]
        if not count:
            raise UserError(f"{where_of(part.images)} holds no image.")
        layout = ArrayLayout(_axes(part.images, reading.image_shape, axes), reading, where_of(part.images))
        own = torch.full((count,), -1) if values is None else torch.from_numpy(values)
        opened[name] = open_images(part.images, own, layout)
        labelled = f"labels {part.labels.name}" if part.labels else "no labels"
        said.append(f"{name}: {count:,} images from {part.images} as {layout.axes}, {labelled}")
    return Splits(opened["train"], opened.get("test"), opened.get("val"), classes, tuple(said))


def _axes(stored: Stored, image_shape: Sequence[int], axes: str | None) -> str:
    found = axes or axes_of(stored.shape, image_shape)
    if found is None:
        raise UserError(
            f"are the images {stored} in {printable(stored.file)} N x H x W x C or N x C x H x W? `data.image_shape` (="
            f" {list(image_shape)}, channels first) does not tell: say it by data.source.axes=NHWC or =NCHW."
        )
    if len(found) != len(stored.shape):
        raise ConfigError("axes", axes, f"does not fit the array {stored}, which has {len(stored.shape)} axes")
    return found


def _labels(stored: Stored) -> np.ndarray:
    """N labels, whole numbers or texts.

    Raises:
        UserError: a file that cannot be read, or numbers that are not whole.
    """
    with reading_file(stored.file):
        values = np.asarray(stored.open()[:]).reshape(-1)
    if values.dtype.kind == "f" and not np.array_equal(values, np.trunc(values)):
        raise UserError(f"the labels {stored} in {printable(stored.file)} are no whole numbers: choose others by"
                        " data.source.labels=KEY, or =none for none.")  # fmt: skip
    return values
