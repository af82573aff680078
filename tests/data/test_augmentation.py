"""Augmentations against plain NumPy and torchvision: what they do to pixels, an image at a time."""

from collections import Counter
from math import log

import numpy as np
import pytest
import torch
import torchvision.transforms.v2.functional as vision
from scipy import stats

from diabolo.data.augmentation import Augmentation, Crop, Flip, Photometric, Rotate, Shift
from diabolo.data.chance import seen_in
from diabolo.errors import ConfigError, UserError

ALL = {"flip": Flip(0.5, 0.5), "shift": Shift(3), "crop": Crop(), "rotate": Rotate(20), "photometric": Photometric()}
WORD = 2**64


class Given:
    """Numbers from a list, for each image the same count."""

    def __init__(self, *numbers: list[float]) -> None:
        self.numbers = torch.tensor(numbers)

    def uniform(self, *shape: int) -> torch.Tensor:
        return self.numbers.view(-1, *shape)


def images(count=8, shape=(3, 10, 12), seed=0) -> torch.Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, *shape), generator=draw, dtype=torch.uint8)


def unit(count=8, shape=(3, 10, 12), seed=0) -> torch.Tensor:
    return images(count, shape, seed).float() / 255


def smooth(count: int, height: int, width: int) -> torch.Tensor:
    """Images whose values between pixels do not hang on rounding."""
    return torch.nn.functional.interpolate(unit(count, (3, 4, 4)), (height, width), mode="bilinear")


def part_of(value: float, low: float, high: float) -> float:
    return (value - low) / (high - low)


def test_flip_mirrors_those_whose_number_is_below_the_probability():
    given = unit(4).numpy()
    flipped = Flip(0.5, 0.3)(torch.from_numpy(given), Given([0.4, 0.9], [0.6, 0.2], [0.1, 0.1], [0.51, 0.31])).numpy()
    assert np.array_equal(flipped[0], given[0, :, :, ::-1])
    assert np.array_equal(flipped[1], given[1, :, ::-1])
    assert np.array_equal(flipped[2], given[2, :, ::-1, ::-1])
    assert np.array_equal(flipped[3], given[3])


@pytest.mark.parametrize(("padding", "mode"), [("border", "edge"), ("reflection", "symmetric"), ("zeros", "constant")])
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 17, 14), (2, 37, 45)])
def test_shift_moves_by_whole_pixels_and_keeps_their_values(padding, mode, shape):
    moves = [(right, down) for right in range(-3, 4) for down in range(-3, 4)]
    given = unit(len(moves), shape)
    numbers = [[(right + 3.5) / 7, (down + 3.5) / 7] for right, down in moves]
    shifted = Shift(3, padding)(given, Given(*numbers)).numpy()
    height, width = shape[1:]
    for before, after, (right, down) in zip(given.numpy(), shifted, moves, strict=True):
        padded = np.pad(before, ((0, 0), (3, 3), (3, 3)), mode=mode)
        assert np.array_equal(after, padded[:, 3 - down : 3 - down + height, 3 - right : 3 - right + width])


def test_crop_enlarges_the_drawn_box():
    """A box of whole pixels against torchvision's; its outermost half pixel also sees what lies beyond it."""
    given, boxes = smooth(3, 20, 40), [(0, 0, 10, 20), (5, 8, 15, 30), (4, 20, 10, 16)]  # top, left, height, width
    numbers = []
    for top, left, height, width in boxes:
        area, ratio = height * width / 800, (width / 40) / (height / 20)
        places = [left / (40 - width), top / (20 - height)]
        numbers.append([part_of(area, 0.1, 1), part_of(log(ratio), log(0.5), log(2)), *places])
    cropped = Crop((0.1, 1), (0.5, 2))(given, Given(*numbers))
    for before, after, box in zip(given, cropped, boxes, strict=True):
        wanted = vision.resized_crop(before, *box, [20, 40], antialias=False)
        assert (after - wanted)[:, 2:-2, 2:-2].abs().max() < 1e-4
        assert (after - wanted).abs().max() < 0.1


def test_no_side_of_a_crop_is_longer_than_the_image():
    given = smooth(2, 16, 16)
    numbers = [[1.0, 0.0, 0.3, 0.9], [1.0, 1.0, 0.3, 0.9]]  # all of the area, twice as high as wide and the reverse
    high, wide = Crop((0.1, 1), (0.5, 2))(given, Given(*numbers))
    assert torch.allclose(high[:, :, 5], given[0, :, :, 5], atol=0.2)
    assert not torch.allclose(high, given[0], atol=0.01)
    rows = vision.resized_crop(given[1], 4, 0, 11, 16, [16, 16], antialias=False)
    assert (wide - rows).abs().mean() < 0.02


@pytest.mark.parametrize(("height", "width"), [(21, 21), (16, 30), (31, 14)])
def test_rotate_is_that_of_torchvision(height, width):
    given, angles = smooth(4, height, width), [-30.0, -7.5, 0.0, 12.0]
    turned = Rotate(30, "zeros")(given, Given(*[[part_of(angle, -30, 30)] for angle in angles]))
    for before, after, angle in zip(given, turned, angles, strict=True):
        wanted = vision.rotate(before, angle, vision.InterpolationMode.BILINEAR)
        assert (after - wanted).abs().max() < 1e-4


def test_photometric_is_that_of_torchvision():
    given, factors = unit(4), [(1.4, 0.7, 1.0), (0.6, 1.0, 1.5), (1.0, 1.5, 0.5), (1.0, 1.0, 1.0)]
    numbers = [[part_of(factor, 0.5, 1.5) for factor in own] for own in factors]
    changed = Photometric(0.5, 0.5, 0.5)(given, Given(*numbers))
    for before, after, (brightness, contrast, saturation) in zip(given, changed, factors, strict=True):
        wanted = vision.adjust_contrast(vision.adjust_brightness(before, brightness), contrast)
        wanted = vision.adjust_saturation(wanted, saturation)
        assert (after - wanted).abs().max() < 1e-3  # whose weights of the luminance have four digits


@pytest.mark.parametrize("channels", [1, 2, 5])
def test_photometric_of_other_channels_turns_about_their_mean(channels):
    given = unit(3, (channels, 9, 9))
    changed = Photometric(0, 0.5, 1)(given, Given(*[[0.5, 1.0, 0.0]] * 3))
    mean = given.mean((1, 2, 3), keepdim=True)
    assert torch.allclose(changed, (mean + 1.5 * (given - mean)).clamp(0, 1), atol=1e-6)


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 17, 14), (4, 37, 45)])
def test_values_stay_in_range_and_bytes_are_read_as_such(shape):
    strong = {**ALL, "photometric": Photometric(1, 1, 1)}
    for given in (images(64, shape), images(64, shape).float() / 255):
        changed = Augmentation(strong)(given, seen_in(0, 0, torch.arange(64)))
        assert changed.dtype == torch.float32
        assert changed.shape == given.shape
        assert 0 <= changed.min() < 0.05 < 0.95 < changed.max() <= 1
    assert torch.equal(Augmentation(strong)(images(64, shape), seen_in(0, 0, torch.arange(64))), changed)


@pytest.mark.parametrize("name", ALL)
def test_each_image_changes_in_its_own_way_in_each_epoch_and_run(name):
    same = images(1).expand(200, -1, -1, -1)
    augmentation = Augmentation({name: ALL[name]})
    changed = [
        augmentation(same, seen_in(seed, epoch, torch.arange(200))) for seed, epoch in ((0, 0), (0, 1), (1, 0), (1, 1))
    ]
    different = len({image.numpy().tobytes() for image in torch.cat(changed)})
    assert different == {"flip": 4, "shift": 49}.get(name, 800)
    for one in range(4):
        for other in range(one):
            share = (changed[one] == changed[other]).flatten(1).all(1).float().mean()
            assert share < 0.35


def test_an_image_changes_alike_in_every_batch():
    given, indices = images(50), torch.randperm(1000, generator=torch.Generator().manual_seed(0))[:50]
    augmentation = Augmentation(ALL)
    whole = augmentation(given, seen_in(3, 7, indices))
    order = torch.randperm(50, generator=torch.Generator().manual_seed(1))
    for size in (1, 7, 50):
        parts = [augmentation(given[part], seen_in(3, 7, indices[part])) for part in order.split(size)]
        assert torch.equal(torch.cat(parts), whole[order])


def test_nothing_is_taken_from_the_global_generator_and_autocast_is_left():
    before = torch.get_rng_state()
    plain = Augmentation(ALL)(images(), seen_in(0, 0, torch.arange(8)))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(Augmentation(ALL)(images(), seen_in(0, 0, torch.arange(8))), plain)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_order_is_that_of_the_names():
    given, shift, rotate = unit(20), Shift(3), Rotate(90)
    ours = Augmentation({"shift": shift, "rotate": rotate})(given, seen_in(0, 0, torch.arange(20)))
    chance = seen_in(0, 0, torch.arange(20))
    assert torch.equal(ours, shift(rotate(given, chance), chance).clamp(0, 1))


def splitmix(state: int) -> int:
    """The finaliser as its paper prints it, on Python's whole numbers."""
    state = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 % WORD
    state = (state ^ state >> 27) * 0x94D049BB133111EB % WORD
    return state ^ state >> 31


@pytest.mark.parametrize(("seed", "epoch", "index"), [(0, 0, 0), (7, 3, 59_999), (2**32 - 1, 1000, 10**9)])
def test_the_numbers_are_those_of_splitmix64(seed, epoch, index):
    golden = 0x9E3779B97F4A7C15
    state = splitmix((seed + 1) * golden % WORD)
    state = splitmix((state + (epoch + 1) * golden) % WORD)
    state = splitmix((state + index * golden) % WORD)
    plain = [((splitmix((state + (i + 1) * golden) % WORD) >> 41) + 0.5) / 2**23 for i in range(5)]
    chance = seen_in(seed, epoch, torch.tensor([index]))
    assert torch.cat([chance.uniform(2), chance.uniform(3)], 1)[0].tolist() == plain


def test_the_numbers_are_uniform_over_images_and_epochs():
    drawn = torch.stack([seen_in(0, epoch, torch.arange(500)).uniform(2) for epoch in range(20)])  # 20 x 500 x 2
    for numbers in (drawn[..., 0], drawn[..., 1], drawn[:, :10], drawn[:2]):
        assert stats.kstest(numbers.flatten().numpy(), "uniform").pvalue > 0.001
    pairs = np.corrcoef(np.stack([drawn[0, :, 0], drawn[1, :, 0], drawn[0, :, 1], drawn[0, :, 0].roll(1)]))
    assert np.abs(pairs - np.eye(4)).max() < 0.15


def test_every_shift_is_as_likely():
    point = torch.zeros(9800, 1, 9, 9)
    point[:, :, 4, 4] = 1
    moved = Shift(3, "zeros")(point, seen_in(0, 0, torch.arange(9800)))
    counts = Counter(map(tuple, moved.flatten(1).argmax(1, keepdim=True).tolist()))
    assert len(counts) == 49
    assert stats.chisquare(list(counts.values())).pvalue > 0.001


def test_an_augmentation_that_changes_the_shape_is_named():
    with pytest.raises(UserError, match=r"augmentation\.half: gives images of the shape \[8, 3, 5, 12\]"):
        Augmentation({"half": lambda images, chance: images[:, :, :5]})(images(), seen_in(0, 0, torch.arange(8)))


@pytest.mark.parametrize(("wrong", "words"), [
    (lambda: Flip(1.5), "`horizontal` (= 1.5) must be a number from 0 to 1."),
    (lambda: Shift(0), "`pixels` (= 0) must be a whole number of at least 1."),
    (lambda: Shift(1, "wrap"), "`padding` (= 'wrap') must be one of border, reflection, zeros."),
    (lambda: Crop(area=(0.9, 0.2)), "`area` (= (0.9, 0.2)) must have the smaller number first."),
    (lambda: Crop(area=0.5), "`area` (= 0.5) must be two numbers, such as [0.01,1]."),
    (lambda: Crop(ratio=(1, 20)), "`ratio[1]` (= 20) must be a number from 0.1 to 10."),
    (lambda: Rotate(200), "`degrees` (= 200) must be a number from 0 to 180."),
    (lambda: Photometric(contrast=-1), "`contrast` (= -1) must be a number from 0 to 1."),
])  # fmt: skip
def test_nonsense_is_refused(wrong, words):
    with pytest.raises(ConfigError) as refused:
        wrong()
    assert str(refused.value) == words
