"""Reading the files of a run folder as data: they may be damaged, and they may come from a stranger.

Whatever a file holds, a reader here gives plain values of the expected shape or raises `Unreadable`, a sentence that
names the file. Nothing is executed, and nothing hangs: only regular files of an ordinary size are read.
"""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from stat import S_ISREG
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile, ZipFile

import yaml

from diabolo.errors import UserError

if TYPE_CHECKING:
    import numpy as np

LARGEST = 64 << 20  # bytes of a file, of the arrays in it, and pixels of a picture
LARGEST_NUMBER = 2**63
DEEPEST = 40  # mappings and lists within each other
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
STATES = ("running", "done", "stopped", "failed")


class Unreadable(UserError):
    """A file of a run folder that is not what a run writes."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(path, why)
        self.path, self.why = path, why

    def __str__(self) -> str:
        return f"{str(self.path)!r} cannot be read: {self.why}."


def check_file(path: Path) -> None:
    """Raises `Unreadable` for what is no regular file of an ordinary size: a FIFO or a device would never end."""
    try:
        about = path.stat()
    except FileNotFoundError:
        raise Unreadable(path, "it is not there") from None
    except OSError as failure:
        raise Unreadable(path, failure.strerror or str(failure)) from failure
    if not S_ISREG(about.st_mode):
        raise Unreadable(path, "it is no regular file")
    if about.st_size > LARGEST:
        raise Unreadable(path, f"it has {about.st_size:,} bytes, and a run writes at most {LARGEST:,}")


def read_bytes(path: Path) -> bytes:
    """The content of a regular file."""
    check_file(path)
    try:
        return path.read_bytes()
    except OSError as failure:
        raise Unreadable(path, failure.strerror or str(failure)) from failure


def read_text(path: Path) -> str:
    """The text of a regular file in UTF-8."""
    try:
        return read_bytes(path).decode("utf-8")
    except UnicodeDecodeError:
        raise Unreadable(path, "it is no text in UTF-8") from None


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object."""
    text = read_text(path)
    try:
        return _mapping(path, json.loads(text))
    except (ValueError, RecursionError) as failure:
        raise Unreadable(path, f"it is no JSON ({_brief(failure)})") from None


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML mapping of plain values, without aliases, of which a few could stand for more than memory holds."""
    text = read_text(path)
    try:
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, LOADER)):
            raise Unreadable(path, "it has YAML aliases, which a run does not write")
        return _mapping(path, yaml.load(text, LOADER))
    except (yaml.YAMLError, ValueError, RecursionError, TypeError) as failure:
        raise Unreadable(path, f"it is no YAML ({_brief(failure)})") from None


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The objects of a file with one JSON object a line, without lines that are none, as one cut short by a kill."""
    rows = []
    for line in read_bytes(path).splitlines():
        try:
            rows.append(_mapping(path, json.loads(line.decode("utf-8"))))
        except (Unreadable, ValueError, RecursionError):
            continue
    return rows


def read_state(path: Path) -> dict[str, Any]:
    """A run's state.json: `state` is one of `STATES`, `reason` and `started` are texts, `choices` and `versions` map
    texts to texts, `overrides` is a list of texts."""
    state = read_json(path)
    if state.get("state") not in STATES:
        raise Unreadable(path, "it names no state")
    for key in ("reason", "started"):
        if not isinstance(state.get(key, ""), str):
            raise Unreadable(path, f"its {key!r} is no text")
    for key in ("choices", "versions"):
        pairs = state.get(key, {})
        if not isinstance(pairs, dict) or not all(isinstance(value, str) for value in pairs.values()):
            raise Unreadable(path, f"its {key!r} does not map names to texts")
    overrides = state.get("overrides", [])
    if not isinstance(overrides, list) or not all(isinstance(one, str) for one in overrides):
        raise Unreadable(path, "its 'overrides' is no list of texts")
    return state


def read_metrics(path: Path) -> dict[str, Any]:
    """A run's metrics.json: names to numbers, or to texts as versions and times are."""
    metrics = read_json(path)
    for name, value in metrics.items():
        if value is not None and not isinstance(value, int | float | str):
            raise Unreadable(path, f"its {name[:80]!r} is no number")
    return metrics


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of an .npz file by their names; none of objects, which would be pickles."""
    import numpy as np

    content = read_bytes(path)
    try:
        with ZipFile(io.BytesIO(content)) as members:
            if sum(member.file_size for member in members.infolist()) > LARGEST:
                raise Unreadable(path, f"its arrays have more than {LARGEST:,} bytes")
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except UserError:
        raise
    except (BadZipFile, EOFError, ValueError) as failure:
        raise Unreadable(path, f"it is no file of arrays ({_brief(failure)})") from None
    except (
        Exception
    ) as failure:  # zlib, struct, tokenize and the parsers behind NumPy's header have errors of their own
        raise Unreadable(path, f"it is damaged ({type(failure).__name__})") from failure


def read_picture(path: Path) -> np.ndarray:
    """A picture's bytes: H x W (grey) or H x W x 3."""
    import numpy as np
    from PIL import Image

    content = read_bytes(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content)) as picture:
                if picture.width * picture.height > LARGEST:
                    raise Unreadable(path, f"it has {picture.width}x{picture.height} pixels")
                return np.asarray(picture.convert("L" if picture.mode == "L" else "RGB"))
    except UserError:
        raise
    except Image.DecompressionBombError:
        raise Unreadable(path, "it has too many pixels") from None
    except Exception as failure:  # every format of Pillow's has errors of its own
        raise Unreadable(path, "it is no picture, or a damaged one") from failure


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint, on the CPU, read as weights and plain values alone."""
    import torch

    try:
        if not S_ISREG(path.stat().st_mode):
            raise Unreadable(path, "it is no regular file")
        file = path.open("rb")
    except FileNotFoundError:
        raise Unreadable(path, "it is not there") from None
    except OSError as failure:
        raise Unreadable(path, failure.strerror or str(failure)) from failure
    try:
        with file:
            checkpoint = torch.load(file, map_location="cpu", weights_only=True)
    except MemoryError:
        raise
    except Exception as failure:  # zip, pickle, struct and torch each have errors of their own
        raise Unreadable(path, "it is damaged, or no checkpoint of a run") from failure
    if not isinstance(checkpoint, dict) or not isinstance(checkpoint.get("state_dict"), Mapping):
        raise Unreadable(path, "it is no checkpoint of a run")
    return checkpoint


def _mapping(path: Path, value: Any) -> dict[str, Any]:
    """`value` if it is a mapping of texts to plain values that are neither too deep nor too large."""
    if not isinstance(value, dict):
        raise Unreadable(path, "it holds no mapping")
    for depth, inner in _walk(value, 0):
        if depth > DEEPEST:
            raise Unreadable(path, f"it nests more than {DEEPEST} levels")
        if isinstance(inner, dict) and not all(isinstance(key, str) for key in inner):
            raise Unreadable(path, "a key in it is no text")
        if isinstance(inner, int) and abs(inner) >= LARGEST_NUMBER:
            raise Unreadable(path, "a number in it is too large")
        if not isinstance(inner, dict | list | str | int | float | None):
            raise Unreadable(path, f"it holds a value of the type {type(inner).__name__}, which a run does not write")
    return value


def _walk(value: Any, depth: int) -> Iterator[tuple[int, Any]]:
    yield depth, value
    if depth > DEEPEST:
        return
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _walk(inner, depth + 1)


def _brief(failure: BaseException) -> str:
    return " ".join(str(failure).split())[:100] or type(failure).__name__
