"""What the files of images are: their sizes, kinds of pixels and formats, and which cannot be read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from diabolo.data.decoding import BROKEN, MOST_PIXELS


@dataclass
class Survey:
    """What was found, counted."""

    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)  # (width, height)
    modes: Counter[str] = field(default_factory=Counter)  # Pillow's, such as RGB and L
    formats: Counter[str] = field(default_factory=Counter)
    several: int = 0  # images of several frames or pages
    unreadable: dict[Path, str] = field(default_factory=dict)  # and why

    def add(self, path: Path, found: _Found | str) -> None:
        """Counts one image, or notes why it cannot be read."""
        if isinstance(found, str):
            self.unreadable[path] = found
            return
        self.sizes[found.size] += 1
        self.modes[found.mode] += 1
        self.formats[found.format] += 1
        self.several += found.frames > 1


@dataclass(frozen=True)
class _Found:
    size: tuple[int, int]
    mode: str
    format: str
    frames: int


def look(paths: Sequence[Path]) -> Iterator[tuple[Path, _Found | str]]:
    """Reads each image whole, several at a time: what it is, or why it cannot be read."""
    with ThreadPoolExecutor() as pool:
        yield from zip(paths, pool.map(_look, paths), strict=True)


def _look(path: Path) -> _Found | str:
    try:
        with Image.open(path) as image:
            if image.width * image.height > MOST_PIXELS:
                return f"it has {image.width:,}x{image.height:,} pixels, more than the {MOST_PIXELS:,} that are read"
            frames = getattr(image, "n_frames", 1)
            image.load()
            return _Found(image.size, image.mode, image.format or "?", frames)
    except UnidentifiedImageError:
        return "not an image"
    except BROKEN as failure:
        return str(failure)
