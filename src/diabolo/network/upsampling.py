"""Layers that enlarge feature maps to an explicit size, and the max-pooling that tells one of them where to.

An explicit size restores odd sides, which a factor of two cannot. Which layer leaves a checkerboard behind: Odena et
al., "Deconvolution and Checkerboard Artifacts", Distill 2016.
"""

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import NamedTuple, TypeGuard

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from diabolo.errors import UserError, check_choice
from diabolo.network.fused_upsampling import can_double, doubled
from diabolo.network.shapes import Size
from diabolo.network.torch_internals import watched


class Switch(NamedTuple):
    """Where the maxima of a pooling stood."""

    places: Tensor  # N x C x h x w: index of each maximum into the flattened map that was pooled
    size: Size  # of that map


Switches = list[Switch]  # a stack: what the encoder's poolings push, the decoder's unpoolings pop


class MaxPool(nn.MaxPool2d):
    """Max-pooling that pushes its `Switch` onto `switches` where it is given such a stack."""

    def forward(self, maps: Tensor, switches: Switches | None = None) -> Tensor:
        if switches is None:
            return super().forward(maps)
        pooled, places = F.max_pool2d(
            maps, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode, return_indices=True
        )
        switches.append(Switch(places, (maps.shape[2], maps.shape[3])))
        return pooled


POOLS: dict[str, type[nn.Module]] = {"max": MaxPool, "average": nn.AvgPool2d}


def pooling(kind: str) -> nn.Module:
    """Pooling by two: N x C x H x W to N x C x ceil(H/2) x ceil(W/2)."""
    return POOLS[check_choice("pool", kind, POOLS)](2, ceil_mode=True)


class ToSize(nn.Module):
    """What all layers here share: N x C x h x w to N x C' x `size`."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.size = size

    def extra_repr(self) -> str:
        return f"size={self.size}"


class Upsample(ToSize):
    """Repeats the nearest value or interpolates bilinearly: N x C x h x w to N x C x `size`."""

    def __init__(self, size: Size, mode: str = "nearest") -> None:
        super().__init__(size)
        self.mode = check_choice("upsample", mode, ("nearest", "bilinear"))

    def forward(self, maps: Tensor) -> Tensor:
        maps = maps.contiguous(memory_format=torch.channels_last)  # which maps that were a code a moment ago are not
        return F.interpolate(maps, self.size, mode=self.mode, align_corners=False if self.mode == "bilinear" else None)

    def repeats(self, maps: Tensor) -> bool:
        """Whether it repeats each value over 2x2 places and does nothing else."""
        return self.mode == "nearest" and self.size == (2 * maps.shape[2], 2 * maps.shape[3])


class BedOfNails(ToSize):
    """Each value in the upper left corner of its 2x2 window, zeros elsewhere: N x C x h x w to N x C x `size`, whose
    sides are 2h or 2h - 1 and 2w or 2w - 1."""

    def forward(self, maps: Tensor) -> Tensor:
        nails = maps.new_zeros(*maps.shape[:2], *self.size)
        nails[..., ::2, ::2] = maps
        return nails


class Unpool(BedOfNails):
    """Reversed max-pooling: each value where the maximum of its window stood, zeros elsewhere (Zeiler & Fergus,
    "Visualizing and understanding convolutional networks", 2014, section 2.1).

    The places come from the encoder, for the same images: `switches`, from which it pops the last. Without them, when
    a code is decoded that no image stands behind, the value goes to the corner of its window, as in `BedOfNails`.

    Raises:
        UserError: the encoder has no max-pooling that fits.
    """

    def forward(self, maps: Tensor, switches: Switches | None = None) -> Tensor:
        if switches is None:
            return super().forward(maps)
        if not switches or switches[-1].size != self.size or switches[-1].places.shape[1:] != maps.shape[1:]:
            there = f"{_times(switches[-1].places)} of {_times(switches[-1].size)}" if switches else "none"
            raise UserError(
                f"`model.upsample` (= 'unpool') needs an encoder whose max-poolings mirror it: here one that makes"
                f" {_times(maps)} of {_times(self.size)}, but it has {there}; take encoder=pooled with"
                " encoder.pool=max and the decoder's channels, or another model.upsample."
            )
        places = switches.pop().places.flatten(2)
        times = maps.shape[0] // places.shape[0]  # several where a bottleneck makes several codes of an image
        places = places.repeat(times, 1, 1)
        empty = maps.new_zeros(*maps.shape[:2], self.size[0] * self.size[1])
        return empty.scatter(2, places, maps.flatten(2)).unflatten(2, self.size)


class PixelShuffle(ToSize):
    """Four channels become the four pixels of each 2x2 window, cropped at the lower right: N x 4C x h x w to
    N x C x `size`, whose sides are at most 2h and 2w.

    After a convolution that makes the 4C channels this is the sub-pixel convolution of Shi et al., "Real-time single
    image and video super-resolution using an efficient sub-pixel convolutional neural network" (2016).
    """

    def forward(self, maps: Tensor) -> Tensor:
        return F.pixel_shuffle(maps, 2)[..., : self.size[0], : self.size[1]]


MODES: dict[str, Callable[[Size], ToSize]] = {
    "nearest": Upsample,
    "bilinear": partial(Upsample, mode="bilinear"),
    "bed_of_nails": BedOfNails,
    "unpool": Unpool,
    "pixel_shuffle": PixelShuffle,
}


def enlarging(width: int, after: int, target: Size, mode: str, kernel: int) -> list[nn.Module]:
    """An upsampling and a convolution from N x `width` x h x w to N x `after` x `target`. With "pixel_shuffle" the
    convolution comes first and has four times the outputs; otherwise it smooths what was upsampled."""
    upsample = MODES[check_choice("upsample", mode, MODES)](target)
    if isinstance(upsample, PixelShuffle):
        return [nn.Conv2d(width, 4 * after, kernel, padding=kernel // 2), upsample]
    return [upsample, nn.Conv2d(width, after, kernel, padding=kernel // 2)]


SWITCHING = (MaxPool, Unpool)


class Switched(nn.Sequential):
    """Layers one after the other; the max-poolings and unpoolings among them share a stack of switches.

    The stack belongs to one pass and is handed in by who makes that pass, so that no switch of another batch is left.
    Where nobody watches either layer, an upsampling and the convolution after it are computed at once if that is
    faster, and a ReLU comes after the max-pooling that it stood before: the values and gradients are the same to the
    bit, of a quarter of the numbers. What is exported for another program are the layers themselves.
    """

    def forward(self, values: Tensor, switches: Switches | None = None) -> Tensor:
        layers = deque(self)
        while layers:
            layer = layers.popleft()
            if isinstance(layer, Upsample) and layers and _at_once(after := layers[0], layer, values):
                layers.popleft()
                values = doubled(values, after)
            elif type(layer) is nn.ReLU and layers and switches is None and _pools_first(layer, layers[0]):
                values = layer(layers.popleft()(values))
            elif isinstance(layer, SWITCHING):
                values = layer(values, switches)
            else:
                values = layer(values)
        return values

    @property
    def unpools(self) -> bool:
        """Whether the result depends on switches."""
        return any(isinstance(layer, Unpool) for layer in self)


def _at_once(after: nn.Module, upsample: Upsample, maps: Tensor) -> TypeGuard[nn.Conv2d | nn.ConvTranspose2d]:
    return not _taken_singly(upsample, after) and upsample.repeats(maps) and can_double(after, maps)


def _pools_first(relu: nn.ReLU, after: nn.Module) -> bool:
    return isinstance(after, MaxPool) and not _taken_singly(relu, after)


def _taken_singly(*layers: nn.Module) -> bool:
    return torch.compiler.is_exporting() or watched(*layers)


def _times(sides: Tensor | Size) -> str:
    return "x".join(map(str, sides.shape[1:] if isinstance(sides, Tensor) else sides))
