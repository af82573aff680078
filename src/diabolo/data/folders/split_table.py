"""Parts and classes as their owner has chosen them: folders by name, or a table of path, label and split."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from diabolo.data.conventions import LABEL_COLUMNS, PART_COLUMNS, PARTS, PATH_COLUMNS
from diabolo.data.folders.formats import endings
from diabolo.data.folders.layout import Layout, Part
from diabolo.data.folders.tree import PassedOver, Tree, number
from diabolo.errors import ConfigError, UserError, printable

KEY = "data.source.split"


def from_folders(tree: Tree, passed: PassedOver, folders: Mapping[str, Any]) -> Layout:
    """The parts that a mapping names: {"train": folder or list of folders, "val": ..., "test": ...}, each below the
    root. The first folder below each of them is the class.

    Raises:
        ConfigError: a folder that is not there, or without an image.
    """
    parts: dict[str, Part] = {}
    for name, given in folders.items():
        part = parts[name] = Part()
        for relative in [given] if isinstance(given, str) else given:
            try:
                top = tree.below(relative)
            except KeyError:
                top = Tree(tree.path)
            if not top.count:
                raise ConfigError(f"{KEY}.{name}", relative, f"is no folder with images in {printable(tree.path)!r}")
            part.folders.append(f"{printable(relative.strip('/'))}/")
            part.add(top, top.filled)
    return _closed(tree, passed, parts, "not chosen by data.source.split")


def from_table(tree: Tree, passed: PassedOver, file: str) -> Layout:
    """The parts that a CSV file gives, a row an image: its path from the root or from the file, its label, and train,
    val or test. Without a column of splits all images are one part, of which test images are set aside.

    The columns are found by their names: see `conventions`. A path may lack the ending, as an id does.

    Raises:
        ConfigError: no such file, no column of paths, images that are not there, or a split of another name.
    """
    table = next((place for place in (tree.path / file, Path(file).expanduser()) if place.is_file()), None)
    if table is None:
        raise ConfigError(KEY, file, f"is no file in {printable(tree.path)!r}: give a CSV file, auto, or folders")
    rows, path_of, label_of, split_of = _read(table, file)
    finder = _Finder(tree, table.parent)
    parts: dict[str, Part] = {}
    missing = []
    for row in rows:
        name = (row.get(split_of) or "").strip() if split_of else "train"
        split = PARTS.get(name.lower())
        if split is None:
            raise ConfigError(KEY, file, f"has the split {name!r}: a row's split must be train, val or test")
        path = finder.find(row[path_of])
        if path is None:
            missing.append(row[path_of] or "")
            continue
        part = parts.setdefault(split, Part())
        part.paths.append(path)
        part.names.append((row.get(label_of) or "").strip() or None if label_of else None)
    if missing:
        some = ", ".join(map(printable, missing[:3])) + (", ..." if len(missing) > 3 else "")
        raise ConfigError(KEY, file, f"names {number(len(missing), 'image')} that cannot be found: {some}")
    if "train" not in parts:
        raise ConfigError(KEY, file, "names no image for training")
    layout = _closed(tree, passed, parts, f"not named by {printable(table.name)}")
    layout.notes.append(f"as {printable(table.name)} says")
    return layout


def _read(table: Path, file: str) -> tuple[list[dict[str, str]], str, str | None, str | None]:
    """The rows, and the names of the columns of paths, labels and splits."""
    try:
        with table.open(encoding="utf-8-sig", newline="") as lines:
            head = lines.readline()
            lines.seek(0)
            delimiter = max(",;\t", key=head.count)
            reader = csv.DictReader(lines, delimiter=delimiter)
            rows, columns = list(reader), reader.fieldnames or ()
    except (OSError, UnicodeDecodeError, csv.Error) as failure:
        raise ConfigError(KEY, file, f"cannot be read as CSV ({failure})") from failure
    path = _column(columns, PATH_COLUMNS)
    if path is None:
        raise ConfigError(
            KEY,
            file,
            f"has no column of paths ({', '.join(PATH_COLUMNS[:4])}, ...); it has {', '.join(columns) or 'none'}",
        )
    return rows, path, _column(columns, LABEL_COLUMNS), _column(columns, PART_COLUMNS)


def _column(columns: Iterable[str], wanted: Iterable[str]) -> str | None:
    by_name = {column.strip().lower(): column for column in reversed(list(columns))}
    return next((by_name[name] for name in wanted if name in by_name), None)


class _Finder:
    """Finds the image that a row means."""

    def __init__(self, tree: Tree, beside: Path) -> None:
        self.folders = tuple(dict.fromkeys((tree.path, beside)))
        self.by_name: dict[str, Path | None] = {}
        for path in tree.paths():
            self.by_name[path.name] = None if path.name in self.by_name else path  # two of one name are neither

    def find(self, given: str | None) -> Path | None:
        """The image at a path from the root or from the table's folder, or the only one of that name, wherever it
        lies; its ending may be left out."""
        if not given:
            return None
        names = (given, *(given + ending for ending in sorted(endings())))
        there = (folder / name for name in names for folder in self.folders if (folder / name).is_file())
        return next(there, None) or next((path for name in names if (path := self.by_name.get(name))), None)


def _closed(tree: Tree, passed: PassedOver, parts: dict[str, Part], why: str) -> Layout:
    """The layout with what was left out."""
    if not parts.get("train"):
        raise UserError("data.source.split names no images for training: give it train=FOLDER.")
    chosen = {path for part in parts.values() for path in part.paths}
    rest = sum(path not in chosen for path in tree.paths())
    left_out = [f"{number(rest, 'image')} ({why})"] if rest else []
    ordered: dict[str, Part] = {name: parts[name] for name in ("train", "val", "test") if name in parts}
    return Layout(tree.path, ordered, [*left_out, *passed.said()])
