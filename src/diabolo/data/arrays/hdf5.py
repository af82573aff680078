"""Images in HDF5 files."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from diabolo.data.arrays.arrays import array_splits
from diabolo.data.arrays.files import Array, Stored, find
from diabolo.data.arrays.files import reading as reading_file
from diabolo.data.extras import extra
from diabolo.data.files import Reading
from diabolo.data.images import Splits

ENDINGS = (".h5", ".hdf5", ".hdf", ".he5")


def hdf5_images(
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
    """The images and labels of an HDF5 file, or of a folder of such files.

    The name of an array is its path in the file, as `train/images`.

    Args:
        root: the file or the folder.
        image_shape, images, labels, axes, fit, memory_limit, depth, value_range: as in `array_images`.

    Raises:
        UserError: h5py is missing, no such file, one that cannot be read, or it is not clear which array is what.
    """
    reading = Reading(tuple(image_shape), fit, "refuse", memory_limit, depth, value_range)
    extra("h5py", "h5")
    stored = find(Path(root).expanduser(), dict.fromkeys(ENDINGS, _arrays), "HDF5 files")
    return array_splits(stored, images, labels, axes, reading)


def _arrays(file: Path) -> list[Stored]:
    h5py = extra("h5py", "h5")
    found = []

    def note(name: str, node: Any) -> None:
        if isinstance(node, h5py.Dataset) and node.shape is not None:
            text = h5py.check_string_dtype(node.dtype) is not None
            dtype = np.dtype("U") if text else node.dtype
            found.append(Stored(name, file, node.shape, dtype, partial(_opened, file, name)))

    with reading_file(file), h5py.File(file) as content:
        content.visititems(note)
    return found


def _opened(file: Path, name: str) -> Array:
    data: Array = extra("h5py", "h5").File(file)[name]
    return data
