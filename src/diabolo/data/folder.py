"""Any folder of images."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from PIL import Image

from diabolo.data.files import Reading, open_files
from diabolo.data.images import Splits
from diabolo.errors import ConfigError, UserError, printable


def folder_images(
    root: str,
    image_shape: Sequence[int],
    fit: str = "crop",
    unreadable: str = "refuse",
    memory_limit: int = 1 << 30,
    cache_limit: int = 0,
) -> Splits:
    """All images below a folder that Pillow reads.

    If `root/train` and `root/test` both exist, they are the training and the test images; else everything is for
    training, and the datamodule sets test images aside. If there are two or more folders of images, the first folder
    below a part is the label; the sorted names are numbered over both parts together.

    Args:
        root: the folder.
        image_shape, fit, unreadable, memory_limit, cache_limit: as in `Reading`.

    Raises:
        UserError: no such folder, no image in it, or unreadable images that are refused.
    """
    reading = Reading(tuple(image_shape), fit, unreadable, memory_limit, cache_limit)
    base = Path(root).expanduser()
    if not base.is_dir():
        raise ConfigError("data.root", root, "is not a folder; give the folder that holds the images")
    own_test = (base / "train").is_dir() and (base / "test").is_dir()
    found = {part: _find(part) for part in ([base / "train", base / "test"] if own_test else [base])}
    names = sorted({_label(path, part) for part, paths in found.items() for path in paths} - {""})
    numbers = {name: number for number, name in enumerate(names)} if len(names) > 1 else {}
    opened = []
    for part, paths in found.items():
        labels = torch.tensor([numbers.get(_label(path, part), -1) for path in paths])
        opened.append(open_files(part, paths, labels, reading))
    return Splits(opened[0], opened[1] if own_test else None)


def _find(base: Path) -> list[Path]:
    """All files below `base` that look like images."""
    endings = Image.registered_extensions()  # with those that Pillow can only write, such as .pdf
    readable = {ending for ending, kind in endings.items() if kind in Image.OPEN or kind == "MPO"}  # MPO opens as JPEG
    paths = sorted(p for p in _below(base) if p.suffix.lower() in readable and p.is_file())
    if not paths:
        raise UserError(f"there is no image in {printable(base)!r}: no file there has an ending that Pillow reads.")
    return paths


def _below(base: Path) -> Iterator[Path]:
    """Everything below `base`, through folders that are links too, as sets of classes are put together without copies;
    but not through links within a linked folder, among which there may be circles."""
    linked: list[Path] = []
    for place, folders, files in os.walk(base):  # which itself follows no links
        yield from (Path(place, name) for name in files)
        linked += [path for name in folders if (path := Path(place, name)).is_symlink()]
    for folder in linked:
        yield from (Path(place, name) for place, _, files in os.walk(folder) for name in files)


def _label(path: Path, base: Path) -> str:
    """The first folder below `base` on the way to `path`; "" for a file in `base` itself."""
    return path.relative_to(base).parts[0] if path.parent != base else ""
