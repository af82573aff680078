"""Files of images, read batch by batch."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from PIL import Image
from torch import Tensor

from diabolo.data.decoding import BROKEN, DEEP, MODES, try_decode
from diabolo.data.files import Reading
from diabolo.data.folders.layout_rules import understand
from diabolo.data.folders.tree import is_image, number, scan
from diabolo.data.pages import ImageFile, Page, opened, with_pages
from diabolo.errors import UserError, printable
from diabolo.runs.terminal import visible

FITTED = {"crop": "cropped", "pad": "padded", "stretch": "stretched"}  # by `Reading.fit`


class Batch(NamedTuple):
    """Some of the images of a set."""

    places: list[int]  # of each in the set
    images: Tensor  # N x C x H x W, as stored


class ImageReader:
    """Images in files, decoded a batch ahead of what is asked for.

    An image of another size or kind than the run's own is fitted as those were, which is said once.

    Raises:
        UserError: a place that is not there or holds no image; in `batches`, a file that cannot be read.
    """

    def __init__(self, reading: Reading, places: Sequence[str], skip: bool) -> None:
        self.reading, self.skip = reading, skip
        every = [one for place in places for one in _found(Path(place).expanduser())]
        found = list({one.file.absolute(): one for one in every}.values())  # a file that is named twice is one
        self.files, order = with_pages([one.file for one in found], torch.arange(len(found)))
        found = [found[i] for i in order.tolist()]
        self.labels = [one.label for one in found]
        self.names = _names(found, self.files)
        self.fitted: Counter[str] = Counter()  # sizes and kinds that are not the run's own
        self.batch_size = max(1, min(256, (1 << 21) // torch.Size(reading.image_shape).numel()))

    def batches(self) -> Iterator[Batch]:
        parts = torch.arange(len(self.files)).split(self.batch_size)
        ahead: list[tuple[int, Future[_Decoded]]] = []
        any_read = False
        with ThreadPoolExecutor() as pool:
            try:
                for part in [*parts, torch.empty(0, dtype=torch.int64)]:
                    now, ahead = ahead, [(i, pool.submit(self._decode, i)) for i in part.tolist()]
                    if now and (batch := self._batch(now)).places:
                        any_read = True
                        yield batch
            finally:
                pool.shutdown(cancel_futures=True)
        if not any_read:
            raise UserError("none of these images can be read.")
        self._say_fitted()

    def _decode(self, place: int) -> _Decoded:
        """The pixels of a file or why there are none, and what is to be fitted of it."""
        file = self.files[place]
        try:
            with opened(file) as image:
                kind = "" if self._fits(image) else f"{image.width}x{image.height} {image.mode}"
        except BROKEN:
            kind = ""  # decoding says why
        return try_decode(file, *self.reading.how), kind

    def _fits(self, image: Image.Image) -> bool:
        """Whether an image is of the run's size, channels and bits."""
        channels, height, width = self.reading.image_shape
        modes = DEEP if channels == 1 and self.reading.depth != "uint8" else (MODES.get(channels),)
        return image.size == (width, height) and image.mode in modes

    def _batch(self, decoding: list[tuple[int, Future[_Decoded]]]) -> Batch:
        places, images = [], []
        for place, future in decoding:
            pixels, kind = future.result()
            if isinstance(pixels, str):
                self._refuse(self.files[place], pixels)
            else:
                places.append(place)
                images.append(pixels)
                self.fitted.update([kind] if kind else [])
        return Batch(places, torch.stack(images) if images else torch.empty(0))

    def _refuse(self, file: ImageFile, why: str) -> None:
        if not self.skip:
            raise UserError(f"{printable(file)!r} cannot be read ({why}): leave it out, or say --skip.")
        print(visible(f"skipped {printable(file)} ({why})"), file=sys.stderr)

    def _say_fitted(self) -> None:
        """One line on images that were not as the run's own."""
        if self.fitted:
            channels, height, width = self.reading.image_shape
            kinds = [*(kind for kind, _ in self.fitted.most_common(3)), *(["..."] if len(self.fitted) > 3 else [])]
            print(
                f"{number(self.fitted.total(), 'image')} of another size or kind ({', '.join(kinds)}),"
                f" {FITTED[self.reading.fit]} to {width}x{height} with {number(channels, 'channel')}, as the run's own"
                " images are",
                file=sys.stderr,
            )


_Decoded = tuple[Tensor | str, str]


@dataclass(frozen=True)
class _Found:
    """A file, the folder that was named for it, and its class."""

    file: Path
    base: Path
    label: str = ""


def _found(place: Path) -> list[_Found]:
    """The images at a place, with the classes that a folder is understood to have (`diabolo.data.folders`)."""
    if place.is_file():
        if not is_image(place.name):
            raise UserError(f"{printable(place)!r} has no ending of an image file that Pillow reads.")
        return [_Found(place, place.parent)]
    if not place.is_dir():
        raise UserError(f"{printable(place)!r} is neither a file nor a folder.")
    tree, passed = scan(place)
    if not tree.count:
        raise UserError(f"there is no image in {printable(place)!r}: no file there has an ending that Pillow reads.")
    try:
        layout = understand(tree, passed)
    except UserError:  # parts without training images, which nobody asks for here
        return [_Found(path, place) for path in tree.paths()]
    known = set(layout.classes)
    return [
        _Found(path, place, name if name in known else "")
        for part in layout.parts.values()
        for path, name in zip(part.paths, part.names, strict=True)
    ]


def _names(found: Sequence[_Found], files: Sequence[ImageFile]) -> list[str]:
    """The path of each file below the folder that was named; where two would be the same, below what all the files
    have in common. A page of a file has its number before the ending: scan#2.tif."""
    names = [_name(one.file.relative_to(one.base), file) for one, file in zip(found, files, strict=True)]
    if len(set(names)) < len(names):
        top = os.path.commonpath([one.file.absolute().parent for one in found])
        names = [_name(one.file.absolute().relative_to(top), file) for one, file in zip(found, files, strict=True)]
    return names


def _name(path: Path, file: ImageFile) -> str:
    return (path.with_stem(f"{path.stem}#{file.number + 1}") if isinstance(file, Page) else path).as_posix()
