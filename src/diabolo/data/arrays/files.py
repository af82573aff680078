"""Files of arrays: NumPy's, torch's. Lists what they hold without reading it, and opens one array of them.

Nothing is ever unpickled: arrays of Python objects are listed as such and refused where they are asked for.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from diabolo.errors import UserError, out_of_memory, printable


class Array(Protocol):
    """N things in a file or in memory: a NumPy array, a mapped one, or a data set of an HDF5 file."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __getitem__(self, rows: Any) -> np.ndarray: ...


@dataclass(frozen=True)
class Stored:
    """An array in a file, not read yet.

    Args:
        name: by which it is asked for: its key in the file, with the file's name before it where there are several.
        file: that holds it.
        shape, dtype: of the array.
        open: gives the array; mapped into memory or read in parts where the file allows it. It can be pickled.
        mapped: whether `open` maps it.
    """

    name: str
    file: Path
    shape: tuple[int, ...]
    dtype: np.dtype
    open: Callable[[], Array]
    mapped: bool = False

    def __str__(self) -> str:
        return f"{self.name} ({' x '.join(map(str, self.shape)) or 'one number'}, {self.kind})"

    @property
    def kind(self) -> str:
        """The type in words."""
        if self.dtype.hasobject:
            return "pickled"
        return "text" if self.dtype.kind in "SU" else str(self.dtype)


@contextmanager
def reading(file: Path) -> Iterator[None]:
    """What a damaged or foreign file makes its library raise, as a sentence with the file's name.

    Raises:
        UserError: for anything but errors that are sentences already, and too little memory.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as failure:  # libraries raise what they like: OSError, ValueError, KeyError, BadZipFile, ...
        if (short := out_of_memory(failure)) is not None:
            raise short from failure
        raise UserError(f"{printable(file)} cannot be read: {brief(failure)}.") from failure


def brief(failure: BaseException) -> str:
    """The first sentence of a message, without the advice and the tracebacks that follow."""
    lines = str(failure).strip().splitlines()
    return (lines[0][:150] if lines else type(failure).__name__).rstrip(".")


def find(root: Path, listed: Mapping[str, Callable[[Path], list[Stored]]], said: str) -> list[Stored]:
    """All arrays of a file, or of the files below a folder.

    Args:
        root: a file or a folder.
        listed: what lists the arrays of a file, by the file's ending.
        said: what such files are, for messages.

    Raises:
        UserError: no such file, or one that cannot be read.
    """
    if root.is_file():
        if root.suffix.lower() not in listed:
            raise UserError(f"`data.root` (= {printable(root)!r}) is not one of {said} ({', '.join(listed)}).")
        return listed[root.suffix.lower()](root)
    if not root.is_dir():
        raise UserError(f"`data.root` (= {printable(root)!r}) is neither a file nor a folder; give {said}.")
    files = sorted(path for path in _visible(root) if path.suffix.lower() in listed)
    if not files:
        raise UserError(f"there is none of {said} ({', '.join(listed)}) in `data.root` (= {printable(root)!r}).")
    found = []
    for file in files:
        arrays = listed[file.suffix.lower()](file)
        stem = file.relative_to(root).with_suffix("").as_posix()
        for array in arrays:
            alone = array.name in (file.stem, "arr_0", "") and len(arrays) == 1
            found.append(Stored(**{**vars(array), "name": stem if alone else f"{stem}/{array.name}"}))
    return found


def _visible(root: Path) -> Iterator[Path]:
    for place, folders, names in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith((".", "__"))]
        yield from (Path(place, name) for name in names if not name.startswith("."))


def npy_arrays(file: Path) -> list[Stored]:
    """The array of a `.npy` file; it is mapped."""
    with reading(file), file.open("rb") as stream:
        shape, dtype = _header(stream)
        if not dtype.hasobject:
            _mapped(file)  # so that a truncated file is refused now
    return [Stored(file.stem, file, shape, dtype, partial(_mapped, file), mapped=True)]


def npz_arrays(file: Path) -> list[Stored]:
    """The arrays of a `.npz` file; each is read whole when it is opened."""
    found = []
    with reading(file), zipfile.ZipFile(file) as archive:
        for entry in archive.namelist():
            if entry.endswith(".npy"):
                with archive.open(entry) as stream:
                    shape, dtype = _header(stream)
                name = entry.removesuffix(".npy")
                found.append(Stored(name, file, shape, dtype, partial(_member, file, name)))
    return found


def torch_arrays(file: Path) -> list[Stored]:
    """The tensors of a file that `torch.save` wrote, by their keys, those of inner lists and mappings with slashes;
    they are mapped."""
    with reading(file):
        tensors = dict(_tensors(_loaded(file), ""))
    return [
        Stored(key or file.stem, file, tuple(tensor.shape), _numpy(tensor[:0] if tensor.ndim else tensor).dtype,
               partial(_tensor, file, key), mapped=True)
        for key, tensor in tensors.items()
    ]  # fmt: skip


ARRAYS = {".npy": npy_arrays, ".npz": npz_arrays, ".pt": torch_arrays, ".pth": torch_arrays}


def _header(stream: Any) -> tuple[tuple[int, ...], np.dtype]:
    """Shape and type of the array whose `.npy` text begins here."""
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(stream)
    return shape, dtype


def _mapped(file: Path) -> np.ndarray:
    mapped: np.ndarray = np.load(file, mmap_mode="c", allow_pickle=False)  # "c": torch warns of what is read-only
    return mapped


def _member(file: Path, name: str) -> np.ndarray:
    with np.load(file, allow_pickle=False) as archive:
        array: np.ndarray = archive[name]
        return array


def _loaded(file: Path) -> Any:
    try:
        try:
            return torch.load(file, map_location="cpu", weights_only=True, mmap=True)
        except RuntimeError as failure:
            if "mmap can only be used" not in str(failure):  # a file in torch's format of before 1.6
                raise
            return torch.load(file, map_location="cpu", weights_only=True)
    except UnpicklingError as failure:
        if "weights" not in str(failure).lower():
            raise
        raise UserError(
            f"{printable(file)} holds pickled Python objects, which are not loaded because they may run code: save"
            " tensors alone, in a dict or a tuple."
        ) from failure


def _tensors(node: Any, key: str) -> Iterator[tuple[str, Tensor]]:
    if isinstance(node, Tensor):
        yield key, node.detach()
        return
    inner: Sequence[tuple[Any, Any]] = ()
    if isinstance(node, Mapping):
        inner = list(node.items())
    elif isinstance(node, list | tuple):
        inner = list(enumerate(node))
    for name, value in inner:
        yield from _tensors(value, f"{key}/{name}" if key else str(name))


def _tensor(file: Path, key: str) -> np.ndarray:
    return _numpy(dict(_tensors(_loaded(file), ""))[key])


def _numpy(tensor: Tensor) -> np.ndarray:
    array: np.ndarray = (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()
    return array
