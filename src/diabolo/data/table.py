"""Images in files that a table names: CSV or Parquet, a row an image."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from diabolo.data.arrays.files import reading as reading_file
from diabolo.data.arrays.names import numbered
from diabolo.data.conventions import LABEL_COLUMNS, PART_COLUMNS, PARTS, PATH_COLUMNS
from diabolo.data.extras import extra
from diabolo.data.files import Reading, open_files
from diabolo.data.images import Splits
from diabolo.errors import ConfigError, UserError, printable

SEPARATED = {".csv": "", ".tsv": "\t", ".txt": ""}  # by ending; "" is told by the first line
SEPARATORS = (",", ";", "\t", "|")
PARQUET = (".parquet", ".pq")
NONE = "none"  # a column that is not to be used


def table_images(
    root: str,
    image_shape: Sequence[int],
    path: str | None = None,
    label: str | None = None,
    split: str | None = None,
    folder: str | None = None,
    fit: str = "crop",
    unreadable: str = "refuse",
    memory_limit: int = 1 << 30,
    cache_limit: int = 20 << 30,
    depth: str = "uint8",
    value_range: tuple[float, float] | None = None,
) -> Splits:
    """The images whose paths stand in a table, with the labels and parts that stand beside them.

    Args:
        root: the table, CSV with a line of names at its top, or Parquet.
        image_shape, fit, unreadable, memory_limit, cache_limit, depth, value_range: as in `Reading`.
        path, label, split: names of columns, or None to find them by their usual names; "none" for no labels or parts.
            Paths may lack their ending. Labels are whole numbers, or names that are numbered in their order. A part is
            training, validation or test in any of their usual spellings.
        folder: in which the paths begin; None for that of the table.

    Raises:
        UserError: no such table, one that cannot be read, no such column, or unreadable images that are refused.
    """
    if split is not None and not isinstance(split, str):
        raise ConfigError("data.source.split", split, "must be the name of a column, or null")
    how = Reading(tuple(image_shape), fit, unreadable, memory_limit, depth, value_range, cache_limit)
    table = Path(root).expanduser()
    columns = _columns(table)
    names = _names(columns, {"path": path, "label": label, "split": split}, table)
    base = Path(folder).expanduser() if folder else table.parent
    files = _files(base, columns[names["path"]], table)
    parts = _parts(columns[names["split"]], table) if "split" in names else ["train"] * len(files)
    if "train" not in parts:
        raise UserError(f"the column {names['split']} of {printable(table)} has no training images.")
    classes: tuple[str, ...] = ()
    labels = np.full(len(files), -1)
    if "label" in names:
        labels, classes = labels_of(columns[names["label"]], names["label"])
    opened, said = {}, []
    for part in ("train", "val", "test"):
        rows = [row for row, own in enumerate(parts) if own == part]
        if rows:
            own_labels = torch.from_numpy(labels[rows])
            opened[part] = open_files(base, [files[row] for row in rows], own_labels, how)
            said.append(f"{part}: {len(rows):,} files from column {names['path']} of {printable(table)}")
    said.append(f"labels: column {names['label']}" if "label" in names else "no labels")
    return Splits(opened["train"], opened.get("test"), opened.get("val"), classes, tuple(said))


def labels_of(values: Sequence[Any], name: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """N labels as int64 and the names of classes: whole numbers stay what they are, texts are numbered in their order,
    what is missing is -1.

    Raises:
        UserError: numbers under -1.
    """
    texts = ["" if value is None or value != value else str(value).strip() for value in values]
    there = np.array([bool(text) for text in texts])
    labels = np.full(len(texts), -1)
    if not there.any():
        return labels, ()
    given: np.ndarray = np.array([text for text in texts if text], dtype=object)
    try:
        floats = given.astype(float)
        whole = bool((floats == floats.astype(np.int64)).all())
    except (ValueError, OverflowError):
        whole = False
    (found,), classes = numbered([floats.astype(np.int64) if whole else given], [name])
    labels[there] = found
    return labels, classes


def _columns(table: Path) -> Mapping[str, Sequence[Any]]:
    ending = table.suffix.lower()
    if not table.is_file() or ending not in (*SEPARATED, *PARQUET):
        raise ConfigError("data.root", printable(table), f"is no table ({', '.join((*SEPARATED, *PARQUET))})")
    if ending in PARQUET:
        parquet = extra("pyarrow.parquet", "parquet")
        with reading_file(table):
            found: dict[str, Sequence[Any]] = parquet.read_table(table).to_pydict()
    else:
        with reading_file(table), table.open(encoding="utf-8-sig", newline="") as stream:
            first = stream.readline()
            stream.seek(0)
            separator = SEPARATED[ending] or max(SEPARATORS, key=first.count)
            head, *rows = [row for row in csv.reader(stream, delimiter=separator) if row] or [[]]
            for line, row in enumerate(rows, 2):
                if len(row) != len(head):
                    raise UserError(
                        f"row {line} of {printable(table)} has {len(row)} values where its first line has {len(head)}."
                    )
            found = {name.strip(): [row[place] for row in rows] for place, name in enumerate(head)}
    if not found or not len(next(iter(found.values()))):
        raise UserError(f"{printable(table)} has no rows.")
    return found


def _names(columns: Mapping[str, Sequence[Any]], given: Mapping[str, str | None], table: Path) -> dict[str, str]:
    """The names of the columns of paths, labels and parts; without those that there are none of."""
    found = {}
    listed = f"the columns of {printable(table)} are {', '.join(columns)}"
    for role, usual in (("path", PATH_COLUMNS), ("label", LABEL_COLUMNS), ("split", PART_COLUMNS)):
        name = given[role]
        if name == NONE and role != "path":
            continue
        if name is not None:
            if name not in columns:
                raise ConfigError(role, name, f"is no column: {listed}")
            found[role] = name
            continue
        near = [own for word in usual for own in columns if own.lower() == word and own not in found.values()]
        if near:
            found[role] = near[0]
        elif role == "path":
            raise UserError(f"which column holds the paths? Say it by data.source.path=COLUMN: {listed}.")
    return found


def _files(base: Path, paths: Sequence[Any], table: Path) -> list[Path]:
    """The files at the paths of a column, with the ending that the first one lacks."""
    files = [base / str(path) for path in paths]
    if files[0].is_file():
        return files
    for ending in sorted(Image.registered_extensions()):
        if files[0].with_name(files[0].name + ending).is_file():
            return [file if file.is_file() else file.with_name(file.name + ending) for file in files]
    raise UserError(
        f"there is no file {printable(files[0])}, which {printable(table)} names first: say by data.source.folder where"
        " its paths begin, or by data.source.path=COLUMN which column holds them."
    )


def _parts(values: Sequence[Any], table: Path) -> list[str]:
    unknown = sorted({str(value) for value in values if str(value).strip().lower() not in PARTS})
    if unknown:
        raise UserError(
            f"the part {unknown[0]!r} in {printable(table)} is not one of {', '.join(PARTS)}: choose the column by"
            f" data.source.split=COLUMN, or ={NONE} for none."
        )
    return [PARTS[str(value).strip().lower()] for value in values]
