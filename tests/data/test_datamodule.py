"""Splits, limits and checks of the datamodule."""

import pytest
import torch

from diabolo.data.datamodule import ImageData
from diabolo.data.digits import digit_images
from diabolo.data.images import MemoryImages, Splits
from diabolo.errors import UserError


def numbered(labels, test=None):
    """A source whose image i is filled with the number i (with 200 + i in its own test part, if any)."""

    def images(of, start):
        pixels = torch.arange(start, start + len(of), dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 1, 8, 8)
        return MemoryImages(pixels, torch.tensor(of))

    return lambda root, image_shape: Splits(images(labels, 0), images(test, 200) if test else None)


def opened(source, image_shape=(1, 8, 8), **arguments):
    data = ImageData(source, image_shape, num_workers=0, **arguments)
    data.setup()
    return data


def numbers(data):
    return {split: data.images(split)[:, 0, 0, 0].tolist() for split in ("train", "val", "test")}


TENS = [i % 10 for i in range(150)]


def test_digits_are_split_without_overlap_into_the_asked_fractions():
    data = opened(digit_images)
    counts = {split: data.count(split) for split in ("train", "val", "test")}
    assert counts == {"train": 1294, "val": 144, "test": 359}  # .2 of 1,797; .1 of the rest
    for split in counts:
        shares = torch.bincount(data.labels(split), minlength=10) / counts[split]
        everywhere = torch.bincount(torch.cat([data.labels(s) for s in counts]), minlength=10) / 1797
        assert (shares - everywhere).abs().max() < 0.01, "stratified by label"


def test_every_image_is_in_exactly_one_split():
    found = numbers(opened(numbered(TENS)))
    assert sorted(found["train"] + found["val"] + found["test"]) == list(range(150))


def test_the_splits_are_drawn_by_split_seed_and_not_by_the_training_seed():
    first = numbers(opened(numbered(TENS), seed=0))
    assert numbers(opened(numbered(TENS), seed=7)) == first
    other = numbers(opened(numbered(TENS), split_seed=1))
    assert all(other[split] != first[split] for split in first)


def test_the_training_seed_draws_the_order():
    def order(**seed):
        data = opened(numbered(TENS), **seed)
        return torch.cat([pixels[:, 0, 0, 0] for pixels, _ in data.train_dataloader()]).tolist()

    assert order(seed=1) == order(seed=1) != order(seed=2)
    assert sorted(order(seed=1)) == sorted(order(seed=2))


def test_a_test_part_of_its_own_stays_whole_and_apart():
    data = opened(numbered(TENS, test=TENS[:20]), val_fraction=0.2)
    assert numbers(data)["test"] == list(range(200, 220))
    assert (data.count("train"), data.count("val")) == (120, 30)


def test_by_first_the_limits_take_the_first_images_and_leave_the_test_split_alone():
    data = opened(numbered(TENS, test=TENS[:20]), limit=40, test_limit=5, val_fraction=0.25, limit_by="first")
    found = numbers(data)
    assert sorted(found["train"] + found["val"]) == list(range(40))
    assert len(found["val"]) == 10
    assert found["test"] == [200, 201, 202, 203, 204]
    assert numbers(opened(numbered(TENS), limit=40))["test"] == numbers(opened(numbered(TENS)))["test"]


SORTED = sorted(TENS)  # as the classes of a folder come


def test_a_limit_is_a_sample_of_all_classes_drawn_by_the_split_seed():
    def limited(**seeds):
        return opened(numbered(SORTED, test=SORTED[:60]), limit=40, test_limit=8, val_fraction=0.25, **seeds)

    data = limited()
    labels = torch.cat([data.labels("train"), data.labels("val")])
    assert torch.bincount(labels).tolist() == [4] * 10
    assert torch.bincount(data.labels("test")).tolist() == [2] * 4
    found = numbers(data)
    assert sorted(found["train"] + found["val"]) != list(range(40))
    assert all(images == sorted(images) for images in found.values()), "in their order"
    assert numbers(limited(seed=5)) == found
    other = numbers(limited(split_seed=1))
    assert other["test"] != found["test"]
    assert other["train"] != found["train"]


def test_the_limit_of_training_images_leaves_the_test_split_alone():
    assert numbers(opened(numbered(TENS), limit=40))["test"] == numbers(opened(numbered(TENS)))["test"]


def test_own_validation_images_are_used_and_limited_as_the_test_images():
    images = numbered(TENS, test=TENS[:20])(None, None)
    source = lambda root, image_shape: Splits(images.train, images.test, images.test, ("zero",), ("two lines",))  # noqa: E731
    data = opened(source, limit=30, test_limit=10)
    assert {split: data.count(split) for split in ("train", "val", "test")} == {"train": 30, "val": 10, "test": 10}
    assert torch.bincount(data.labels("val")).tolist() == [1] * 10
    assert (data.classes, data.said) == (("zero",), ("two lines",))
    assert opened(source, val_fraction=0).count("train") == 150
    assert opened(source, train_classes=[3, 4]).labels("val").unique().tolist() == [3, 4]


def test_classes_may_be_missing_from_own_validation_images():
    images = numbered([0, 1, 2, 2], test=[0, 1, 1])(None, None)
    data = opened(lambda **_: Splits(images.train, images.test, images.test), train_classes=[1, 2])
    assert data.labels("val").tolist() == [1, 1]


def test_a_limit_beyond_the_set_is_the_whole_set():
    assert numbers(opened(numbered(TENS), limit=10_000, test_limit=10_000)) == numbers(opened(numbered(TENS)))


def test_without_validation_all_training_images_are_trained_on():
    data = opened(numbered(TENS, test=TENS[:20]), val_fraction=0)
    assert numbers(data)["train"] == list(range(150))
    assert not data.has_val
    assert data.val_dataloader() == []


@pytest.mark.parametrize("labels", [list(range(100)), [0] * 99 + [1], [-1] * 100])
def test_labels_too_rare_to_stratify_by_are_split_all_the_same(labels):
    data = opened(numbered(labels))
    assert [data.count(split) for split in ("train", "val", "test")] == [72, 8, 20]


def test_parts_and_loaders_give_a_split_in_its_order():
    data = opened(numbered(TENS), eval_batch_size=16)
    for split, loader in (("val", data.val_dataloader()), ("test", data.test_dataloader())):
        expected = numbers(data)[split]
        assert torch.cat(list(data.parts(split)))[:, 0, 0, 0].tolist() == expected
        assert torch.cat([pixels for pixels, _ in loader])[:, 0, 0, 0].tolist() == expected
    assert [len(part) for part in data.parts("test")] == [16, 14]
    assert data.images("test", [3, 1])[:, 0, 0, 0].tolist() == [numbers(data)["test"][i] for i in (3, 1)]


def test_pixels_are_normalised_by_channel_and_back():
    scale = opened(numbered(TENS), (3, 8, 8), mean=[0.1, 0.2, 0.3], std=0.5).pixels
    images = torch.randint(0, 256, (2, 3, 8, 8), dtype=torch.uint8)
    network = scale.to_network(images)
    for channel, mean in enumerate((0.1, 0.2, 0.3)):
        assert torch.allclose(network[:, channel], (images[:, channel] / 255 - mean) / 0.5)
    assert torch.allclose(scale.to_unit(network), images / 255, atol=1e-6)


def test_large_images_are_measured_in_smaller_batches():
    assert ImageData(numbered(TENS), (1, 28, 28)).eval_batch_size == 512
    assert ImageData(numbered(TENS), (3, 256, 256)).eval_batch_size == (1 << 21) // (3 * 256 * 256)


def test_a_fraction_of_a_few_images_is_at_least_one():
    data = opened(numbered(TENS), limit=4, val_fraction=0.1)
    assert (data.count("train"), data.count("val")) == (3, 1)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"val_fraction": 1}, "`data.val_fraction` (= 1) must be a number of at least 0 and below 1."),
        ({"test_fraction": -0.1}, "`data.test_fraction` (= -0.1) must be"),
        ({"val_fraction": "half"}, "`data.val_fraction` (= 'half') must be"),
        ({"val_fraction": True}, "`data.val_fraction` (= True) must be"),
        ({"image_shape": [0, 8, 8]}, "`data.image_shape[0]` (= 0) must be a whole number of at least 1."),
        (
            {"image_shape": [5000, 8, 8]},
            "`data.image_shape` (= [5000, 8, 8]) must be [channels, height, width] with at",
        ),
        ({"depth": "uint32"}, "`data.depth` (= 'uint32') must be one of uint8, uint16, float32."),
        ({"value_range": [0]}, "`data.value_range` (= [0]) must be two numbers, those of black and of white, such as"),
        ({"value_range": "0-255"}, "`data.value_range` (= '0-255') must be two numbers"),
        ({"value_range": [0, True]}, "`data.value_range` (= [0, True]) must be two numbers"),
        ({"value_range": [3, 3]}, "`data.value_range` (= [3, 3]) must be two finite numbers, the larger one last."),
        ({"value_range": [0, float("inf")]}, "`data.value_range` (= [0, inf]) must be two finite numbers"),
        (
            {"shown_channels": [0, 1]},
            "`data.shown_channels` (= [0, 1]) must be one channel (grey) or three (red, green,",
        ),
        (
            {"shown_channels": [1]},
            "`data.shown_channels` (= [1]) must be one channel (grey) or three (red, green, blue), each from 0 to 0.",
        ),
        ({"image_shape": [1, 7, 8]}, "`data.image_shape` (= [1, 7, 8]) must be"),
        ({"image_shape": [8, 8]}, "`data.image_shape` (= [8, 8]) must be"),
        ({"image_shape": "28x28"}, "`data.image_shape` (= '28x28') must be a list of whole numbers"),
        ({"image_shape": [1, 8.5, 8]}, "`data.image_shape[1]` (= 8.5) must be a whole number"),
        ({"mean": [0.1, 0.2]}, "`data.mean` (= [0.1, 0.2]) must be one number or one for each of 1 channels."),
        ({"mean": "grey"}, "`data.mean` (= 'grey') must be a number"),
        ({"std": 0}, "`data.std` (= 0) must be above 0."),
        ({"batch_size": 0}, "`data.batch_size` (= 0) must be a whole number of at least 1."),
        ({"eval_batch_size": 1.5}, "`data.eval_batch_size` (= 1.5) must be"),
        ({"limit": 0}, "`data.limit` (= 0) must be"),
        ({"test_limit": "all"}, "`data.test_limit` (= 'all') must be"),
        ({"limit_by": "chance"}, "`data.limit_by` (= 'chance') must be one of sample, first."),
        ({"split_seed": "a"}, "`data.split_seed` (= 'a') must be a whole number of at least 0."),
        ({"num_workers": -1}, "`data.num_workers` (= -1) must be"),
        ({"test_fraction": 0}, "no test image is left after the splits: raise data.test_fraction."),
        ({"limit": 1}, "no validation image is left after the splits: raise data.val_fraction, or set it to 0"),
        ({"limit": 4, "val_fraction": 0.9}, "no training image is left after the splits: lower data.val_fraction"),
    ],
)
def test_values_that_cannot_work_are_named(arguments, sentence):
    with pytest.raises(UserError) as failed:
        ImageData(**{"source": numbered(TENS), "image_shape": (1, 8, 8), **arguments}).setup()
    assert sentence in str(failed.value)
    assert "\n" not in str(failed.value)
