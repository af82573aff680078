"""Upsampling to an explicit size, and the pooling that unpooling reverses, against plain NumPy."""

import numpy as np
import pytest
import torch

from diabolo.errors import UserError
from diabolo.network.upsampling import MODES, BedOfNails, MaxPool, PixelShuffle, Switched, Unpool, Upsample, enlarging

SIZES = [((4, 4), (8, 8)), ((4, 5), (7, 9)), ((1, 3), (2, 6)), ((5, 7), (9, 13)), ((3, 3), (3, 3))]


def nearest(size: int, target: int) -> np.ndarray:
    """The target x size matrix that picks, for each place, the value whose cell it falls into."""
    matrix = np.zeros((target, size))
    matrix[np.arange(target), np.arange(target) * size // target] = 1
    return matrix


def linear(size: int, target: int) -> np.ndarray:
    """The target x size matrix that mixes the two values between whose centres a place lies; the ends are repeated."""
    matrix = np.zeros((target, size))
    for place in range(target):
        centre = np.clip((place + 0.5) * size / target - 0.5, 0, size - 1)
        low = int(centre)
        matrix[place, low] += 1 - (centre - low)
        matrix[place, min(low + 1, size - 1)] += centre - low
    return matrix


@pytest.mark.parametrize(("size", "target"), SIZES)
@pytest.mark.parametrize(("mode", "axis"), [("nearest", nearest), ("bilinear", linear)])
def test_each_mode_is_its_matrix_along_rows_and_columns(mode, axis, size, target):
    maps = np.random.default_rng(0).normal(size=(2, 3, *size))
    wanted = axis(size[0], target[0]) @ maps @ axis(size[1], target[1]).T
    np.testing.assert_allclose(Upsample(target, mode)(torch.from_numpy(maps)), wanted, atol=1e-7)


def test_nearest_by_two_repeats_every_value():
    maps = torch.arange(6.0).view(1, 1, 2, 3)
    wanted = [[0, 0, 1, 1, 2, 2], [0, 0, 1, 1, 2, 2], [3, 3, 4, 4, 5, 5], [3, 3, 4, 4, 5, 5]]
    assert Upsample((4, 6))(maps).tolist() == [[wanted]]


def test_an_unknown_mode_is_answered_with_the_known_ones():
    known = "nearest, bilinear, bed_of_nails, unpool, pixel_shuffle"
    with pytest.raises(UserError, match=rf"`upsample` \(= 'bicubic'\) must be one of {known}\."):
        enlarging(1, 1, (4, 4), "bicubic", 3)


HALVED = [((1, 1), (2, 1)), ((4, 4), (8, 8)), ((4, 5), (7, 10)), ((5, 7), (9, 13))]  # sides h to 2h or 2h - 1


def drawn(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape)


def corners(maps: np.ndarray, target: tuple[int, int]) -> np.ndarray:
    """Value by value: into the upper left corner of its window."""
    wanted = np.zeros((*maps.shape[:2], *target))
    for n, c, i, j in np.ndindex(*maps.shape):
        wanted[n, c, 2 * i, 2 * j] = maps[n, c, i, j]
    return wanted


@pytest.mark.parametrize(("size", "target"), HALVED)
def test_bed_of_nails_puts_each_value_into_the_corner_of_its_window(size, target):
    maps = drawn(2, 3, *size)
    assert np.array_equal(BedOfNails(target)(torch.from_numpy(maps)), corners(maps, target))


@pytest.mark.parametrize(("size", "target"), HALVED)
def test_unpooling_puts_each_value_where_the_maximum_stood(size, target):
    images, maps = drawn(2, 3, *target), drawn(2, 3, *size) + 5
    switches = []
    pooled = MaxPool(2, ceil_mode=True)(torch.from_numpy(images), switches)
    wanted = np.zeros(images.shape)
    for n, c, i, j in np.ndindex(*maps.shape):
        window = images[n, c, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2]
        assert pooled[n, c, i, j] == window.max()
        wanted[n, c][images[n, c] == window.max()] = maps[n, c, i, j]
    assert np.array_equal(Unpool(target)(torch.from_numpy(maps), switches), wanted)
    assert switches == []
    assert np.array_equal(Unpool(target)(torch.from_numpy(maps)), corners(maps, target)), "the corner without switches"


def test_pooling_without_a_stack_is_pytorchs():
    images = torch.rand(2, 3, 7, 10)
    assert torch.equal(MaxPool(2, ceil_mode=True)(images), torch.nn.MaxPool2d(2, ceil_mode=True)(images))


@pytest.mark.parametrize(("size", "target"), HALVED)
def test_pixel_shuffle_makes_windows_of_four_channels(size, target):
    maps = drawn(2, 12, *size)
    wanted = np.zeros((2, 3, 2 * size[0], 2 * size[1]))
    for n, c, i, j in np.ndindex(*maps.shape):
        wanted[n, c // 4, 2 * i + c % 4 // 2, 2 * j + c % 2] = maps[n, c, i, j]
    ours = PixelShuffle(target)(torch.from_numpy(maps))
    assert np.array_equal(ours, wanted[..., : target[0], : target[1]])


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_enlarges_to_the_target_and_passes_gradients(mode):
    layers = torch.nn.Sequential(*enlarging(3, 5, (7, 10), mode, 3))
    maps = torch.rand(2, 3, 4, 5, requires_grad=True)
    enlarged = layers(maps)
    assert enlarged.shape == (2, 5, 7, 10)
    enlarged.sum().backward()
    assert maps.grad.ne(0).all()


def test_the_stack_mirrors_poolings_and_belongs_to_one_pass():
    down, up = Switched(MaxPool(2), torch.nn.Tanh(), MaxPool(2)), Switched(Unpool((4, 4)), Unpool((8, 8)))
    one, other = torch.rand(2, 1, 2, 8, 8)
    ones, others = [], []
    small, _ = down(one, ones), down(other, others)
    assert [switch.size for switch in ones] == [(8, 8), (4, 4)]
    back = up(small, ones)
    kept = back != 0
    assert int(kept.sum()) == 8
    torch.testing.assert_close(back[kept], one[kept].tanh(), msg="each value is back at the place it came from")
    assert not torch.equal(up(small, others) != 0, kept)
    assert ones == others == []


def spied(layers: torch.nn.Sequential, monkeypatch) -> list[tuple[str, int]]:
    """Which layer ran on maps of which height."""
    ran = []
    for layer in layers:
        monkeypatch.setattr(
            layer,
            "forward",
            lambda maps, *rest, layer=layer, forward=layer.forward: (
                ran.append((type(layer).__name__, maps.shape[2])) or forward(maps, *rest)
            ),
        )
    return ran


@pytest.mark.parametrize("form", [torch.contiguous_format, torch.channels_last], ids=["first", "last"])
@pytest.mark.parametrize("sides", [(8, 8), (7, 9)], ids=str)
def test_a_relu_after_the_pooling_that_it_stood_before_is_the_same_to_the_bit(sides, form, monkeypatch):
    torch.manual_seed(0)
    layers = Switched(torch.nn.ReLU(), MaxPool(2, ceil_mode=True))
    maps = torch.randn(3, 5, *sides).round(decimals=1)  # whose windows hold equal maxima, and some nothing above 0
    maps[0, 0, :4, :4] = -1
    maps[1, 0, 0, 0] = torch.nan
    maps = maps.contiguous(memory_format=form).requires_grad_()
    wanted = torch.nn.Sequential(*layers)(maps)
    weights = torch.randn_like(wanted)
    ran = spied(layers, monkeypatch)
    pooled = layers(maps)
    assert [name for name, _ in ran] == ["MaxPool", "ReLU"]
    assert torch.equal(pooled.nan_to_num(7), wanted.nan_to_num(7))
    ours, theirs = (torch.autograd.grad((values * weights).nansum(), maps)[0] for values in (pooled, wanted))
    assert torch.equal(ours.nan_to_num(7), theirs.nan_to_num(7))


class Absolute(torch.nn.ReLU):
    """Does not grow with its values, so that it must not change places with a pooling."""

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return maps.abs()


@pytest.mark.parametrize(
    "layers",
    [
        (torch.nn.Tanh(), MaxPool(2)),
        (Absolute(), MaxPool(2)),
        (torch.nn.ReLU(), torch.nn.AvgPool2d(2)),
        (MaxPool(2), torch.nn.ReLU()),
        (torch.nn.ReLU(),),
        (Upsample((16, 16)),),
    ],
    ids=lambda layers: " ".join(type(layer).__name__ for layer in layers),
)
def test_other_layers_stay_where_they_are(layers, monkeypatch):
    maps, given = torch.randn(2, 3, 8, 8), Switched(*layers)
    wanted = torch.nn.Sequential(*layers)(maps)
    ran = spied(given, monkeypatch)
    assert torch.equal(given(maps), wanted)
    assert [name for name, _ in ran] == [type(layer).__name__ for layer in layers]


def test_a_relu_stays_before_the_pooling_whose_switches_are_wanted():
    maps = torch.tensor([[[[-2.0, -1.0], [-3.0, -4.0]]]])  # after a ReLU all are equal, and the first is the maximum
    switches = []
    Switched(torch.nn.ReLU(), MaxPool(2))(maps, switches)
    assert switches[0].places.tolist() == [[[[0]]]]


@pytest.mark.parametrize("watched", [0, 1])
def test_who_watches_a_relu_or_its_pooling_sees_them_in_turn(watched, monkeypatch):
    layers, seen = Switched(torch.nn.ReLU(), MaxPool(2)), []
    layers[watched].register_forward_hook(lambda layer, inputs, output: seen.append(tuple(output.shape)))
    ran = spied(layers, monkeypatch)
    layers(torch.randn(2, 3, 8, 8))
    assert ran == [("ReLU", 8), ("MaxPool", 8)]
    assert seen == [((2, 3, 8, 8), (2, 3, 4, 4))[watched]]


def test_an_upsampling_leaves_maps_channels_last():
    maps = torch.rand(2, 12, 4, 4)
    assert not maps.is_contiguous(memory_format=torch.channels_last)
    for mode in ("nearest", "bilinear"):
        assert Upsample((8, 8), mode)(maps).is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("switches", [[], "other size", "other channels"])
def test_unpooling_refuses_switches_that_do_not_fit(switches):
    if switches:
        shape = (1, 2, 9, 8) if switches == "other size" else (1, 3, 8, 8)
        switches = (stack := [], MaxPool(2, ceil_mode=True)(torch.rand(shape), stack))[0]
    with pytest.raises(UserError, match=r"needs an encoder whose max-poolings mirror it: here one that makes 2x4x4 of"):
        Unpool((8, 8))(torch.rand(1, 2, 4, 4), switches)
