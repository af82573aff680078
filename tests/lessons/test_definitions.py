"""Convolutions by definition: worked by hand where that is short, and held against PyTorch over many shapes."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from diabolo.lessons.definitions import (
    conv1d,
    conv1d_gradients,
    conv2d,
    conv2d_gradients,
    max_pool1d,
    max_pool2d,
    transposed_conv2d,
)


def drawn(*shape: int) -> tuple[np.ndarray, torch.Tensor]:
    """Random numbers, as an array and as a tensor of doubles that wants a gradient."""
    values = np.random.default_rng(sum(shape)).normal(size=shape)
    return values, torch.tensor(values, requires_grad=True)


def close(ours: np.ndarray, theirs: torch.Tensor | None) -> None:
    np.testing.assert_allclose(ours, theirs.detach().numpy(), atol=1e-12)


def test_conv1d_by_hand():
    x, w = np.array([1.0, 2, 4, 8]), np.array([3.0, -1])
    assert conv1d(x, w).tolist() == [1, 2, 4]  # 3 - 2, 6 - 4, 12 - 8
    dx, dw = conv1d_gradients(x, w, np.array([1.0, 10, 100]))
    assert dx.tolist() == [3, -1 + 30, -10 + 300, -100]
    assert dw.tolist() == [1 + 20 + 400, 2 + 40 + 800]


@pytest.mark.parametrize(("length", "kernel"), [(5, 1), (5, 5), (9, 4), (30, 7)])
def test_conv1d_and_its_gradients_are_those_of_pytorch(length, kernel):
    (x, tx), (w, tw), (dy, tdy) = drawn(length), drawn(kernel), drawn(length - kernel + 1)
    y = F.conv1d(tx[None, None], tw[None, None])[0, 0]
    close(conv1d(x, w), y)
    y.backward(tdy)
    for ours, theirs in zip(conv1d_gradients(x, w, dy), (tx.grad, tw.grad), strict=True):
        close(ours, theirs)


CONVOLUTIONS = [  # images, channels in and out, sides, kernel, stride, padding, dilation
    (1, 1, 1, (5, 5), (3, 3), 1, 0, 1),
    (2, 3, 4, (8, 11), (3, 3), 1, 1, 1),
    (2, 3, 4, (9, 8), (3, 3), 2, 1, 1),
    (3, 2, 5, (10, 7), (4, 4), 2, 1, 1),
    (2, 4, 3, (12, 13), (5, 3), 3, 2, 1),
    (2, 2, 2, (13, 12), (3, 2), 1, 0, 3),
    (2, 2, 3, (14, 11), (3, 3), 2, 3, 2),
    (1, 5, 2, (6, 6), (1, 1), 2, 0, 1),
    (2, 2, 2, (4, 4), (2, 2), 2, 2, 1),
]


@pytest.mark.parametrize(("n", "c", "k", "sides", "kernel", "stride", "padding", "dilation"), CONVOLUTIONS)
def test_conv2d_and_its_gradients_are_those_of_pytorch(n, c, k, sides, kernel, stride, padding, dilation):
    (x, tx), (w, tw), (b, tb) = drawn(n, c, *sides), drawn(k, c, *kernel), drawn(k)
    y = F.conv2d(tx, tw, tb, stride, padding, dilation)
    close(conv2d(x, w, b, stride, padding, dilation), y)
    close(conv2d(x, w, None, stride, padding, dilation), y - tb[:, None, None])
    dy, tdy = drawn(*y.shape)
    y.backward(tdy)
    for ours, theirs in zip(
        conv2d_gradients(x, w, dy, stride, padding, dilation), (tx.grad, tw.grad, tb.grad), strict=True
    ):
        close(ours, theirs)


@pytest.mark.parametrize("extra", [0, 1])
@pytest.mark.parametrize(("n", "c", "k", "sides", "kernel", "stride", "padding", "dilation"), CONVOLUTIONS)
def test_transposed_conv2d_is_that_of_pytorch(n, c, k, sides, kernel, stride, padding, dilation, extra):
    extra = extra if stride > extra or dilation > extra else 0
    (x, tx), (w, tw), (b, tb) = drawn(n, c, *sides), drawn(c, k, *kernel), drawn(k)
    theirs = F.conv_transpose2d(tx, tw, tb, stride, padding, extra, dilation=dilation)
    close(transposed_conv2d(x, w, b, stride, padding, extra, dilation), theirs)
    close(transposed_conv2d(x, w, None, stride, padding, extra, dilation), theirs - tb[:, None, None])


def test_a_transposed_convolution_is_the_gradient_of_a_convolution_by_its_input():
    (x, _), (w, _), (dy, _) = drawn(2, 3, 9, 11), drawn(4, 3, 3, 3), drawn(2, 4, 5, 6)
    np.testing.assert_allclose(transposed_conv2d(dy, w, None, 2, 1), conv2d_gradients(x, w, dy, 2, 1)[0], atol=1e-12)


@pytest.mark.parametrize(("window", "stride"), [(1, 1), (2, 2), (3, 2), (2, 3), (4, 1)])
def test_max_pooling_is_that_of_pytorch(window, stride):
    line, _ = drawn(11)
    close(max_pool1d(line, window, stride), F.max_pool1d(torch.tensor(line)[None], window, stride)[0])
    maps, theirs = drawn(2, 3, 9, 12)
    close(max_pool2d(maps, window, stride), F.max_pool2d(theirs, window, stride))


def test_max_pooling_by_hand():
    assert max_pool1d(np.array([3.0, 1, -5, -2, 7]), 2, 2).tolist() == [3, -2]
    assert max_pool2d(-np.arange(16.0).reshape(1, 1, 4, 4), 2, 2).tolist() == [[[[0, -2], [-8, -10]]]]
