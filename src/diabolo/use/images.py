"""The images that a command is given: files, folders, arrays, or a split of the run's own data, batch by batch."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from diabolo.callbacks.pictures import SPLITS, images_at
from diabolo.data.arrays.arrays import array_images
from diabolo.data.arrays.files import ARRAYS
from diabolo.data.arrays.hdf5 import ENDINGS as HDF5
from diabolo.data.arrays.hdf5 import hdf5_images
from diabolo.data.images import ImageSet
from diabolo.errors import UserError, did_you_mean, printable
from diabolo.use.reading import Batch, ImageReader
from diabolo.use.trained import Trained

OWN = re.compile(rf"({'|'.join(SPLITS)}):(\d+)")  # an image of the run's own data


class Images(Protocol):
    """A set of images that is read batch by batch."""

    names: list[str]  # of all, a different one each; parts of a path are parted by /
    labels: list[str]  # the name of each one's class, "" for none

    def batches(self) -> Iterator[Batch]:
        """All that can be read, in order."""
        ...


def given_images(trained: Trained, places: Sequence[str], split: str | None = None, skip: bool = False) -> Images:
    """What a command line names: files and folders, or else a split.

    Args:
        places: files and folders, of which a folder stands for all images below it; or one file of arrays.
        split: "train", "val" or "test" of the run's own data.
        skip: whether files that cannot be read are named and left out, instead of refused.

    Raises:
        UserError: neither or both, a place that is not there or no image, or a split that is none.
    """
    if bool(places) == bool(split):
        raise UserError("name images or folders of images, or a split of the run's own data by --split test.")
    if split:
        return own_images(trained, split)
    arrays = [Path(place).expanduser() for place in places if Path(place).suffix.lower() in (*ARRAYS, *HDF5)]
    if not arrays:
        return ImageReader(trained.reading, places, skip)
    if len(places) > 1:
        raise UserError(f"{printable(arrays[0])!r} holds arrays: name it alone.")
    return arrays_in(trained, arrays[0])


def chosen_images(trained: Trained, places: Sequence[str]) -> Tensor:
    """Single images: files, or images of the run's own data by their place in a split, as test:5: N x C x H x W, as
    stored.

    Raises:
        UserError: there is no such image, or it cannot be read.
    """
    images: dict[str, Tensor] = {}
    files: list[str] = []
    for place in dict.fromkeys(places):
        if (own := OWN.fullmatch(place)) and not Path(place).exists():
            images[place] = images_at(trained.images(), own[1], [int(own[2])], place)
        elif Path(place).is_dir():
            raise UserError(f"{printable(place)!r} is a folder: name one image, or one of the run's own, as test:5.")
        else:
            files.append(place)
    if files:
        read = ImageReader(trained.reading, files, skip=False)
        if len(read.names) != len(files):
            raise UserError("name single images: a file of several pages, or a file under two names, is not one.")
        every = torch.cat([batch.images for batch in read.batches()])
        images |= {place: image[None] for place, image in zip(files, every, strict=True)}
    return torch.cat([images[place] for place in places])


class StoredImages:
    """Images of a data source, of one part or of several one after the other."""

    def __init__(self, parts: Mapping[str, ImageSet], classes: Sequence[str], batch_size: int) -> None:
        self.parts, self.batch_size = parts, batch_size
        known = dict(enumerate(classes))
        labels = [(name, label) for name, images in parts.items() for label in enumerate(images.labels.tolist())]
        digits = len(str(max(map(len, parts.values()))))
        self.names = [f"{name}_{place:0{digits}}" for name, (place, _) in labels]
        self.labels = ["" if label < 0 else known.get(label, str(label)) for _, (_, label) in labels]

    def batches(self) -> Iterator[Batch]:
        first = 0
        for images in self.parts.values():
            for places in torch.arange(len(images)).split(self.batch_size):
                yield Batch((places + first).tolist(), images.take(places))
            first += len(images)


def own_images(trained: Trained, split: str) -> StoredImages:
    """A split of the run's own data.

    Raises:
        UserError: there is no such split, or the data are gone.
    """
    if split not in SPLITS:
        raise UserError(f"--split (= {split!r}) must be one of {', '.join(SPLITS)}{did_you_mean(split, SPLITS)}.")
    data = trained.images()
    return StoredImages({split: data.splits[split]}, data.classes, data.eval_batch_size)


def arrays_in(trained: Trained, file: Path) -> StoredImages:
    """The images in a file of arrays, found as `data=arrays` and `data=hdf5` find them and fitted as the run's own.

    Raises:
        UserError: it cannot be read, or it is not clear which array holds the images.
    """
    source = array_images if file.suffix.lower() in ARRAYS else hdf5_images
    how = trained.reading
    own = {name: trained.config.data.source.get(name) for name in ("images", "labels", "axes")}
    named = own if trained.config.data.source._target_.endswith("." + source.__name__) else {}
    found = source(str(file), how.image_shape, fit=how.fit, memory_limit=0, depth=how.depth,
                   value_range=how.value_range, **named)  # fmt: skip
    parts = {"train": found.train, "val": found.val, "test": found.test}
    there = {name: images for name, images in parts.items() if images is not None}
    if len(there) == 1:
        there = {file.stem: found.train}
    return StoredImages(there, found.classes, trained.data.eval_batch_size)
