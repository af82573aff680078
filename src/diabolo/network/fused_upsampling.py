"""Nearest upsampling to twice the size and the convolution after it, computed as one transposed convolution on a CPU.

Repeating each value over 2x2 places is a transposed convolution of stride 2 with a kernel of ones. A convolution after
it makes of the two one transposed convolution of stride 2, whose kernel is the convolution's own summed over all
windows of 2x2, hence larger by one (a transposed convolution with tied weights: Odena et al., "Deconvolution and
Checkerboard Artifacts", Distill 2016). It never makes the enlarged maps, and for an output multiplies (k + 1)^2 / 4
values of a map by weights where the convolution takes k^2: 4 for 9 with a kernel of 3x3. The results differ by rounding
alone. With one thread 1.1 to 3.3 times as fast, with two 1.0 to 2.5 (`scripts/doubling_speed.py`).
"""

from typing import TypeGuard

import torch.nn.functional as F
from torch import Tensor, nn

CONVOLUTIONS = (nn.Conv2d, nn.ConvTranspose2d)
FEW_MAPS = 8  # with fewer, the library's transposed convolution takes longer than what it would replace


def can_double(layer: nn.Module, maps: Tensor) -> TypeGuard[nn.Conv2d | nn.ConvTranspose2d]:
    """Whether `doubled` knows the layer, and pays for it and N x C x h x w maps: on a GPU that is not measured."""
    if not isinstance(layer, CONVOLUTIONS) or type(layer) not in CONVOLUTIONS:
        return False  # one derived from them may compute something else
    return (
        maps.device.type == "cpu"
        and (layer.in_channels >= FEW_MAPS or layer.in_channels > layer.out_channels)
        and (layer.stride, layer.dilation, layer.groups, layer.padding_mode) == ((1, 1), (1, 1), 1, "zeros")
        and not isinstance(layer.padding, str)
        and all(pad < side for pad, side in zip(layer.padding, layer.kernel_size, strict=True))
    )


def doubled(maps: Tensor, convolution: nn.Conv2d | nn.ConvTranspose2d) -> Tensor:
    """`convolution` of maps that are first enlarged by two, each value repeated over 2x2 places.

    Args:
        maps: N x C x h x w.
        convolution: any for which `can_double` is true.

    Returns:
        N x C' x H x W, the size that the convolution gives for 2h x 2w.
    """
    weight, bias = convolution.weight, convolution.bias
    rows, columns = (int(pad) for pad in convolution.padding)
    if isinstance(convolution, nn.Conv2d):  # as the transposed convolution that it is: C x C' x k x k
        weight = weight.flip(2, 3).transpose(0, 1)
        rows, columns = convolution.kernel_size[0] - 1 - rows, convolution.kernel_size[1] - 1 - columns
    kernel = F.avg_pool2d(weight, 2, stride=1, padding=1, divisor_override=1)  # C x C' x (k + 1) x (k + 1), sums
    if kernel[0].numel() > maps.shape[1]:
        return F.conv_transpose2d(maps, kernel, bias, stride=2, padding=(rows, columns))
    # few outputs, as in an image's last layer: one matrix product, whose columns are then added up where they overlap
    each = kernel.flatten(1).t().expand(len(maps), -1, -1)  # N x C' (k + 1)^2 x C, for products laid out as they add up
    products = each.bmm(maps.flatten(2))  # N x C' (k + 1)^2 x h w, no more numbers than the maps have
    height, width = kernel.shape[2:]
    size = (2 * (maps.shape[2] - 1 - rows) + height, 2 * (maps.shape[3] - 1 - columns) + width)
    images = F.fold(products, size, (height, width), padding=(rows, columns), stride=2)
    return images if bias is None else images + bias.view(-1, 1, 1)
