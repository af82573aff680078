"""Any folder of images."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from diabolo.data.images import ImageSet, MemoryImages, Splits
from diabolo.errors import ConfigError, choice

log = logging.getLogger(__name__)

FITS = ("crop", "stretch", "pad")
UNREADABLE = ("refuse", "skip")


def folder_images(
    root: str,
    image_shape: Sequence[int],
    fit: str = "crop",
    unreadable: str = "refuse",
    memory_limit: int = 1 << 30,
) -> Splits:
    """All images below `root` that Pillow reads, brought to `image_shape`.

    `root/train` and `root/test` are the two parts where both exist; else everything is for training and the datamodule
    splits a test part off. The first folder below a part is the label, where there are at least two such folders.

    Args:
        fit: "crop" resizes the shorter side and cuts the centre, "pad" resizes the longer side and adds black,
            "stretch" resizes both sides.
        unreadable: "refuse" stops at files that look like images and cannot be read, "skip" names and leaves them.
        memory_limit: bytes up to which the images are held in memory; beyond, they are decoded batch by batch.

    Raises:
        ConfigError: no such folder, no image in it, or unreadable images that are to be refused.
    """
    choice("fit", fit, FITS)
    choice("unreadable", unreadable, UNREADABLE)
    base = Path(root).expanduser()
    if not base.is_dir():
        raise ConfigError(f"`data.root` (= {root!r}) is not a folder; give the folder that holds the images.")
    own_test = (base / "train").is_dir() and (base / "test").is_dir()
    parts = [
        _open(part, tuple(image_shape), fit, unreadable, memory_limit)
        for part in ([base / "train", base / "test"] if own_test else [base])
    ]
    return Splits(parts[0], parts[1] if own_test else None)


class FolderImages:
    """Images decoded when they are asked for: one path and one label each."""

    def __init__(self, paths: Sequence[Path], labels: Tensor, image_shape: tuple[int, ...], fit: str) -> None:
        self.paths = list(paths)
        self.labels = labels
        self.image_shape = image_shape
        self.fit = fit

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Tensor:
        path = self.paths[index]
        try:
            return decode(path, self.image_shape, self.fit)
        except (OSError, ValueError, SyntaxError) as failure:
            raise ConfigError(
                f"{path} cannot be read ({failure}); remove it or set data.source.unreadable=skip."
            ) from None

    def take(self, indices: Tensor | Sequence[int]) -> Tensor:
        return torch.stack([self[int(i)] for i in indices])

    def subset(self, indices: Tensor) -> FolderImages:
        return FolderImages([self.paths[int(i)] for i in indices], self.labels[indices], self.image_shape, self.fit)


def decode(path: Path, image_shape: Sequence[int], fit: str) -> Tensor:
    """The image at `path`, turned as its EXIF data say, as C x H x W bytes."""
    channels, height, width = image_shape
    with Image.open(path) as image:
        upright = _to_bytes(ImageOps.exif_transpose(image)).convert("L" if channels == 1 else "RGB")
    size, bilinear = (width, height), Image.Resampling.BILINEAR
    if fit == "crop":
        upright = ImageOps.fit(upright, size, bilinear)
    elif fit == "pad":
        upright = ImageOps.pad(upright, size, bilinear)
    elif upright.size != size:
        upright = upright.resize(size, bilinear)
    return torch.from_numpy(np.array(upright)).view(height, width, channels).permute(2, 0, 1).contiguous()


def _to_bytes(image: Image.Image) -> Image.Image:
    """Images of 16 or 32 bits a pixel scaled to 8 bits: Pillow's own conversion would clip them to white."""
    if image.mode not in ("I", "I;16", "I;16B", "I;16L", "F"):
        return image
    values = np.asarray(image, dtype=np.float64)
    top = 65535.0 if image.mode.startswith("I;16") or values.max() > 255 else 255.0
    return Image.fromarray((values / max(top, values.max()) * 255).round().clip(0, 255).astype(np.uint8))


def _open(base: Path, image_shape: tuple[int, ...], fit: str, unreadable: str, memory_limit: int) -> ImageSet:
    known = Image.registered_extensions()
    paths = sorted(p for p in base.rglob("*") if p.is_file() and p.suffix.lower() in known)
    if not paths:
        raise ConfigError(f"there is no image in {str(base)!r}: no file there has an ending that Pillow reads.")
    channels, height, width = image_shape
    in_memory = len(paths) * channels * height * width <= memory_limit
    with ThreadPoolExecutor() as pool:
        if in_memory or unreadable == "skip":
            decoded: Iterable[Tensor | str] = pool.map(lambda p: _try(p, image_shape, fit), paths)
        else:  # too much to decode twice: look at the headers, and meet a broken body when its turn comes
            decoded = pool.map(_header, paths)
        kept = []
        good: list[Path] = []
        bad: list[str] = []
        for path, result in zip(paths, decoded, strict=True):
            if isinstance(result, str):
                bad.append(f"{path} ({result})")
            else:
                good.append(path)
                if in_memory:
                    kept.append(result)
    _judge(bad, unreadable, base, bool(good))
    labels = _labels(good, base)
    return MemoryImages(torch.stack(kept), labels) if in_memory else FolderImages(good, labels, image_shape, fit)


def _judge(bad: list[str], unreadable: str, base: Path, any_good: bool) -> None:
    if not bad:
        return
    named = "; ".join(bad[:5]) + (f"; and {len(bad) - 5} more" if len(bad) > 5 else "")
    if unreadable == "refuse" or not any_good:
        raise ConfigError(f"{len(bad)} of the images in {str(base)!r} cannot be read: {named}. Remove them or set"
                          " data.source.unreadable=skip.")  # fmt: skip
    log.warning("skipped %d unreadable images: %s", len(bad), named)


def _try(path: Path, image_shape: tuple[int, ...], fit: str) -> Tensor | str:
    try:
        return decode(path, image_shape, fit)
    except UnidentifiedImageError:
        return "not an image"
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as failure:
        return str(failure)


def _header(path: Path) -> Tensor | str:
    try:
        with Image.open(path):
            return torch.empty(0)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as failure:
        return str(failure)


def _labels(paths: Sequence[Path], base: Path) -> Tensor:
    parents = [path.relative_to(base).parts[0] if path.parent != base else "" for path in paths]
    names = sorted(set(parents) - {""})
    if len(names) < 2:
        return torch.full((len(paths),), -1)
    return torch.tensor([names.index(parent) if parent else -1 for parent in parents])
