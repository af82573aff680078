"""The layers of a convolutional autoencoder written as their definitions, in NumPy, to be read beside the formulas.

Nothing in diabolo computes with them: they are loops over the places of a kernel, and the tests compare PyTorch's
layers with them. As in PyTorch, "convolution" is cross-correlation: the kernel is not flipped. N is the number of
images, C of channels in, K of channels out; x is the input, w the kernel, b the bias, y the output, and `dy` the
gradient of a loss with respect to y.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from diabolo.network.shapes import conv_size, transposed_size

Array = NDArray[np.float64]


def conv1d(x: Array, w: Array) -> Array:
    """y[i] = sum over j of x[i + j] w[j]: a signal of length n and a kernel of length k give n - k + 1 values."""
    length = len(x) - len(w) + 1
    y = np.zeros(length)
    for j in range(len(w)):
        y += x[j : j + length] * w[j]
    return y


def conv1d_gradients(x: Array, w: Array, dy: Array) -> tuple[Array, Array]:
    """The gradients with respect to the signal and to the kernel.

    Each y[i] depends on x[i + j] through w[j] and on w[j] through x[i + j], so
    dx[m] = sum over j of dy[m - j] w[j], where dy[m - j] exists (a full convolution with the kernel flipped), and
    dw[j] = sum over i of dy[i] x[i + j] (the signal correlated with the gradient).
    """
    dx, dw = np.zeros(len(x)), np.zeros(len(w))
    for j in range(len(w)):
        dx[j : j + len(dy)] += dy * w[j]
        dw[j] = np.sum(dy * x[j : j + len(dy)])
    return dx, dw


def conv2d(x: Array, w: Array, b: Array | None = None, stride: int = 1, padding: int = 0, dilation: int = 1) -> Array:
    """y[n, k, i, j] = b[k] + sum over c, u, v of x[n, c, s i + d u - p, s j + d v - p] w[k, c, u, v], where x is 0
    outside the image; s is the stride, p the padding, d the dilation.

    x is N x C x H x W, w is K x C x h x w, b is K; y is N x K x `conv_size` of H x `conv_size` of W.
    """
    kernel = w.shape[2:]
    padded = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    rows, columns = (conv_size(side, k, stride, padding, dilation) for side, k in zip(x.shape[2:], kernel, strict=True))
    y = np.zeros((len(x), len(w), rows, columns))
    for u in range(kernel[0]):
        for v in range(kernel[1]):
            under = padded[:, :, _places(u * dilation, rows, stride), _places(v * dilation, columns, stride)]
            y += np.einsum("ncij,kc->nkij", under, w[:, :, u, v])  # the pixels under the place (u, v) of the kernel
    return y if b is None else y + b[:, None, None]


def conv2d_gradients(
    x: Array, w: Array, dy: Array, stride: int = 1, padding: int = 0, dilation: int = 1
) -> tuple[Array, Array, Array]:
    """The gradients of `conv2d` with respect to x, w and b.

    As in one dimension: for each place (u, v) of the kernel, dy times w is added to dx, and dy times the x under that
    place to dw; what falls on the padding is cut off. db[k] is the sum of dy[:, k].
    """
    padded = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    dx, dw = np.zeros(padded.shape), np.zeros(w.shape)
    rows, columns = dy.shape[2:]
    for u in range(w.shape[2]):
        for v in range(w.shape[3]):
            place = (..., _places(u * dilation, rows, stride), _places(v * dilation, columns, stride))
            dx[place] += np.einsum("nkij,kc->ncij", dy, w[:, :, u, v])
            dw[:, :, u, v] = np.einsum("nkij,ncij->kc", dy, padded[place])
    height, width = x.shape[2:]
    return dx[..., padding : padding + height, padding : padding + width], dw, dy.sum((0, 2, 3))


def transposed_conv2d(
    x: Array,
    w: Array,
    b: Array | None = None,
    stride: int = 1,
    padding: int = 0,
    output_padding: int = 0,
    dilation: int = 1,
) -> Array:
    """Each value of the input times the kernel is added to the output, at steps of the stride, and `padding` is cut off
    at each border: y[n, k, s i + d u - p, s j + d v - p] += x[n, c, i, j] w[c, k, u, v] for all c, i, j, u, v. Then
    b[k] is added. `output_padding` adds rows and columns at the lower right.

    It is the gradient of a convolution with respect to its input. So it inverts the convolution's shape, not its
    values. x is N x C x H x W, w is C x K x h x w (in before out), b is K; y is N x K x `transposed_size` of H x
    `transposed_size` of W.
    """
    rows, columns = x.shape[2:]
    sides = [
        transposed_size(side, k, stride, padding, output_padding, dilation)
        for side, k in zip(x.shape[2:], w.shape[2:], strict=True)
    ]
    y = np.zeros((len(x), w.shape[1], *(side + 2 * padding for side in sides)))
    for u in range(w.shape[2]):
        for v in range(w.shape[3]):
            place = (..., _places(u * dilation, rows, stride), _places(v * dilation, columns, stride))
            y[place] += np.einsum("ncij,ck->nkij", x, w[:, :, u, v])
    y = y[..., padding : padding + sides[0], padding : padding + sides[1]]
    return y if b is None else y + b[:, None, None]


def max_pool1d(x: Array, window: int, stride: int) -> Array:
    """y[i] = the largest of x[s i], ..., x[s i + window - 1]; values at the end that fill no window are left out."""
    return np.array([x[i : i + window].max() for i in range(0, len(x) - window + 1, stride)])


def max_pool2d(x: Array, window: int, stride: int) -> Array:
    """`max_pool1d` along rows and columns at once: N x C x H x W to N x C x `conv_size` of H x `conv_size` of W."""
    rows, columns = (conv_size(side, window, stride) for side in x.shape[2:])
    y = np.full((*x.shape[:2], rows, columns), -np.inf)
    for u in range(window):
        for v in range(window):
            y = np.maximum(y, x[..., _places(u, rows, stride), _places(v, columns, stride)])
    return y


def _places(start: int, count: int, stride: int) -> slice:
    """`count` places from `start` on, `stride` apart."""
    return slice(start, start + (count - 1) * stride + 1, stride)
