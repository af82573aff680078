"""A network as a list of layer descriptions and one array of weights, as `network.js` computes it."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import type_before_parametrizations

from diabolo import network
from diabolo.errors import UserError

Layer = dict[str, Any]  # its kind and numbers; weights by their place in the array, [start, count]


class Unknown(UserError):
    """A layer that the page cannot compute."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__(
            f"the page cannot compute {type(layer).__name__}, which is none of diabolo's own layers or of those of"
            " torch that its families use."
        )


class Numbers:
    """One array of float32 numbers to which tensors are added, each once."""

    def __init__(self) -> None:
        self._tensors: list[Tensor] = []  # kept, so that no other takes the place of one of them in memory
        self._places: dict[tuple[int, int], list[int]] = {}
        self.count = 0

    def add(self, tensor: Tensor) -> list[int]:
        """Where the numbers of a tensor stand, in their plain order: [start, count]."""
        key = (tensor.data_ptr(), tensor.numel())
        if key not in self._places:
            self._tensors.append(tensor)
            self._places[key] = [self.count, tensor.numel()]
            self.count += tensor.numel()
        return self._places[key]

    def array(self) -> np.ndarray:
        parts = [tensor.detach().float().cpu().contiguous().flatten() for tensor in self._tensors]
        return (torch.cat(parts) if parts else torch.empty(0)).numpy()


def described(module: nn.Module, weights: Numbers) -> list[Layer]:
    """The layers of `module` in evaluation mode, one after the other; their weights are added to `weights`.

    Raises:
        Unknown: one of them has no description.
    """
    if isinstance(module, nn.Sequential) and type(module).forward in (nn.Sequential.forward, network.Switched.forward):
        return [layer for child in module for layer in described(child, weights)]
    kind = type_before_parametrizations(module)  # where `decoder.spectral_norm` has made a class of its own
    if kind not in DESCRIPTIONS:
        raise Unknown(module)
    return DESCRIPTIONS[kind](module, weights)


def scaling(scale: Tensor, shift: Tensor, channels: int, weights: Numbers) -> list[Layer]:
    """x * scale + shift for each channel; `scale` and `shift` of one number or one a channel. Nothing for 1 and 0."""
    if bool((scale == 1).all() and (shift == 0).all()):
        return []
    scale, shift = (value.detach().flatten().expand(channels).contiguous() for value in (scale, shift))
    return [{"kind": "scaling", "scale": weights.add(scale), "shift": weights.add(shift)}]


def nearest_codes(bottleneck: nn.Module, weights: Numbers) -> list[Layer] | None:
    """What brings any code to the nearest that the bottleneck can give; None where it gives all."""
    make = NEAREST.get(type(bottleneck))
    if make is None and isinstance(bottleneck, network.CanFindNearest):
        raise Unknown(bottleneck)
    return make(bottleneck, weights) if make else None


# ---- layers ----


def _linear(layer: Any, weights: Numbers) -> list[Layer]:
    return [_with_weights({"kind": "linear", "outputs": layer.out_features}, layer, layer.weight, weights)]


def _tied(layer: Any, weights: Numbers) -> list[Layer]:
    (source,) = layer.source
    about = {"kind": "linear", "outputs": layer.out_features, "transposed": True}
    return [_with_weights(about, layer, source.weight, weights)]


def _convolution(layer: Any, weights: Numbers) -> list[Layer]:
    plain = layer.dilation == (1, 1) and layer.groups == 1 and layer.padding_mode == "zeros"
    if not plain or isinstance(layer.padding, str):
        raise Unknown(layer)
    about = {
        "kind": "convolution",
        "transposed": isinstance(layer, nn.ConvTranspose2d),
        "outputs": layer.out_channels,
        "kernel": list(layer.kernel_size),
        "stride": list(layer.stride),
        "padding": list(layer.padding),
        "more": list(layer.output_padding),
    }
    return [_with_weights(about, layer, layer.weight, weights)]


def _with_weights(about: Layer, layer: Any, weight: Tensor, weights: Numbers) -> Layer:
    bias = None if layer.bias is None else weights.add(layer.bias)
    return {**about, "weight": weights.add(weight), "bias": bias}


def _batch_norm(layer: Any, weights: Numbers) -> list[Layer]:
    if layer.running_mean is None or layer.running_var is None:
        raise Unknown(layer)
    scale = (layer.running_var.double() + layer.eps).rsqrt()
    if layer.affine:
        scale = scale * layer.weight.double()
    shift = -layer.running_mean.double() * scale + (layer.bias.double() if layer.affine else 0)
    return scaling(scale.float(), shift.float(), layer.num_features, weights)


def _group_norm(layer: Any, weights: Numbers) -> list[Layer]:
    about = {"kind": "group_norm", "groups": layer.num_groups, "epsilon": layer.eps}
    if not layer.affine:
        return [about]
    return [about, *scaling(layer.weight, layer.bias, layer.num_channels, weights)]


def _pooling(layer: Any, _: Numbers) -> list[Layer]:
    if (layer.kernel_size, layer.stride, layer.padding, layer.ceil_mode) != (2, 2, 0, True):
        raise Unknown(layer)
    return [{"kind": "pooling", "mode": "average" if isinstance(layer, nn.AvgPool2d) else "max"}]


def _to_size(kind: str) -> Callable[[Any, Numbers], list[Layer]]:
    return lambda layer, _: [{"kind": kind, "size": list(layer.size)}]


def _upsample(layer: Any, _: Numbers) -> list[Layer]:
    return [{"kind": str(layer.mode), "size": list(layer.size)}]


def _flatten(layer: Any, _: Numbers) -> list[Layer]:
    if (layer.start_dim, layer.end_dim) != (1, -1):
        raise Unknown(layer)
    return [{"kind": "reshape", "shape": [-1]}]


def _unflatten(layer: Any, _: Numbers) -> list[Layer]:
    return [{"kind": "reshape", "shape": list(layer.unflattened_size)}]


def _permute(layer: Any, _: Numbers) -> list[Layer]:
    return [{"kind": "permute", "order": list(layer.order)}]


def _residual(layer: Any, weights: Numbers) -> list[Layer]:
    return [{"kind": "residual", "layers": described(layer.residual, weights)}]


def _activation(layer: Any, _: Numbers) -> list[Layer]:
    if layer.extra_repr() not in (type(layer)().extra_repr(), "inplace=True"):
        raise Unknown(layer)  # of another slope than the usual one
    return [{"kind": "activation", "name": ACTIVATION_NAMES[type(layer)]}]


def _nothing(_: Any, __: Numbers) -> list[Layer]:
    return []


# ---- bottlenecks, in evaluation mode ----


def _variational(bottleneck: Any, _: Numbers) -> list[Layer]:
    return [{"kind": "first", "count": bottleneck.size}]  # the means; behind them stand the log variances


def _top_k(bottleneck: Any, _: Numbers) -> list[Layer]:
    return [{"kind": "top_k", "k": bottleneck.k}]


def _codebook(bottleneck: Any, weights: Numbers) -> list[Layer]:
    entries = bottleneck.quantiser.codebook
    return [{"kind": "codebook", "dim": bottleneck.dim, "entries": weights.add(entries)}]


def _levels(bottleneck: Any, weights: Numbers) -> list[Layer]:
    """The numbers are bounded (Mentzer et al. 2023, section 3.1, as the library does it), then rounded to a level."""
    levels = bottleneck.levels.tolist()
    half = [(level - 1) * (1 + 1e-3) / 2 for level in levels]
    offset = [0.0 if level % 2 else 0.5 for level in levels]
    shift = [float(np.arctanh(o / h)) for o, h in zip(offset, half, strict=True)]
    bounded = {"kind": "bounded", "half": half, "offset": offset, "shift": shift}
    return [bounded, {"kind": "levels", "levels": levels, "width": 1}]


def _nearest_level(bottleneck: Any, _: Numbers) -> list[Layer]:
    levels = bottleneck.levels.tolist()
    return [{"kind": "levels", "levels": levels}]


ACTIVATION_NAMES: dict[type[nn.Module], str] = {
    nn.ReLU: "relu",
    nn.LeakyReLU: "leaky_relu",
    nn.ELU: "elu",
    nn.GELU: "gelu",
    nn.SiLU: "silu",
    nn.Tanh: "tanh",
    nn.Sigmoid: "sigmoid",
}
DESCRIPTIONS: dict[type[nn.Module], Callable[[Any, Numbers], list[Layer]]] = {
    nn.Linear: _linear,
    network.TiedLinear: _tied,
    nn.Conv2d: _convolution,
    nn.ConvTranspose2d: _convolution,
    nn.BatchNorm1d: _batch_norm,
    nn.BatchNorm2d: _batch_norm,
    nn.GroupNorm: _group_norm,
    network.MaxPool: _pooling,
    nn.AvgPool2d: _pooling,
    network.Upsample: _upsample,
    network.BedOfNails: _to_size("nails"),
    network.Unpool: _to_size("nails"),  # without switches
    network.PixelShuffle: _to_size("shuffle"),
    nn.Flatten: _flatten,
    nn.Unflatten: _unflatten,
    network.Permute: _permute,
    nn.Identity: _nothing,
    network.ResidualBlock: _residual,
    **dict.fromkeys(ACTIVATION_NAMES, _activation),
    network.Vector: lambda bottleneck, weights: described(bottleneck.activation, weights),
    **dict.fromkeys((network.Variational, network.Importance, network.Vamp), _variational),
    network.TopK: _top_k,
    network.Noisy: lambda bottleneck, weights: described(bottleneck.normalise, weights),
    network.Nested: _nothing,
    network.VectorQuantised: _codebook,
    network.FiniteScalar: _levels,
}
NEAREST: dict[type[nn.Module], Callable[[Any, Numbers], list[Layer]]] = {
    network.TopK: _top_k,
    network.VectorQuantised: _codebook,
    network.FiniteScalar: _nearest_level,
}


# ---- whole networks ----


def as_base64(numbers: np.ndarray, half: bool = False) -> str:
    """Numbers as the page reads them: little-endian float32 or float16."""
    return base64.b64encode(numbers.astype("<f2" if half else "<f4").tobytes()).decode()


def encoder_of(module: Any, weights: Numbers) -> Sequence[Layer]:
    """From images in [0, 1] to codes, of an AutoencoderModule."""
    autoencoder, pixels = module.autoencoder, module.pixels
    into = scaling(1 / pixels.std, -pixels.mean / pixels.std, autoencoder.image_shape[0], weights)
    return [*into, *described(autoencoder.encoder, weights), *described(autoencoder.bottleneck, weights)]


def decoder_of(module: Any, weights: Numbers) -> Sequence[Layer]:
    """From codes to images in the scale of [0, 1], of an AutoencoderModule."""
    autoencoder, pixels = module.autoencoder, module.pixels
    out = scaling(pixels.std, pixels.mean, autoencoder.image_shape[0], weights)
    return [*described(autoencoder.decoder, weights), *described(autoencoder.output, weights), *out]
