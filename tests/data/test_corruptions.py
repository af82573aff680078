"""Corruptions against plain NumPy: what they do to pixels, how often, and that `fixed` is a function of the image."""

import numpy as np
import pytest
import torch
from scipy import stats

from diabolo.data.corruptions import Block, Corruption, Downsample, Gaussian, Masking, SaltAndPepper
from diabolo.data.pixels import to_depth
from diabolo.errors import UserError

ALL = [Gaussian(0.3), SaltAndPepper(0.3), Masking(0.4), Downsample(2), Block(3), Block(4, 0.5)]
RANDOM = [corruption for corruption in ALL if not isinstance(corruption, Downsample)]
WORD = 2**64


def images(count=200, shape=(3, 10, 12), seed=0):
    """Random bytes away from black and white, so that every changed pixel shows."""
    draw = torch.Generator().manual_seed(seed)
    return torch.randint(20, 230, (count, *shape), generator=draw, dtype=torch.uint8)


def splitmix(state: int) -> int:
    """The finaliser as its paper prints it, on Python's whole numbers."""
    state = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 % WORD
    state = (state ^ state >> 27) * 0x94D049BB133111EB % WORD
    return state ^ state >> 31


def plain_uniform(image: np.ndarray, count: int) -> np.ndarray:
    """The first numbers that `fixed` draws for an image of bytes."""
    golden = 0x9E3779B97F4A7C15
    seed = splitmix(sum(int(pixel) * splitmix((i + 1) * golden % WORD) for i, pixel in enumerate(image.ravel())) % WORD)
    numbers = [splitmix((seed + (i + 1) * golden) % WORD) >> 41 for i in range(count)]
    return (np.array(numbers) + 0.5) / 2**23


class Shown(Corruption):
    """Gives the numbers it draws."""

    def corrupt(self, images, chance):
        return torch.cat([chance.uniform(2, 3).flatten(1), chance.normal(4)], 1)


def test_the_fixed_numbers_are_those_of_splitmix64_seeded_by_the_image():
    pixels = images(5, (1, 8, 8))
    shown = Shown().fixed(pixels)
    for image, ours in zip(pixels.numpy(), shown, strict=True):
        uniform = plain_uniform(image, 10)
        assert ours[:6].tolist() == uniform[:6].astype(np.float32).tolist()
        np.testing.assert_allclose(ours[6:].numpy(), stats.norm.ppf(uniform[6:]), rtol=1e-5, atol=1e-6)


def test_the_fixed_numbers_are_spread_as_they_should_be():
    class Drawn(Corruption):
        def corrupt(self, images, chance):
            return torch.stack([chance.uniform(500), chance.normal(500)])

    uniform, normal = Drawn().fixed(images(400, (1, 8, 8))).numpy().reshape(2, -1)
    assert stats.kstest(uniform, "uniform").pvalue > 0.01
    assert stats.kstest(normal, "norm").pvalue > 0.01
    across = np.corrcoef(uniform.reshape(400, 500).T)[np.triu_indices(500, 1)]
    assert abs(across).max() < 5.5 / np.sqrt(400), "numbers of different pixels are independent"


@pytest.mark.parametrize("corruption", RANDOM, ids=lambda c: type(c).__name__)
def test_fixed_is_a_function_of_the_image_alone(corruption):
    pixels = images()
    whole = corruption.fixed(pixels)
    assert torch.equal(whole, torch.cat([corruption.fixed(part) for part in pixels.split(7)]))
    assert torch.equal(whole.flip(0), corruption.fixed(pixels.flip(0)))
    assert torch.equal(whole, corruption.fixed(pixels.float() / 255)), "bytes and floats are the same image"


def test_one_changed_byte_changes_all_the_numbers():
    pixels = images(1)
    changed = pixels.clone()
    changed[0, 0, 0, 0] += 1
    assert not (Shown().fixed(pixels) == Shown().fixed(changed)).any()
    assert torch.equal(*Shown().fixed(pixels.expand(2, -1, -1, -1)))


@pytest.mark.parametrize("corruption", RANDOM, ids=lambda c: type(c).__name__)
def test_training_draws_anew_from_the_global_generator_and_fixed_leaves_it_alone(corruption):
    pixels = images()
    torch.manual_seed(1)
    first, second = corruption(pixels), corruption(pixels)
    torch.manual_seed(1)
    corruption.fixed(pixels)
    assert torch.equal(corruption(pixels), first)
    assert not torch.equal(first, second)


@pytest.mark.parametrize("corruption", ALL, ids=lambda c: type(c).__name__)
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 9, 13)])
def test_shape_and_range_stay_and_the_images_are_not_touched(corruption, shape):
    pixels = images(6, shape)
    before = pixels.clone()
    for corrupted in (corruption(pixels), corruption.fixed(pixels), corruption(pixels / 255)):
        assert corrupted.shape == pixels.shape
        assert corrupted.dtype == torch.float32
        assert 0 <= corrupted.min() <= corrupted.max() <= 1
    assert torch.equal(pixels, before)


@pytest.mark.parametrize("how", ["forward", "fixed"])
def test_gaussian_noise_has_its_deviation_and_is_clipped(how):
    pixels = images()
    noise = (getattr(Gaussian(0.3, clip=False), how)(pixels) - pixels / 255).numpy().ravel()
    assert noise.mean() == pytest.approx(0, abs=4 * 0.3 / np.sqrt(noise.size))
    assert noise.std() == pytest.approx(0.3, rel=4 / np.sqrt(2 * noise.size))
    torch.manual_seed(0)
    clipped = getattr(Gaussian(0.3), how)(pixels)
    torch.manual_seed(0)
    assert torch.equal(clipped, getattr(Gaussian(0.3, clip=False), how)(pixels).clamp(0, 1))


@pytest.mark.parametrize("how", ["forward", "fixed"])
@pytest.mark.parametrize(("corruption", "parts"), [(SaltAndPepper(0.3), (0.15, 0.15)), (Masking(0.4), (0.4, 0.0))])
def test_pixels_turn_black_and_white_as_often_as_asked_in_all_channels(how, corruption, parts):
    pixels = images()
    corrupted = getattr(corruption, how)(pixels)
    black, white = (corrupted == 0).all(1), (corrupted == 1).all(1)  # N x H x W
    for which, part in ((black, parts[0]), (white, parts[1])):
        share = which.double().mean()
        assert share == pytest.approx(part, abs=4 * np.sqrt(part * (1 - part) / which.numel()) + 1e-12)
    kept = ~(black | white)[:, None].expand_as(pixels)
    assert torch.equal(corrupted[kept], (pixels / 255)[kept])


@pytest.mark.parametrize(("shape", "factor"), [((1, 8, 8), 2), ((3, 8, 12), 4), ((1, 28, 28), 2)])
def test_downsampling_is_the_mean_of_each_block(shape, factor):
    pixels = images(4, shape)
    expected = np.zeros(pixels.shape)
    for row in range(0, shape[1], factor):
        for column in range(0, shape[2], factor):
            place = (..., slice(row, row + factor), slice(column, column + factor))
            expected[place] = (pixels.numpy() / 255)[place].mean((2, 3), keepdims=True)
    corruption = Downsample(factor)
    for corrupted in (corruption(pixels), corruption.fixed(pixels)):
        np.testing.assert_allclose(corrupted.numpy(), expected, atol=1e-6)
    np.testing.assert_allclose(corruption.reduce(pixels).numpy(), expected[..., ::factor, ::factor], atol=1e-6)


def test_odd_sides_are_downsampled_to_the_side_rounded_up():
    pixels = images(2, (1, 9, 13))
    corruption = Downsample(4)
    assert corruption.reduce(pixels).shape == (2, 1, 3, 4)
    np.testing.assert_allclose(corruption.reduce(pixels)[0, 0, 0, 0], (pixels[0, 0, :3, :4] / 255.0).mean(), rtol=1e-6)
    assert len(corruption(pixels)[0].unique()) <= 12


@pytest.mark.parametrize("how", ["forward", "fixed"])
def test_a_block_fills_one_square_anywhere_in_the_image(how):
    pixels, side = images(3000, (3, 10, 12)), 4
    corrupted = getattr(Block(side, 0.5), how)(pixels)
    changed = (corrupted == 0.5).all(1).numpy()
    places = []
    for inside in changed:
        rows, columns = np.nonzero(inside)
        expected = np.zeros((10, 12), bool)
        expected[rows.min() : rows.min() + side, columns.min() : columns.min() + side] = True
        assert np.array_equal(inside, expected)
        places.append((rows.min(), columns.min()))
    counts = np.zeros((10 - side + 1, 12 - side + 1))
    np.add.at(counts, tuple(np.transpose(places)), 1)
    assert stats.chisquare(counts.ravel()).pvalue > 0.001
    kept = torch.from_numpy(~changed)[:, None].expand_as(pixels)
    assert torch.equal(corrupted[kept], (pixels / 255)[kept])
    if how == "fixed":
        assert np.array_equal(Block(side, 0.5).mask(pixels)[:, 0].numpy(), changed)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Gaussian(0), "`std` (= 0) must be a number above 0."),
        (lambda: SaltAndPepper(1.5), "`part` (= 1.5) must be at most 1: it is the part of the pixels."),
        (lambda: Masking(-0.1), "`part` (= -0.1) must be a number above 0."),
        (lambda: Downsample(1), "`factor` (= 1) must be a whole number of at least 2."),
        (lambda: Downsample(9)(images(1, (1, 8, 8))), "`corruption.factor` (= 9) is more than a side of 8x8 images."),
        (lambda: Block(0), "`side` (= 0) must be a whole number of at least 1."),
        (lambda: Block(9)(images(1, (1, 8, 12))), "`corruption.side` (= 9) is more than a side of 8x12 images."),
        (lambda: Block(3, 2), "`fill` (= 2) must be a number from 0 (black) to 1 (white)."),
    ],
)
def test_what_cannot_be_is_said(make, sentence):
    with pytest.raises(UserError) as failed:
        make()
    assert str(failed.value) == sentence


@pytest.mark.parametrize("channels", [1, 2, 6])
@pytest.mark.parametrize("corruption", ALL, ids=lambda corruption: type(corruption).__name__)
def test_an_image_is_corrupted_alike_whatever_its_depth(corruption, channels):
    pixels = images(6, (channels, 10, 12))
    wanted = corruption.fixed(pixels)
    for depth in ("uint16", "float32"):
        torch.testing.assert_close(corruption.fixed(to_depth(pixels, depth)), wanted, rtol=0, atol=1e-7)
    deep = torch.from_numpy(np.random.default_rng(1).integers(0, 65536, (6, channels, 10, 12), dtype=np.uint16))
    floats = deep.numpy().astype(np.float32) / 65535
    torch.testing.assert_close(corruption.fixed(deep), corruption.fixed(torch.from_numpy(floats)), rtol=0, atol=1e-7)
    assert corruption(deep).shape == deep.shape
