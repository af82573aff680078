"""The integer arithmetic of sizes, against what PyTorch's layers really do."""

from itertools import product

import pytest
import torch
import torch.nn.functional as F

from diabolo.errors import UserError
from diabolo.network.shapes import conv_size, descent, output_padding, pooled_size, transposed_size


def line(size: int) -> torch.Tensor:
    return torch.zeros(1, 1, size)


def test_conv_size_is_what_a_convolution_gives():
    for size, k, s, p, d in product(range(1, 12), range(1, 6), (1, 2, 3), range(3), (1, 2)):
        if size + 2 * p > d * (k - 1):
            real = F.conv1d(line(size), line(k), stride=s, padding=p, dilation=d).shape[-1]
            assert conv_size(size, k, s, p, d) == real, (size, k, s, p, d)


def test_transposed_size_is_what_a_transposed_convolution_gives():
    for size, k, s, p, op, d in product(range(1, 9), range(1, 6), (1, 2, 3), range(3), range(3), (1, 2)):
        ours = transposed_size(size, k, s, p, op, d)
        if op < max(s, d) and ours > 0:
            real = F.conv_transpose1d(line(size), line(k), None, s, p, op, 1, d).shape[-1]
            assert ours == real, (size, k, s, p, op, d)


@pytest.mark.parametrize("pool", [F.max_pool1d, F.avg_pool1d])
def test_pooled_size_is_what_pooling_in_ceil_mode_gives(pool):
    for size, window in product(range(1, 30), (2, 3, 4)):
        assert pooled_size(size, window) == pool(line(size), window, ceil_mode=True).shape[-1], (size, window)


def test_pooling_halves_by_default():
    assert [pooled_size(size) for size in (1, 2, 7, 28)] == [1, 1, 4, 14]


def test_output_padding_restores_any_side_that_a_strided_convolution_met():
    for target, k, s in product(range(2, 41), range(2, 8), (2, 3)):
        p = (k - 1) // 2
        if k >= s and target + 2 * p >= k:
            size = conv_size(target, k, s, p)
            op = output_padding(size, target, k, s, p)
            assert F.conv_transpose1d(line(size), line(k), None, s, p, op).shape[-1] == target, (target, k, s)


def test_with_kernel_3_and_stride_2_sides_halve_upwards_and_even_targets_need_the_padding():
    for target in range(1, 40):
        assert conv_size(target, 3, 2, 1) == -(-target // 2)
        assert output_padding(-(-target // 2), target, 3, 2, 1) == 1 - target % 2


@pytest.mark.parametrize(("size", "target"), [(4, 9), (4, 6), (5, 28)])
def test_a_target_out_of_reach_is_refused_with_its_numbers(size, target):
    with pytest.raises(UserError, match=f"kernel 3, stride 2 and padding 1 cannot take size {size} to {target}"):
        output_padding(size, target, 3, 2, 1)


def test_descent_lists_the_sizes_from_the_image_down():
    assert descent((28, 28), [pooled_size] * 3) == [(28, 28), (14, 14), (7, 7), (4, 4)]
    assert descent((9, 13), [pooled_size] * 2) == [(9, 13), (5, 7), (3, 4)]
    assert descent((8, 8), []) == [(8, 8)]


@pytest.mark.parametrize(
    ("image", "stages", "message"),
    [
        ((8, 8), 4, "8x8 is too small for 4 stages: it is down to 1x1 after 3; use at most 3"),
        ((3, 17), 4, "3x17 is too small for 4 stages: it is down to 1x5 after 2; use at most 2"),
        ((17, 3), 4, "17x3 is too small for 4 stages: it is down to 5x1 after 2; use at most 2"),
    ],
)
def test_an_image_too_small_for_the_depth_is_told_how_deep_it_may_be(image, stages, message):
    with pytest.raises(UserError, match=message):
        descent(image, [pooled_size] * stages)
