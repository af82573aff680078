"""The datamodule: splits, limits and batches of any source of images."""

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from inspect import Parameter, signature
from math import prod
from typing import Any

import torch
from lightning import LightningDataModule
from sklearn.model_selection import train_test_split
from torch import Tensor

from diabolo.data.batches import Batches, MappedBatches, MemoryBatches, ResumableSampler, StreamedBatches
from diabolo.data.encoded import EncodedImages
from diabolo.data.images import ImageSet, MappedImages, MemoryImages, Source, Splits
from diabolo.data.pixels import TYPES, PixelScale, to_depth
from diabolo.data.shape import DEPTHS, check_image_shape, check_shown_channels, check_value_range, shown_by_default
from diabolo.data.subsets import sampled
from diabolo.errors import ConfigError, UserError, check_choice, check_int

LARGEST_SEED = 2**32 - 1  # NumPy's
BLOCK_NUMBERS = 1 << 22  # pixel values of a block of training batches: enough to hide what a block costs
BLOCK_BATCHES = 64  # the most batches of a block
LIMITED_BY = ("sample", "first")
EVAL_NUMBERS = 1 << 21  # pixel values of a batch of validation and test, so that large images take no gigabytes


class ImageData(LightningDataModule):
    """Training, validation and test images, loaded once. First the test split is drawn, then classes are left out and
    the limits applied, then the validation split is drawn.

    Args:
        source: called with `root` and `image_shape`, and with `depth` and `value_range` where it takes them; gives the
            training images, and the test images of a set that has its own.
        image_shape: (channels, height, width); sides of 8 or more.
        root: the folder in which the source looks, or null.
        depth: how pixels are stored: "uint8", "uint16" or "float32". The network sees [0, 1] in any case.
        value_range: the numbers in the files that are black and white, such as [0, 4095]; null for the whole range of
            the files' type, and [0, 1] of floats. Values outside are refused.
        shown_channels: one channel that pictures show in grey, or three as red, green and blue; null for the first
            three, of images with fewer for the first.
        mean, std: what pixels in [0, 1] are normalised by: one number, one number a channel, or null.
        batch_size: images a step.
        val_fraction: the share of the training images that is set aside for validation, unless the source has
            validation images of its own; 0 for none.
        test_fraction: the share of all images that is set aside for the test, if the set has no test images of its own.
        limit: use only so many training images, of which validation takes its part.
        test_limit: use only so many test images, and so many of a source's own validation images.
        limit_by: which so many: "sample" draws them by `split_seed`, stratified by label where there are labels;
            "first" takes the first ones.
        train_classes: train and validate only on images of these labels, e.g. [3]; the test keeps all; null for all.
        exclude_classes: train and validate without images of these labels; null for none.
        split_seed: draws the splits, stratified by label where there are labels. It is not the seed of the training, so
            that runs with different seeds are measured on the same images.
        seed: draws the order of the training images in each epoch.
        eval_batch_size: images a step in validation and test; null for up to 512, fewer of large images.
        num_workers: processes that decode images which do not fit in memory; null for one a core, up to 8.
        block: training batches that the Trainer gets at once, each with an optimiser step of its own; null for up to
            64, fewer of large images. It changes no result; a run can be stopped, and shows progress, between blocks.

    Raises:
        UserError: a value that cannot work (`ConfigError`); in `setup`, a source that refuses, or no image left in a
            split.
    """

    def __init__(
        self,
        source: Source,
        image_shape: Sequence[int],
        root: str | None = None,
        mean: float | Sequence[float] | None = None,
        std: float | Sequence[float] | None = None,
        batch_size: int = 64,
        val_fraction: float = 0.1,
        test_fraction: float = 0.2,
        limit: int | None = None,
        test_limit: int | None = None,
        split_seed: int = 0,
        seed: int = 0,
        eval_batch_size: int | None = None,
        num_workers: int | None = None,
        block: int | None = None,
        train_classes: Sequence[int] | None = None,
        exclude_classes: Sequence[int] | None = None,
        depth: str = "uint8",
        value_range: Sequence[float] | None = None,
        shown_channels: Sequence[int] | None = None,
        limit_by: str = "sample",
    ) -> None:
        super().__init__()
        self.image_shape = check_image_shape(image_shape)
        self.depth = check_choice("data.depth", depth, DEPTHS)
        self.value_range = check_value_range("data.value_range", value_range)
        channels = self.image_shape[0]
        shown = check_shown_channels("data.shown_channels", shown_channels, channels)
        self.shown_channels = tuple(shown or shown_by_default(channels))
        self.pixels = PixelScale(mean, std, self.image_shape[0])
        self.source, self.root = source, root
        self.batch_size = check_int("data.batch_size", batch_size)
        fitting = max(1, min(512, EVAL_NUMBERS // prod(self.image_shape)))
        self.eval_batch_size = (
            fitting if eval_batch_size is None else check_int("data.eval_batch_size", eval_batch_size)
        )
        fitting = max(1, min(BLOCK_BATCHES, BLOCK_NUMBERS // (self.batch_size * prod(self.image_shape))))
        self.block = fitting if block is None else check_int("data.block", block)
        self.val_fraction = _fraction("val_fraction", val_fraction)
        self.test_fraction = _fraction("test_fraction", test_fraction)
        self.limit = limit if limit is None else check_int("data.limit", limit)
        self.test_limit = test_limit if test_limit is None else check_int("data.test_limit", test_limit)
        self.limit_by = check_choice("data.limit_by", limit_by, LIMITED_BY)
        self.split_seed, self.seed = check_int("data.split_seed", split_seed, 0, LARGEST_SEED), seed
        self.num_workers = (
            min(8, os.cpu_count() or 1) if num_workers is None else check_int("data.num_workers", num_workers, 0)
        )
        self.train_classes = _classes("train_classes", train_classes)
        self.exclude_classes = _classes("exclude_classes", exclude_classes)
        self.splits: dict[str, ImageSet] = {}
        self.classes: tuple[str, ...] = ()  # the name of each label, where the source knows names
        self.said: tuple[str, ...] = ()  # what the source understood, in a few lines

    def setup(self, stage: str | None = None) -> None:
        if self.splits:
            return
        given = self._given()
        train, test = (given.train, given.test) if given.test else self._split(given.train, self.test_fraction)
        self._check_classes(train)
        train, test = self._limited(self._classed(train), self.limit), self._limited(test, self.test_limit)
        if given.val is None or not self.has_val:
            train, val = self._split(train, self.val_fraction)
        else:
            val = self._limited(self._classed(given.val), self.test_limit)
        for split, images, advice in (
            ("training", train, "lower data.val_fraction or data.test_fraction"),
            ("test", test, "raise data.test_fraction"),
            ("validation", val if self.has_val else train, "raise data.val_fraction, or set it to 0 to go without"),
        ):
            if not len(images):
                raise UserError(f"no {split} image is left after the splits: {advice}.")
        self.splits = {"train": train, "val": val, "test": test}
        self.classes, self.said = given.classes, given.said

    @property
    def has_val(self) -> bool:
        """Whether a validation split is set aside."""
        return self.val_fraction > 0

    def images(self, split: str, indices: Tensor | Sequence[int] | None = None) -> Tensor:
        """The images of a split ("train", "val" or "test"), or those at `indices`: N x C x H x W, as stored;
        `diabolo.data.pixels.unit_interval` brings them to [0, 1]."""
        chosen = self.splits[split]
        return chosen.take(torch.arange(len(chosen)) if indices is None else indices)

    def parts(self, split: str) -> Iterator[Tensor]:
        """The images of a split in parts of `eval_batch_size`: N x C x H x W, as stored."""
        for indices in torch.arange(self.count(split)).split(self.eval_batch_size):
            yield self.images(split, indices)

    def shown(self, images: Tensor) -> Tensor:
        """What pictures show of images: (N x) C x H x W to (N x) 1 x H x W, grey, or (N x) 3 x H x W, colour."""
        if self.shown_channels == tuple(range(images.shape[-3])):
            return images
        return images[..., list(self.shown_channels), :, :]

    def labels(self, split: str) -> Tensor:
        """The labels of a split, N int64, -1 where there is none."""
        return self.splits[split].labels

    def count(self, split: str) -> int:
        """The number of images of a split."""
        return len(self.splits[split])

    def train_dataloader(self) -> Batches:
        return self._batches("train", self.batch_size, shuffle=True, block=self.block)

    def val_dataloader(self) -> Batches | list[Any]:
        return self._batches("val", self.eval_batch_size, shuffle=False) if self.has_val else []

    def test_dataloader(self) -> Batches:
        return self._batches("test", self.eval_batch_size, shuffle=False)

    def _batches(self, split: str, batch_size: int, shuffle: bool, block: int = 1) -> Batches:
        images = self.splits[split]
        rank, world = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        groups = images.groups if isinstance(images, EncodedImages) else None
        order = ResumableSampler(len(images), batch_size, shuffle, self.seed, rank, world, groups)
        if not order.images:
            raise UserError(
                f"the {split} split has {len(images)} images, fewer than the {world} processes of `trainer.devices`:"
                " take fewer devices or more images."
            )
        device = self.trainer.strategy.root_device if self.trainer else torch.device("cpu")
        if isinstance(images, MemoryImages):
            return MemoryBatches(images, order, device, block)
        if isinstance(images, MappedImages):
            return MappedBatches(images, order, block)
        return StreamedBatches(images, order, self.num_workers, pin_memory=device.type == "cuda")

    def _given(self) -> Splits:
        """What the source gives, at this depth."""
        try:
            takes: Mapping[str, Parameter] = signature(self.source).parameters
        except (TypeError, ValueError):  # a function that does not say
            takes = {}
        asked = {"depth": self.depth, "value_range": self.value_range}
        more = {name: value for name, value in asked.items() if name in takes}
        try:
            given = Splits(*self.source(root=self.root, image_shape=self.image_shape, **more))
        except TypeError as failure:
            raise UserError(f"data.source: {failure}.") from failure
        for images in given[:3]:
            if not isinstance(images, ImageSet | None):
                raise UserError(f"data.source: {type(images).__name__} is given where images are asked for.")
        test, val = (images if images is None else self._at_depth(images, more) for images in (given.test, given.val))
        return given._replace(train=self._at_depth(given.train, more), test=test, val=val)

    def _at_depth(self, images: ImageSet, told: Collection[str]) -> ImageSet:
        """The images of a source that was told no more than `told`, as they are to be stored."""
        untold = self.value_range is not None and "value_range" not in told
        if isinstance(images, MemoryImages) and (untold or images.pixels.dtype != TYPES[self.depth]):
            declared = self.value_range if untold else None
            return MemoryImages(to_depth(images.pixels, self.depth, declared, "`data.source`"), images.labels)
        if untold:
            raise ConfigError("data.value_range", self.value_range, "is not for this data.source, which takes none")
        return images

    def _check_classes(self, images: ImageSet) -> None:
        """Refuses `train_classes` and `exclude_classes` that no training image has, or that leave none."""
        there = set(images.labels.unique().tolist()) - {-1}
        for name, classes in (("train_classes", self.train_classes), ("exclude_classes", self.exclude_classes)):
            if classes is None:
                continue
            if strange := sorted(set(classes) - there):
                known = f"they are {', '.join(map(str, sorted(there)))}" if there else "they have no labels"
                raise ConfigError(
                    f"data.{name}", classes, f"names {strange[0]}, but no training image has that label: {known}"
                )
            images = _only(images, classes, name == "train_classes")
            if not len(images):
                raise ConfigError(f"data.{name}", classes, "leaves no training image: keep at least one class")

    def _classed(self, images: ImageSet) -> ImageSet:
        """The images of the classes that are trained on."""
        for classes, kept in ((self.train_classes, True), (self.exclude_classes, False)):
            if classes is not None:
                images = _only(images, classes, kept)
        return images

    def _limited(self, images: ImageSet, limit: int | None) -> ImageSet:
        if limit is None or limit >= len(images):
            return images
        if self.limit_by == "first":
            return images.subset(torch.arange(limit))
        return images.subset(sampled(images.labels, limit, self.split_seed))

    def _split(self, images: ImageSet, fraction: float) -> tuple[ImageSet, ImageSet]:
        """The images without the drawn fraction, and the fraction: at least one image of two or more."""
        aside = max(round(len(images) * fraction), 1) if fraction and len(images) > 1 else 0
        everything = torch.arange(len(images))
        if aside in (0, len(images)):
            nothing = images.subset(everything[:0])
            return (nothing, images) if aside else (images, nothing)
        labels = images.labels.numpy()
        counts = torch.unique(images.labels, return_counts=True)[1]
        stratify = labels if int(counts.min()) > 1 and len(counts) <= min(aside, len(images) - aside) else None
        keep, away = train_test_split(
            everything.numpy(), test_size=aside, random_state=self.split_seed, stratify=stratify
        )
        return images.subset(torch.from_numpy(keep).sort().values), images.subset(torch.from_numpy(away).sort().values)


def _only(images: ImageSet, classes: Sequence[int], kept: bool) -> ImageSet:
    """The images of these labels, or those of all others."""
    named = torch.isin(images.labels, torch.tensor(classes))
    return images.subset((named == kept).nonzero().flatten())


def _fraction(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
        raise ConfigError(f"data.{name}", value, "must be a number of at least 0 and below 1")
    return float(value)


def _classes(name: str, value: Any) -> list[int] | None:
    if value is None:
        return None
    if isinstance(value, str) or not hasattr(value, "__iter__") or not len(value):
        raise ConfigError(f"data.{name}", value, "must be a list of labels, such as [3] or [0,1], or null")
    return [check_int(f"data.{name}[{i}]", label, 0) for i, label in enumerate(value)]
