"""Cutting a set of images into batches: from memory on the training device, or streamed by workers.

Both kinds of batches are Lightning's data loaders in all but name. From memory they come in blocks of several batches,
because handing one to the Trainer costs as much as a step of a small network. They are deterministic in (seed, epoch)
and know where they stand, so that a run stopped within an epoch goes on with the batch it would have seen next.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, default_collate

from diabolo.data.images import ImageSet, MemoryImages
from diabolo.errors import UserError


class ResumableSampler:
    """The order of `count` images in each epoch, cut into batches; one of `world` processes takes every world-th image.

    Shuffled orders give every process the same number of images, repeating a few from the front; unshuffled ones give
    each image to one process exactly, so that sums over processes are exact.
    """

    def __init__(
        self, count: int, batch_size: int, shuffle: bool, seed: int = 0, rank: int = 0, world: int = 1
    ) -> None:
        self.count, self.batch_size, self.shuffle = count, batch_size, shuffle
        self.seed, self.rank, self.world = seed, rank, world
        self.epoch = 0
        self.done = 0  # batches of this epoch that have been handed out
        self.images = len(self._mine(torch.arange(count)))

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return -(-self.images // self.batch_size)

    def indices(self) -> Tensor:
        """This process's images in the order of the current epoch."""
        if not self.shuffle:
            return self._mine(torch.arange(self.count))
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        return self._mine(torch.randperm(self.count, generator=generator))

    def __iter__(self) -> Iterator[list[int]]:
        """The rest of the epoch's batches, as lists of indices."""
        for batch in self.indices().split(self.batch_size)[self.done :]:
            yield batch.tolist()

    def _mine(self, order: Tensor) -> Tensor:
        if self.shuffle and self.count % self.world:
            order = torch.cat([order, order[: self.world - self.count % self.world]])
        return order[self.rank :: self.world]


@runtime_checkable
class Resumable(Protocol):
    """A loader that knows where it stands: an epoch that was stopped goes on with the batch that comes next."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


class Batches:
    """What both kinds share. Lightning asks for the length and the state; `Learner` sets the epoch of the order."""

    def __init__(self, images: ImageSet, order: ResumableSampler, block: int = 1) -> None:
        self.images = images
        self.order = order
        self.block = block

    def __len__(self) -> int:
        return -(-len(self.order) // self.block)

    @property
    def smallest(self) -> int:
        """Images in the smallest batch of an epoch."""
        return self.order.images % self.order.batch_size or self.order.batch_size

    def state_dict(self) -> dict[str, Any]:
        return {"done": self.order.done}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.order.done = state["done"]

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        if self.order.done >= len(self.order):  # Lightning takes the last batch and does not ask for one more
            self.order.done = 0
        for block in self._rest():
            self.order.done += -(-len(block[0]) // self.order.batch_size)
            yield block

    def _rest(self) -> Iterator[tuple[Tensor, Tensor]]:
        raise NotImplementedError


class MemoryBatches(Batches):
    """Blocks of `block` batches of images that lie on `device` as bytes, gathered there without a line of Python per
    image."""

    def __init__(self, images: MemoryImages, order: ResumableSampler, device: torch.device, block: int = 1) -> None:
        super().__init__(images, order, block)
        self.pixels = images.pixels.to(device)
        self.labels = images.labels.to(device)

    def _rest(self) -> Iterator[tuple[Tensor, Tensor]]:
        size = self.order.batch_size
        rest = self.order.indices()[self.order.done * size :].to(self.pixels.device)
        for chunk in rest.split(size * self.block):
            yield self.pixels.index_select(0, chunk), self.labels.index_select(0, chunk)  # 8 times as fast as [chunk]


class StreamedBatches(Batches):
    """Batches decoded by `workers` processes of a DataLoader while the training goes on."""

    def __init__(self, images: ImageSet, order: ResumableSampler, workers: int, pin_memory: bool) -> None:
        super().__init__(images, order)
        self.loader: DataLoader = DataLoader(
            _Labelled(images),
            batch_sampler=order,
            collate_fn=_collate,
            num_workers=workers,
            pin_memory=pin_memory,
            persistent_workers=workers > 0,
            prefetch_factor=4 if workers else None,
        )

    def _rest(self) -> Iterator[tuple[Tensor, Tensor]]:
        for batch in self.loader:
            if isinstance(batch, str):
                raise UserError(batch)
            yield batch


class _Labelled(Dataset):
    """Pairs of image and label."""

    def __init__(self, images: ImageSet) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self.images[index], self.images.labels[index]

    def __getitems__(self, indices: Sequence[int]) -> list[tuple[Tensor, Tensor]] | str:
        try:
            return [self[index] for index in indices]
        except UserError as error:  # its sentence alone: what a worker raises arrives wrapped in a traceback
            return str(error)


def _collate(pairs: list[tuple[Tensor, Tensor]] | str) -> Any:
    return pairs if isinstance(pairs, str) else default_collate(pairs)
