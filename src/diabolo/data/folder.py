"""Any folder of images."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from diabolo.data.images import ImageSet, MemoryImages, Splits
from diabolo.errors import ConfigError, UserError, check_choice, check_int, printable

log = logging.getLogger(__name__)

FITS = ("crop", "stretch", "pad")
UNREADABLE = ("refuse", "skip")
TURNS = {  # by the EXIF orientation, to what it asks for
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
MOST_PIXELS = 89_478_485  # Pillow's own limit, beyond which it warns, and refuses at twice as many
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)  # such images are refused in a sentence
BROKEN = (OSError, ValueError, SyntaxError, Image.DecompressionBombError)  # what broken files make Pillow raise


def folder_images(
    root: str,
    image_shape: Sequence[int],
    fit: str = "crop",
    unreadable: str = "refuse",
    memory_limit: int = 1 << 30,
) -> Splits:
    """All images below a folder that Pillow reads.

    If `root/train` and `root/test` both exist, they are the training and the test images; else everything is for
    training, and the datamodule sets test images aside. If there are two or more folders of images, the first folder
    below a part is the label; the sorted names are numbered over both parts together.

    Args:
        root: the folder.
        image_shape: (channels, height, width) that the images are brought to.
        fit: how: "crop" resizes the shorter side and cuts out the centre, "pad" resizes the longer side and adds black,
            "stretch" resizes both sides.
        unreadable: what happens to files that look like images and cannot be read: "refuse" raises an error, "skip"
            names them in a warning and goes on without them.
        memory_limit: bytes up to which the images are held in memory; larger sets are decoded batch by batch.

    Raises:
        UserError: no such folder, no image in it, or unreadable images that are refused.
    """
    check_choice("fit", fit, FITS)
    check_choice("unreadable", unreadable, UNREADABLE)
    check_int("memory_limit", memory_limit, 0)
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
        opened.append(_open(part, paths, labels, tuple(image_shape), fit, unreadable, memory_limit))
    return Splits(opened[0], opened[1] if own_test else None)


class FolderImages:
    """An `ImageSet` whose images are decoded each time they are asked for.

    Args:
        paths: N files.
        labels: N int64, -1 for an image without a label.
        image_shape: (channels, height, width) that the images are brought to.
        fit: how, as in `folder_images`.

    Raises:
        UserError: when it is asked for, an image that cannot be read.
    """

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
        except BROKEN as failure:
            raise UserError(
                f"{printable(path)} cannot be read ({failure}); remove it or set data.source.unreadable=skip."
            ) from None

    def take(self, indices: Tensor | Sequence[int]) -> Tensor:
        return torch.stack([self[int(i)] for i in indices])

    def subset(self, indices: Tensor) -> FolderImages:
        return FolderImages([self.paths[int(i)] for i in indices], self.labels[indices], self.image_shape, self.fit)


def decode(path: Path, image_shape: Sequence[int], fit: str) -> Tensor:
    """The image at `path`, turned as its EXIF data say, as C x H x W bytes."""
    channels, height, width = image_shape
    with Image.open(path) as image:
        _refuse_huge(image)
        upright = _to_bytes(_upright(image)).convert("L" if channels == 1 else "RGB")
    size, bilinear = (width, height), Image.Resampling.BILINEAR
    if fit == "crop":
        upright = ImageOps.fit(upright, size, bilinear)
    elif fit == "pad":
        upright = ImageOps.pad(upright, size, bilinear)
    elif upright.size != size:
        upright = upright.resize(size, bilinear)
    return torch.from_numpy(np.array(upright)).view(height, width, channels).permute(2, 0, 1).contiguous()


def _refuse_huge(image: Image.Image) -> None:
    """Raises ValueError for an image of which a few at once would fill the memory."""
    if image.width * image.height > MOST_PIXELS:
        raise ValueError(f"it has {image.width:,}x{image.height:,} pixels, more than the {MOST_PIXELS:,} that are read")


def _upright(image: Image.Image) -> Image.Image:
    """The image turned as its EXIF data say; as it is where they are damaged, as cameras and editors leave them."""
    image.load()  # so that what fails below is the EXIF data, not the image
    try:
        turn = TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # whatever Pillow's parser raises: struct.error, KeyError, SyntaxError, ...
        turn = None
    return image if turn is None else image.transpose(turn)


def _to_bytes(image: Image.Image) -> Image.Image:
    """Images of 16 or 32 bits a pixel scaled to 8 bits: Pillow's own conversion would clip them to white. If all whole
    numbers are below 256 they count as 8 bits, if all floats are at most 1 as [0, 1]."""
    if image.mode == "P" and "transparency" in image.info:
        return image.convert("RGBA")  # without Pillow's warning that the transparency is lost
    if image.mode not in ("I", "I;16", "I;16B", "I;16L", "F"):
        return image
    values = np.asarray(image, dtype=np.float64)
    if not np.isfinite(values).all():
        raise ValueError("it holds pixels that are no finite numbers")
    if image.mode == "F" and values.max() <= 1:
        values = values * 255
    top = 65535.0 if image.mode.startswith("I;16") or values.max() > 255 else 255.0
    return Image.fromarray((values / max(top, values.max()) * 255).round().clip(0, 255).astype(np.uint8))


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


def _open(
    base: Path,
    paths: Sequence[Path],
    labels: Tensor,
    image_shape: tuple[int, ...],
    fit: str,
    unreadable: str,
    memory_limit: int,
) -> ImageSet:
    """The readable images at `paths`: decoded if they fit in memory."""
    channels, height, width = image_shape
    in_memory = len(paths) * channels * height * width <= memory_limit
    with ThreadPoolExecutor() as pool:
        if in_memory or unreadable == "skip":
            decoded: Iterable[Tensor | str] = pool.map(lambda p: _try(p, image_shape, fit), paths)
        else:  # too many to decode twice: look at the headers; a broken body is found when its turn comes
            decoded = pool.map(_header, paths)
        images = []
        good: list[int] = []
        bad: list[str] = []
        for place, result in enumerate(decoded):
            if isinstance(result, str):
                bad.append(f"{printable(paths[place])} ({result})")
            else:
                good.append(place)
                if in_memory:
                    images.append(result)
    _refuse_or_warn(bad, unreadable, base, bool(good))
    if in_memory:
        return MemoryImages(torch.stack(images), labels[good])
    return FolderImages([paths[place] for place in good], labels[good], image_shape, fit)


def _refuse_or_warn(bad: list[str], unreadable: str, base: Path, any_good: bool) -> None:
    if not bad:
        return
    named = "; ".join(bad[:5]) + (f"; and {len(bad) - 5} more" if len(bad) > 5 else "")
    if unreadable == "refuse" or not any_good:
        raise UserError(f"{len(bad)} of the images in {printable(base)!r} cannot be read: {named}. Remove them or set"
                          " data.source.unreadable=skip.")  # fmt: skip
    log.warning("skipped %d unreadable images: %s", len(bad), named)


def _try(path: Path, image_shape: tuple[int, ...], fit: str) -> Tensor | str:
    try:
        return decode(path, image_shape, fit)
    except UnidentifiedImageError:
        return "not an image"
    except BROKEN as failure:
        return str(failure)


def _header(path: Path) -> Tensor | str:
    try:
        with Image.open(path) as image:
            _refuse_huge(image)
            return torch.empty(0)
    except UnidentifiedImageError:
        return "not an image"
    except BROKEN as failure:
        return str(failure)
