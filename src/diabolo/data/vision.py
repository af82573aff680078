"""Data sets that torchvision knows, read whole into memory as bytes."""

import gzip
import struct
import zlib
from collections.abc import Mapping, Sequence
from io import BufferedReader
from math import prod
from pathlib import Path
from typing import Any
from urllib.error import URLError

import torch

from diabolo.data.images import MemoryImages, Splits, fit_shape
from diabolo.errors import ConfigError, UserError, did_you_mean

CHUNK = 1 << 20  # bytes read at once


def torchvision_images(
    dataset: str,
    root: str,
    image_shape: Sequence[int],
    train: Mapping[str, Any],
    test: Mapping[str, Any],
    download: bool = True,
    transpose: bool = False,
) -> Splits:
    """The training and test images of one of torchvision's data sets, with their labels.

    Args:
        dataset: the name of a class of `torchvision.datasets`.
        root: the folder that holds a copy, or gets the download.
        image_shape: (channels, height, width) that the images are brought to.
        train, test: the arguments with which torchvision's class gives each part.
        download: whether a missing copy is downloaded; an existing one is always used.
        transpose: whether rows and columns are swapped (EMNIST's files hold them swapped).

    Raises:
        UserError: no copy and no download, or a file that cannot be read, or not as many labels as images.
    """
    parts = [_load(dataset, Path(root), {**arguments}, download) for arguments in (train, test)]
    images = [_to_memory(part, image_shape, transpose) for part in parts]
    return Splits(images[0], images[1])


def _load(dataset: str, root: Path, arguments: dict[str, Any], download: bool) -> Any:
    from torchvision import datasets  # takes seconds to import: only where it is used

    if dataset not in datasets.__all__:
        near = did_you_mean(dataset, datasets.__all__)
        raise ConfigError("data.source.dataset", dataset, f"is no class of torchvision.datasets{near}")
    cls = getattr(datasets, dataset)
    try:
        try:
            return cls(root, download=False, **arguments)
        except RuntimeError as missing:
            if "not found" not in str(missing):
                raise
        if not download:
            raise UserError(
                f"there is no {dataset} in `data.root` (= {str(root)!r}), and `data.source.download` is false: point"
                " data.root= at the folder of a copy, or take data=digits, which needs no download."
            )
        try:
            return cls(root, download=True, **arguments)
        except (URLError, OSError, RuntimeError) as failure:
            raise UserError(
                f"there is no {dataset} in `data.root` (= {str(root)!r}) and downloading it failed ({_brief(failure)}):"
                " point data.root= at the folder of a copy, or take data=digits, which needs no download."
            ) from failure
    except UserError:
        raise
    except Exception as failure:  # whatever a broken file makes torchvision raise
        broken = _broken_idx(root / dataset / "raw") or str(root)
        raise UserError(
            f"{dataset} cannot be read: {broken} ({_brief(failure)}); remove it or replace it."
        ) from failure


def _brief(failure: BaseException) -> str:
    return " ".join(str(failure).split())[:120] or type(failure).__name__


def _broken_idx(folder: Path) -> str | None:
    """The first IDX file of `folder` whose length is not what its header says, with both lengths.

    Of a compressed file no more is unpacked than the header promises, and it is never held in memory.
    """
    for path in sorted(p for p in folder.glob("*ubyte*") if p.is_file()):
        packed = path.suffix == ".gz"
        try:
            with gzip.open(path) if packed else path.open("rb") as file:
                start = file.read(4)
                axes = start[3]
                expected = 4 + 4 * axes + prod(struct.unpack(f">{axes}I", file.read(4 * axes)))
                length = _length(file, 4 + 4 * axes, expected + 1) if packed else path.stat().st_size
        except (OSError, EOFError, IndexError, struct.error, zlib.error):
            return f"{path} has no readable header"
        if length != expected:
            found = f"more than {expected:,}" if packed and length > expected else f"{length:,}"
            return f"{path} is truncated or padded: {found} bytes where its header promises {expected:,}"
    return None


def _length(file: gzip.GzipFile | BufferedReader, so_far: int, most: int) -> int:
    """Bytes in `file`, of which `so_far` are read; counted up to `most`."""
    while so_far < most and (read := len(file.read(min(CHUNK, most - so_far)))):
        so_far += read
    return so_far


def _to_memory(part: Any, image_shape: Sequence[int], transpose: bool) -> MemoryImages:
    pixels = torch.as_tensor(part.data)
    if pixels.ndim == 3:
        pixels = pixels[:, None]  # N x 1 x H x W
    elif pixels.shape[-1] in (1, 3):
        pixels = pixels.permute(0, 3, 1, 2)  # N x C x H x W
    if transpose:
        pixels = pixels.transpose(-1, -2)
    labels = torch.as_tensor(part.targets if hasattr(part, "targets") else part.labels).long()
    if len(labels) != len(pixels) or not len(pixels):
        raise UserError(
            f"{type(part).__name__} in `data.root` (= {str(part.root)!r}) has {len(pixels):,} images and"
            f" {len(labels):,} labels in one of its parts: its files do not belong together; replace them."
        )
    return MemoryImages(fit_shape(pixels, image_shape), labels)
