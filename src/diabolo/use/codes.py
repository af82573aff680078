"""Files of codes: `.npz`, `.csv` and `.parquet`."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from diabolo.data.extras import extra
from diabolo.errors import UserError, printable
from diabolo.training.whole_files import whole

UNIT = "unit_"  # how the columns of a table begin that hold the numbers of a code: unit_1, unit_2, ... as in pictures
ROWS = 4096  # of a table that are turned into text at once


@dataclass
class Codes:
    """Codes with what is known of the images that they stand for.

    Args:
        codes: N x size float32.
        names: N, or none.
        labels: N names of classes, "" where there is none, or none.
        figures: N numbers each, by their name, such as "mse".
    """

    codes: np.ndarray
    names: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    figures: dict[str, np.ndarray] = field(default_factory=dict)

    def columns(self) -> dict[str, Any]:
        """All but the codes, by their name."""
        texts = {"name": [printable(name) for name in self.names], "label": self.labels if any(self.labels) else []}
        return {name: values for name, values in texts.items() if values} | self.figures


def check_codes_file(path: Path) -> None:
    """Raises UserError for a file whose ending is not one of codes."""
    if path.suffix.lower() not in WRITE:
        raise UserError(f"{printable(path)!r} must end in {', '.join(WRITE)}, which say how codes are written.")


def write_codes(path: Path, codes: Codes) -> None:
    """Writes codes in the form that the ending says: `.npz` with the arrays codes, name, label, mse, ...; `.csv` and
    `.parquet` with a row an image, the numbers of its code in the columns unit_1, unit_2, ...

    Raises:
        UserError: an ending that is none, the extra `parquet` is missing, or the file cannot be written.
    """
    check_codes_file(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole(path) as draft:
            WRITE[path.suffix.lower()](draft, codes)
    except OSError as failure:
        raise UserError(f"{printable(path)!r} cannot be written ({failure.strerror or failure}).") from failure


def _write_npz(path: Path, codes: Codes) -> None:
    arrays: dict[str, Any] = {"codes": codes.codes} | {name: np.asarray(of) for name, of in codes.columns().items()}
    with path.open("wb") as file:
        np.savez(file, **arrays)


def _write_csv(path: Path, codes: Codes) -> None:
    columns = codes.columns()
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*columns, *(f"{UNIT}{unit + 1}" for unit in range(codes.codes.shape[1]))])
        for first in range(0, len(codes.codes), ROWS):
            part = slice(first, first + ROWS)
            beside = [np.asarray(values[part]).astype(str).tolist() for values in columns.values()]
            numbers = codes.codes[part].astype(str).tolist()
            writer.writerows([*own, *code] for *own, code in zip(*beside, numbers, strict=True))


def _write_parquet(path: Path, codes: Codes) -> None:
    arrow, parquet = extra("pyarrow", "parquet"), extra("pyarrow.parquet", "parquet")
    units = {f"{UNIT}{unit + 1}": codes.codes[:, unit] for unit in range(codes.codes.shape[1])}
    parquet.write_table(arrow.table(codes.columns() | units), path)


WRITE: dict[str, Callable[[Path, Codes], None]] = {".npz": _write_npz, ".csv": _write_csv, ".parquet": _write_parquet}


def read_codes(path: Path, size: int) -> Codes:
    """The codes of a file as `write_codes` leaves it, with the names and labels where it has them. Of an `.npz` no more
    is asked than an array `codes`, of a table than the columns unit_1, unit_2, ...

    Args:
        size: numbers that a code must have.

    Raises:
        UserError: no such file, one that cannot be read, or codes of another size or that are no finite numbers.
    """
    check_codes_file(path)
    if not path.is_file():
        raise UserError(f"there is no file {printable(path)!r}.")
    try:
        found = READ[path.suffix.lower()](path)
        codes = np.asarray(found["codes"], np.float32)
    except UserError:
        raise
    except Exception as failure:  # whatever a damaged file makes its reader raise
        said = " ".join(str(failure).split())[:120] or type(failure).__name__
        raise UserError(f"{printable(path)!r} cannot be read as a file of codes ({said}).") from failure
    if codes.ndim != 2 or codes.shape[1] != size or not len(codes):
        shape = "x".join(map(str, codes.shape))
        raise UserError(f"{printable(path)!r} holds {shape} numbers, and the codes of this run are N x {size}.")
    if not np.isfinite(codes).all():
        raise UserError(f"{printable(path)!r} holds codes that are no finite numbers.")
    names, labels = ([str(text) for text in found.get(name, [])] for name in ("name", "label"))
    return Codes(codes, names if len(names) == len(codes) else [], labels if len(labels) == len(codes) else [])


def _read_npz(path: Path) -> Mapping[str, Any]:
    with np.load(path, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in ("codes", "name", "label") if name in arrays}


def _read_csv(path: Path) -> Mapping[str, Any]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        head, *rows = csv.reader(file)
    return _of_columns({name: [row[place] for row in rows] for place, name in enumerate(head)})


def _read_parquet(path: Path) -> Mapping[str, Any]:
    return _of_columns(extra("pyarrow.parquet", "parquet").read_table(path).to_pydict())


def _of_columns(columns: Mapping[str, Any]) -> Mapping[str, Any]:
    units = [columns[name] for name in (f"{UNIT}{unit + 1}" for unit in range(len(columns))) if name in columns]
    return {**columns, "codes": np.array(units, dtype=np.float32).T}


READ: dict[str, Callable[[Path], Mapping[str, Any]]] = {".npz": _read_npz, ".csv": _read_csv, ".parquet": _read_parquet}
