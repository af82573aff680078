"""Any folder of images."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from diabolo.data.files import Reading, open_files
from diabolo.data.folders.duplicates import MOST_FILES, copies, shared
from diabolo.data.folders.layout import Layout
from diabolo.data.folders.layout_rules import understand
from diabolo.data.folders.split_table import from_folders, from_table
from diabolo.data.folders.tree import number, scan
from diabolo.data.images import Splits
from diabolo.errors import ConfigError, UserError, printable

log = logging.getLogger(__name__)


def folder_images(
    root: str,
    image_shape: Sequence[int],
    fit: str = "crop",
    unreadable: str = "refuse",
    memory_limit: int = 1 << 30,
    cache_limit: int = 20 << 30,
    depth: str = "uint8",
    value_range: tuple[float, float] | None = None,
    split: str | Mapping[str, Any] = "auto",
) -> Splits:
    """All images below a folder that Pillow reads, in the parts and classes that `layout_rules.understand` finds.

    Without validation or test images of their own, the datamodule sets them aside.

    Args:
        root: the folder.
        image_shape, fit, unreadable, memory_limit, cache_limit, depth, value_range: as in `Reading`.
        split: "auto", or which images are which: folders, as {"train": "a", "test": ["b", "c"]}, or the name of a CSV
            file with the columns path, label and split; see `split_table`.

    Raises:
        UserError: no such folder, no image in it, a split that does not fit it, or unreadable images that are refused.
    """
    reading = Reading(tuple(image_shape), fit, unreadable, memory_limit, depth, value_range, cache_limit)
    layout = read_layout(root, split)
    _warn_of_copies(layout)
    opened = {}
    for name, part in layout.parts.items():
        base = Path(root).expanduser()
        opened[name] = open_files(base, part.paths, torch.tensor(layout.labels(name)), reading)
    return Splits(opened["train"], opened.get("test"), opened.get("val"), layout.classes, layout.said())


def read_layout(root: str, split: str | Mapping[str, Any] = "auto") -> Layout:
    """How the folder is laid out; no image is opened.

    Raises:
        UserError: as `folder_images`.
    """
    base = Path(root).expanduser()
    if not base.is_dir():
        raise ConfigError("data.root", root, "is not a folder; give the folder that holds the images")
    tree, passed = scan(base)
    if not tree.count:
        there = "; ".join(passed.said())
        raise UserError(
            f"there is no image in {printable(base)!r}: no file there has an ending that Pillow reads"
            f"{f' (left out: {there})' if there else ''}."
        )
    if isinstance(split, Mapping):
        return from_folders(tree, passed, split)
    return understand(tree, passed) if split == "auto" else from_table(tree, passed, split)


def _warn_of_copies(layout: Layout) -> None:
    """Warns of pictures that are in training and in validation or test, or that may come into both."""
    paths = {name: part.paths for name, part in layout.parts.items()}
    if sum(map(len, paths.values())) > MOST_FILES:
        return
    if len(paths) > 1 and (found := shared(paths)):
        log.warning("%s, such as %s = %s.",
                    number(len(found), "image for validation or test is also in training",
                           "images for validation or test are also in training"),
                    *map(layout.short, found[0]))  # fmt: skip
    if "test" not in paths and (groups := copies(paths["train"])):
        log.warning("%s there more than once, such as %s = %s: the splits are drawn from all, so that copies may come"
                    " into training and test.", number(len(groups), "picture is", "pictures are"),
                    *map(layout.short, groups[0][:2]))  # fmt: skip
