"""Folders of small photographs, and what the cache makes of them."""

import logging
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from diabolo.data.cache.store import cache_folder
from diabolo.data.decoding import try_decode
from diabolo.data.files import FileImages
from diabolo.data.folders.folder import folder_images

SHAPE = (3, 8, 8)
ROW = 3 * 8 * 8
GIB = 1 << 30


def fill(folder: Path, count: int, size=(10, 12), first: int = 0) -> Path:
    """Writes PNGs of random pixels, in two classes."""
    for i in range(first, first + count):
        path = folder / f"class{i % 2}" / f"{i:03}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(i).integers(0, 256, (*size, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
    return folder


def opened(folder: Path, limit: int = GIB, memory: int = 0, shape=SHAPE, **more):
    return folder_images(str(folder), shape, memory_limit=memory, cache_limit=limit, **more).train


def pixels(images) -> torch.Tensor:
    return images.take(range(len(images)))


def plain(folder: Path, shape=SHAPE, **more) -> torch.Tensor:
    """The pixels decoded into memory, without a cache."""
    return pixels(opened(folder, limit=0, memory=GIB, shape=shape, **more))


def plain_of(folder: Path) -> torch.Tensor:
    return torch.stack([try_decode(path, SHAPE, "crop") for path in sorted(folder.rglob("*.png"))])


def wait_for(condition, seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


def progress_lines() -> int:
    return sum(len(path.read_text().splitlines()) for path in cache_folder().glob("*.draft/progress.jsonl"))


def refused(photos: Path, caplog, **more) -> str:
    """The warning with which the photos are decoded batch by batch."""
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        images = opened(photos, **more)
    assert isinstance(images, FileImages)
    assert torch.equal(pixels(images), plain(photos))
    (record,) = caplog.records
    return record.message
