"""ResumableSampler, completeness and continuation of batches, in memory and streamed."""

import pytest
import torch

from diabolo.data.batches import MappedBatches, MemoryBatches, ResumableSampler, StreamedBatches
from diabolo.data.images import MappedImages, MemoryImages

CPU = torch.device("cpu")
COUNT = 23
IMAGES = MemoryImages(torch.arange(COUNT, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 1, 8, 8), torch.arange(COUNT))


def in_memory(order, block=1):
    return MemoryBatches(IMAGES, order, CPU, block)


def streamed(order):
    return StreamedBatches(IMAGES, order, workers=0, pin_memory=False)


def mapped(order, block=1):
    rows = torch.arange(COUNT - 1, -1, -1)
    return MappedBatches(MappedImages(IMAGES.pixels.flip(0), IMAGES.labels, rows), order, block)


def drawn(source):
    """The labels of each batch, after a look that pixels and labels belong together."""
    seen = []
    for pixels, labels in source:
        assert pixels[:, 0, 0, 0].tolist() == labels.tolist()
        seen.append(labels.tolist())
    return seen


def flat(lists):
    return [x for one in lists for x in one]


each_kind = pytest.mark.parametrize("kind", [in_memory, mapped, streamed])


@each_kind
def test_an_epoch_shows_every_image_once_in_full_batches(kind):
    seen = drawn(kind(ResumableSampler(COUNT, 5, shuffle=True)))
    assert [len(batch) for batch in seen] == [5, 5, 5, 5, 3]
    assert sorted(flat(seen)) == list(range(COUNT))
    assert flat(seen) != list(range(COUNT))
    assert flat(drawn(kind(ResumableSampler(COUNT, 5, shuffle=False)))) == list(range(COUNT))


@each_kind
def test_the_order_is_drawn_by_seed_and_epoch_alone(kind):
    def epochs(seed):
        source, seen = kind(ResumableSampler(COUNT, 5, shuffle=True, seed=seed)), []
        for epoch in range(3):
            source.order.set_epoch(epoch)
            seen.append(flat(drawn(source)))
        return seen

    first = epochs(0)
    torch.rand(7)  # the global generator has no say
    assert epochs(0) == first
    assert len({tuple(order) for seed in (0, 1, 2) for order in epochs(seed)}) == 9


def test_streamed_batches_are_those_in_memory():
    for shuffle in (True, False):
        order = ResumableSampler(COUNT, 4, shuffle, seed=3)
        assert drawn(streamed(order)) == drawn(in_memory(ResumableSampler(COUNT, 4, shuffle, seed=3)))


@pytest.mark.parametrize("kind", [in_memory, mapped])
@pytest.mark.parametrize("block", [1, 2, 3, 9])
def test_a_block_holds_the_batches_that_come_one_after_the_other(kind, block):
    order = ResumableSampler(COUNT, 4, shuffle=True)
    expected = drawn(in_memory(ResumableSampler(COUNT, 4, shuffle=True)))
    blocks = kind(order, block)
    assert len(blocks) == -(-len(expected) // block)
    parts = [expected[i : i + block] for i in range(0, len(expected), block)]
    for seen, part in zip(iter(blocks), parts, strict=True):
        assert flat([seen[1].tolist()]) == flat(part)
    assert order.done == len(order)


@each_kind
@pytest.mark.parametrize("stop", [0, 1, 3, 5])
def test_a_continued_epoch_goes_on_with_the_next_batch(kind, stop):
    def fresh():
        source = kind(ResumableSampler(COUNT, 5, shuffle=True, seed=1))
        source.order.set_epoch(2)
        return source

    whole, stopped = drawn(fresh()), fresh()
    batches_ = iter(stopped)
    for _ in range(stop):
        next(batches_)
    continued = fresh()
    continued.load_state_dict(stopped.state_dict())
    rest = whole[stop:] or whole  # after the last batch comes a new epoch
    assert drawn(continued) == rest
    assert drawn(continued) == whole


@pytest.mark.parametrize("world", [2, 3, 4])
def test_processes_share_a_shuffled_epoch_in_equal_parts(world):
    parts = [flat(drawn(in_memory(ResumableSampler(COUNT, 5, True, 0, rank, world)))) for rank in range(world)]
    assert {len(part) for part in parts} == {-(-COUNT // world)}
    assert set(flat(parts)) == set(range(COUNT))
    assert all(len(set(part)) == len(part) for part in parts)


@pytest.mark.parametrize("world", [2, 3, 4])
def test_processes_measure_each_image_exactly_once(world):
    parts = [drawn(in_memory(ResumableSampler(COUNT, 5, False, 0, rank, world))) for rank in range(world)]
    assert sorted(flat(flat(parts))) == list(range(COUNT))


def test_the_length_is_the_number_of_batches():
    for count in (1, 4, 5, 6, 23):
        for world in (1, 2):
            order = ResumableSampler(count, 5, True, 0, 0, world)
            assert len(order) == len(list(order))
