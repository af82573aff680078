"""Pages of a TIFF file, each an image of its own."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

log = logging.getLogger(__name__)

ENDINGS = (".tif", ".tiff")
SUBFILE, REDUCED_OR_MASK = 254, 0b101  # TIFF 6.0, "NewSubfileType": bits of pages that are no images of their own


@dataclass(frozen=True)
class Page:
    """One page of a file of several; `os.stat` and `open` take it for the file.

    Args:
        path: of the file.
        number: of the page, from 0.
    """

    path: Path
    number: int

    def __fspath__(self) -> str:
        return os.fspath(self.path)

    def __str__(self) -> str:
        return f"{self.path}, page {self.number + 1}"


ImageFile = Path | Page


def opened(file: ImageFile | BytesIO) -> Image.Image:
    """Pillow's image of a file or of one of its pages; nothing is decoded yet.

    Raises:
        OSError: there is no such page, and whatever Pillow raises of a damaged file.
    """
    if not isinstance(file, Page):
        return Image.open(file)
    image = Image.open(file.path)
    try:
        image.seek(file.number)
    except Exception as failure:  # whatever Pillow's parser raises: TypeError, SyntaxError, ...
        image.close()
        raise OSError(f"its page is damaged: {failure}") from failure
    return image


def with_pages(paths: Sequence[Path], labels: Tensor) -> tuple[list[ImageFile], Tensor]:
    """The files with each TIFF file of several pages replaced by its pages, and their labels. Smaller copies of a page
    and masks are left out.

    Args:
        paths: N files.
        labels: N int64, of which a page has that of its file.
    """
    places = [place for place, path in enumerate(paths) if path.suffix.lower() in ENDINGS]
    with ThreadPoolExecutor() as pool:
        found = dict(zip(places, pool.map(_pages, (paths[place] for place in places)), strict=True))
    several = {place: pages for place, pages in found.items() if len(pages) > 1}
    if not several:
        return list(paths), labels
    files: list[ImageFile] = []
    for place, path in enumerate(paths):
        files += several.get(place, [path])
    log.info(
        "%d TIFF files have several pages: each of their %d pages is an image",
        len(several),
        sum(map(len, several.values())),
    )
    counts = torch.tensor([len(several.get(place, [path])) for place, path in enumerate(paths)])
    return files, labels.repeat_interleave(counts)


def _pages(path: Path) -> list[ImageFile]:
    """The pages of a file that are images, a damaged one at its end included, which is named when it is decoded; the
    file itself if it cannot be opened at all."""
    pages: list[ImageFile] = []
    number = 0
    try:
        with Image.open(path) as image:
            while True:
                image.seek(number)
                if not getattr(image, "tag_v2", {}).get(SUBFILE, 0) & REDUCED_OR_MASK:
                    pages.append(Page(path, number))
                number += 1
    except EOFError:  # the end
        return pages or [path]
    except Exception:  # whatever Pillow's parser raises
        return [*pages, Page(path, number)] if pages else [path]
