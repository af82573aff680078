"""Images in data sets of the library Datasets: saved ones, folders of Parquet, folders with metadata, or of the Hub."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from diabolo.data.arrays.files import reading as reading_file
from diabolo.data.arrays.names import LABELS, part_of
from diabolo.data.conventions import PARTS
from diabolo.data.encoded import EncodedImages, open_encoded
from diabolo.data.extras import extra
from diabolo.data.files import Reading
from diabolo.data.images import ImageSet, Splits
from diabolo.data.table import NONE, labels_of
from diabolo.errors import ConfigError, UserError, printable

SAVED = ("dataset_dict.json", "state.json")  # what `save_to_disk` leaves
FILES = {".parquet": "parquet", ".arrow": "arrow"}


def huggingface_images(
    root: str | None,
    image_shape: Sequence[int],
    hub: str | None = None,
    image: str | None = None,
    label: str | None = None,
    fit: str = "crop",
    unreadable: str = "refuse",
    memory_limit: int = 1 << 30,
    depth: str = "uint8",
    value_range: tuple[float, float] | None = None,
) -> Splits:
    """The images and labels of a data set of the library Datasets. Nothing is downloaded unless `hub` is given.

    Args:
        root: a folder that `save_to_disk` wrote, one of Parquet or Arrow files, or one of images as the library's
            `imagefolder` reads it; None with `hub`.
        image_shape, fit, unreadable, memory_limit, depth, value_range: as in `Reading`.
        hub: the name of a set on the Hub, as "ylecun/mnist", or None.
        image, label: the names of these columns, or None to find them; "none" for no labels.

    Raises:
        UserError: Datasets is missing, no such set, one that cannot be read, no such column, or unreadable images that
            are refused.
    """
    reading = Reading(tuple(image_shape), fit, unreadable, memory_limit, depth, value_range)
    extra("datasets", "huggingface")
    if (hub is None) == (root is None):
        raise ConfigError("data.root", root, "must be a folder, or null if data.source.hub names a set on the Hub")
    given = _from_hub(hub) if hub is not None else _from_folder(Path(str(root)).expanduser())
    where = hub or printable(root)
    parts: dict[str, Any] = {}
    said = []
    for name, rows in given.items():
        part = "train" if len(given) == 1 else PARTS.get(str(name).lower())
        if part is None or part in parts:
            said.append(f"left out: split {name}, {len(rows):,} rows")
        else:
            parts[part] = rows
    if "train" not in parts:
        raise UserError(f"{where} has no training split; its splits are {', '.join(map(str, given))}.")
    classes: tuple[str, ...] = ()
    opened: dict[str, ImageSet] = {}
    for part, rows in parts.items():
        if not len(rows):
            continue
        with reading_file(Path(where)):
            columns = _image_columns(rows.features)
            images = _column(rows, "image", image, columns, where)
            labels, names = _labels(rows, label, where)
            encoded = rows.select_columns([images]).cast_column(images, _image()(decode=False))
        classes = classes or names
        everything = torch.arange(len(rows))
        opened[part] = open_encoded(EncodedImages(_Rows(encoded, images), labels, everything, reading, where))
        said.append(f"{part}: {len(rows):,} images from column {images} of {where}")
    if "train" not in opened:
        raise UserError(f"the training split of {where} has no rows.")
    return Splits(opened["train"], opened.get("test"), opened.get("val"), classes, tuple(said))


@dataclass(frozen=True)
class _Rows:
    """Gives the bytes of the image in a row."""

    rows: Any
    column: str

    def __call__(self, row: int) -> bytes:
        image = self.rows[row][self.column]
        if image is None:
            raise ValueError("the row is empty")
        if image["bytes"] is not None:
            found: bytes = image["bytes"]
            return found
        return Path(image["path"]).read_bytes()


def _from_hub(hub: str) -> Mapping[str, Any]:
    datasets = extra("datasets", "huggingface")
    try:
        found = datasets.load_dataset(hub)
    except Exception as failure:  # of the network, of the Hub, of its files
        said = " ".join(str(failure).split())[:150].rstrip(".")
        raise UserError(f"the set {hub} of data.source.hub cannot be had: {said}.") from failure
    return _named(found)


def _from_folder(folder: Path) -> Mapping[str, Any]:
    datasets = extra("datasets", "huggingface")
    if not folder.exists():
        raise ConfigError("data.root", printable(folder), "is not a folder; give one that holds a data set")
    with _offline(), reading_file(folder):
        if any((folder / name).is_file() for name in SAVED):
            return _named(datasets.load_from_disk(str(folder)))
        for ending, builder in FILES.items():
            files = sorted(folder.rglob(f"*{ending}")) if folder.is_dir() else [folder]
            if files and files[0].suffix == ending:
                return _named(datasets.load_dataset(builder, data_files=_by_part(files, folder)))
        if folder.is_file():
            raise UserError(
                f"{printable(folder)} is no data set of the library Datasets: it reads .parquet and .arrow."
            )
        return _named(datasets.load_dataset("imagefolder", data_dir=str(folder)))


def _by_part(files: Sequence[Path], folder: Path) -> dict[str, list[str]]:
    """Files by the part that their names or folders speak of; without such, all are for training."""
    parts: dict[str, list[str]] = {}
    for file in files:
        name = file.relative_to(folder).with_suffix("").as_posix() if folder.is_dir() else file.stem
        parts.setdefault(part_of(name) or "train", []).append(str(file))
    return parts


def _named(found: Any) -> Mapping[str, Any]:
    return found if isinstance(found, Mapping) else {"train": found}


@contextmanager
def _offline() -> Iterator[None]:
    """Within, Datasets asks nobody for a newer version of what it reads, and draws no bars."""
    datasets = extra("datasets", "huggingface")
    drawn, online = datasets.is_progress_bar_enabled(), datasets.config.HF_HUB_OFFLINE
    datasets.disable_progress_bars()
    datasets.config.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        datasets.config.HF_HUB_OFFLINE = online
        if drawn:
            datasets.enable_progress_bars()


def _image() -> Any:
    return extra("datasets", "huggingface").Image


def _image_columns(features: Mapping[str, Any]) -> list[str]:
    """The columns of images: marked as such, else of bytes and paths as Datasets stores them, else of bytes."""
    rules = (
        lambda kind: isinstance(kind, _image()),
        lambda kind: isinstance(kind, Mapping) and {"bytes", "path"} == set(kind),
        lambda kind: getattr(kind, "dtype", None) in ("binary", "large_binary"),
    )
    for rule in rules:
        if found := [name for name, kind in features.items() if rule(kind)]:
            return found
    return []


def _column(rows: Any, role: str, name: str | None, found: Sequence[str], where: str) -> str:
    listed = f"the columns of {where} are {', '.join(rows.column_names)}"
    if name is not None:
        if name not in rows.column_names:
            raise ConfigError(f"data.source.{role}", name, f"is no column: {listed}")
        return name
    if len(found) != 1:
        raise UserError(f"which column holds the {role}s? Say it by data.source.{role}=COLUMN: {listed}.")
    return found[0]


def _labels(rows: Any, name: str | None, where: str) -> tuple[Tensor, tuple[str, ...]]:
    datasets, features = extra("datasets", "huggingface"), rows.features
    if name == NONE:
        return torch.full((len(rows),), -1), ()
    if name is None:
        marked = [own for own, kind in features.items() if isinstance(kind, datasets.ClassLabel)]
        named = [own for own in features if own.lower() in LABELS and isinstance(features[own], datasets.Value)]
        found = marked if len(marked) == 1 else named
        if not found and not marked:
            return torch.full((len(rows),), -1), ()
        name = _column(rows, "label", None, found, where)
    _column(rows, "label", name, [], where)
    values = rows.select_columns([name]).with_format(None)[:][name]
    numbers, classes = labels_of(values, name)
    return torch.from_numpy(numbers), tuple(getattr(features[name], "names", None) or classes)
