"""Images in shards, for sets beyond the disk of one machine: read, and written, by the library LitData.

A shard is a file of some hundred images as they are in their own files. Of a set in a bucket, shards are downloaded
when they are needed and removed when there are too many. The order of an epoch (`ResumableSampler`) goes shard by
shard, and each process of several has shards of its own but for those at its ends.

A set is a folder, or the address of one: `train`, `val` and `test` are LitData's sets of pairs of bytes and label, and
`labels` is one of the labels of all images, an item a part, so that a split can be drawn without reading an image.
"""

from __future__ import annotations

import json
import logging
import os
import warnings
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from diabolo.data.arrays.files import reading as reading_file
from diabolo.data.arrays.names import LABELS
from diabolo.data.encoded import EncodedImages, open_encoded
from diabolo.data.extras import extra
from diabolo.data.files import FileImages, Reading
from diabolo.data.folders.folder import folder_images
from diabolo.data.images import ImageSet, Splits
from diabolo.data.pages import ImageFile, Page, opened
from diabolo.errors import ConfigError, UserError, check_int, printable

PARTS = ("train", "val", "test")
INDEX = "index.json"  # LitData's list of shards
SHARD_BYTES = 64 << 20


def shard_images(
    root: str,
    image_shape: Sequence[int],
    disk_limit: int | None = None,
    fit: str = "crop",
    unreadable: str = "refuse",
    memory_limit: int = 1 << 30,
    depth: str = "uint8",
    value_range: tuple[float, float] | None = None,
) -> Splits:
    """The images of a set of shards, as `write_shards` writes it, or of a set that LitData's `optimize` wrote.

    Of a set that `write_shards` did not write, the items are pairs of image and label, or mappings of which one value
    is an image and one is named as labels are; its labels are read once, image by image, at the start.

    Args:
        root: the folder of the set, or its address in a bucket, as s3://bucket/set.
        image_shape, fit, unreadable, memory_limit, depth, value_range: as in `Reading`. Larger sets are streamed.
        disk_limit: bytes that the downloaded shards of a set in a bucket may take on this disk; None for what LitData
            takes, three quarters of what is free.

    Raises:
        UserError: LitData is missing, no such set, one that cannot be read, or unreadable images that are refused.
    """
    reading = Reading(tuple(image_shape), fit, unreadable, memory_limit, depth, value_range)
    if disk_limit is not None:
        check_int("disk_limit", disk_limit)
    _litdata()
    base = root.rstrip("/") if _is_address(root) else os.path.abspath(os.path.expanduser(root))
    if not _is_address(root) and not os.path.isdir(base):
        raise ConfigError("data.root", root, "is not a folder; give one of shards")
    known, classes = _known_labels(base, disk_limit)
    places = [f"{base}/{part}" for part in known] or _places(base)
    images: dict[str, ImageSet] = {}
    said = []
    for place in places:
        part = place.rpartition("/")[2] if place != base else "train"
        shards = Shards(place, disk_limit)
        with reading_file(Path(place)):
            groups = shards.groups()
            labels = known[part] if part in known else shards.labels(len(groups))
        if len(labels) != len(groups):
            raise UserError(
                f"{printable(place)} has {len(groups):,} images and {len(labels):,} labels: its files do not belong"
                " together; write the shards again."
            )
        everything = torch.arange(len(groups))
        images[part] = open_encoded(EncodedImages(shards, labels, everything, reading, place, groups))
        said.append(f"{part}: {len(groups):,} images in {int(groups.max()) + 1:,} shards of {printable(place)}")
    if "train" not in images:
        raise UserError(f"there is no training set of shards in {printable(base)!r}.")
    return Splits(images["train"], images.get("test"), images.get("val"), classes, tuple(said))


class Shards:
    """Gives the images of one of LitData's sets by their rows, in whichever process.

    Args:
        place: the folder or address of the set.
        disk_limit: as in `shard_images`.
    """

    def __init__(self, place: str, disk_limit: int | None = None) -> None:
        self.place, self.disk_limit = place, disk_limit
        self._opened: tuple[int, Any] | None = None

    def __call__(self, row: int) -> Any:
        with reading_file(Path(self.place)):
            image = _image_of(self.items()[row])
            return bytes(image) if isinstance(image, memoryview) else image  # of a file that LitData may close

    def items(self) -> Any:
        """LitData's set, opened in this process."""
        if self._opened is None or self._opened[0] != os.getpid():  # its threads do not survive a fork
            # 0: one item decoded at a time. A slice makes LitData fetch whole shards from then on, not single items
            items = _litdata().StreamingDataset(
                self.place, str(_kept()), max_cache_size=self.disk_limit, batch_decode=0
            )
            items[0:1]
            self._opened = (os.getpid(), items)
        return self._opened[1]

    def groups(self) -> Tensor:
        """The shard of each image, N int64."""
        chunks = self.items().cache.get_chunk_intervals()
        sizes = torch.tensor([chunk.roi_end_idx - chunk.roi_start_idx for chunk in chunks])
        return torch.arange(len(sizes)).repeat_interleave(sizes)

    def labels(self, count: int) -> Tensor:
        """The label of each image, read from the shards, N int64."""
        if _is_address(self.place):
            return torch.full((count,), -1)
        return torch.tensor([_label_of(self.items()[row]) for row in range(count)])

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_opened": None}


def _litdata() -> Any:
    library = extra("litdata", "shards")
    logging.getLogger("litdata").setLevel(logging.WARNING)  # it tells of each set that it opens
    warnings.filterwarnings("ignore", "The given buffer is not writable")  # torch's, of the tensors that it maps
    return library


def _kept() -> Path:
    """Where shards of a bucket are put."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(os.environ.get("DIABOLO_CACHE") or os.path.join(cache, "diabolo"), "shards")


def _is_address(root: str) -> bool:
    return "://" in root or root.startswith("local:")


def _places(base: str) -> list[str]:
    """The sets in a folder that `write_shards` did not write."""
    if _is_address(base):
        return [base]
    there = [f"{base}/{part}" for part in PARTS if os.path.isfile(f"{base}/{part}/{INDEX}")]
    if not there and not os.path.isfile(f"{base}/{INDEX}"):
        raise UserError(f"there are no shards in {printable(base)!r}: neither it nor train/ in it has an {INDEX}.")
    return there or [base]


def _known_labels(base: str, disk_limit: int | None) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """The labels of each part and the names of the classes, where `write_shards` noted them."""
    place = f"{base}/labels"
    if not _is_address(base) and not os.path.isfile(f"{place}/{INDEX}"):
        return {}, ()
    try:
        items = Shards(place, disk_limit).items()
        noted = [items[row] for row in range(len(items))]
        heads = [json.loads(bytes(head)) for head, _ in noted]
        parts = {head["part"]: torch.from_numpy(np.array(own)) for head, (_, own) in zip(heads, noted, strict=True)}
        return parts, tuple(heads[0]["classes"])
    except Exception as failure:
        if _is_address(base):
            return {}, ()
        raise UserError(f"{printable(place)} cannot be read: {failure}; write the shards again.") from failure


def _image_of(item: Any) -> Any:
    if isinstance(item, Mapping):
        return next((value for value in item.values() if not isinstance(value, int | float | str | None)), None)
    return item[0] if isinstance(item, list | tuple) else item


def _label_of(item: Any) -> int:
    """The label of an item, -1 for one without."""
    value: Any = None
    if isinstance(item, Mapping):
        value = next((own for name, own in item.items() if str(name).lower() in LABELS), None)
    elif isinstance(item, list | tuple) and len(item) == 2:
        value = item[1]
    try:
        return -1 if value is None else int(value)
    except (TypeError, ValueError):
        return -1


def write_shards(root: str, out: str, seed: int = 0, shard_bytes: int = SHARD_BYTES) -> dict[str, int]:
    """Writes a folder of images, as `folder_images` reads it, as shards. Files are copied as they are.

    Args:
        root: the folder of images.
        out: the folder of the shards, which is new or empty. It can be copied into a bucket.
        seed: of the order in which the images are spread over the shards.
        shard_bytes: bytes of a shard.

    Returns:
        The number of images of each part.

    Raises:
        UserError: LitData is missing, no image in `root`, or something in `out`.
    """
    _litdata()
    target = Path(out).expanduser()
    if target.exists() and any(target.iterdir()):
        raise UserError(f"{printable(target)!r} is not empty: give a new folder for the shards.")
    splits = folder_images(root, (3, 8, 8), memory_limit=0, cache_limit=0)
    generator = torch.Generator().manual_seed(seed)
    counts = {}
    labels = _Writer(target / "labels", shard_bytes)
    for part in PARTS:
        images = getattr(splits, part)
        if images is None:
            continue
        if not isinstance(images, FileImages):
            raise UserError(f"{printable(root)!r} is not read from files of images.")
        order = torch.randperm(len(images), generator=generator)
        writer = _Writer(target / part, shard_bytes)
        for row in order.tolist():
            writer.add((_bytes(images.paths[row]), int(images.labels[row])))
        writer.close()
        head = json.dumps({"part": part, "classes": list(splits.classes)}).encode()
        labels.add((head, images.labels[order].numpy()))
        counts[part] = len(images)
    labels.close()
    return counts


class _Writer:
    """LitData's writer of one set. Its items are pairs: mappings it writes with pyarrow so that it cannot fetch one."""

    def __init__(self, folder: Path, shard_bytes: int) -> None:
        from litdata.streaming.writer import BinaryWriter

        folder.mkdir(parents=True)
        self.writer = BinaryWriter(str(folder), chunk_bytes=shard_bytes)
        self.count = 0

    def add(self, item: tuple[bytes, Any]) -> None:
        self.writer.add_item(self.count, item)
        self.count += 1

    def close(self) -> None:
        self.writer.done()
        self.writer.merge()


def _bytes(file: ImageFile) -> bytes:
    """A file as it is; a page of one as a file of its own."""
    if not isinstance(file, Page):
        return Path(file).read_bytes()
    written = BytesIO()
    with opened(file) as image:
        image.save(written, "TIFF")
    return written.getvalue()
