"""`diabolo inspect`: the walk of shapes through a network, with each size worked out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import torch
from omegaconf import DictConfig
from torch import Tensor, nn

from diabolo.shapes import conv_size, pooled_size, transposed_size
from diabolo.upsampling import Upsample

if TYPE_CHECKING:
    from diabolo.autoencoder import Autoencoder
    from diabolo.classifier import Classifier


@dataclass
class Step:
    """One layer on the way: its path in the network, kind, output shape without N, parameters, and its size formula
    with the numbers put in, one string per axis that differs."""

    path: str
    layer: str
    shape: tuple[int, ...]
    parameters: int
    formula: str


def walk(network: Autoencoder | Classifier) -> list[Step]:
    """The layers in the order in which one image meets them."""
    steps: list[Step] = []
    hooks = []

    def note(path: str) -> Callable[[nn.Module, tuple[Any, ...], Any], None]:
        def hook(layer: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
            if isinstance(output, Tensor) and inputs and isinstance(inputs[0], Tensor):
                parameters = sum(p.numel() for p in layer.parameters(recurse=_is_leaf(layer)))
                formula = _formula(layer, inputs[0].shape, output.shape)
                steps.append(Step(path, _describe(layer), tuple(output.shape[1:]), parameters, formula))

        return hook

    for path, layer in network.named_modules():
        owns = any(True for _ in layer.parameters(recurse=False))
        if (_is_leaf(layer) or owns) and not isinstance(layer, nn.Identity):
            hooks.append(layer.register_forward_hook(note(path)))
    training = network.training
    network.eval()
    try:
        with torch.no_grad():
            zeros = torch.zeros(1, *network.image_shape)
            network.decode(network.encode(zeros))
    finally:
        network.train(training)
        for hook in hooks:
            hook.remove()
    return steps


def print_walk(config: DictConfig) -> None:
    """Prints the walk, the code size, the compression ratio and the parameters of each part."""
    from rich.table import Table

    from diabolo.build import build_module
    from diabolo.terminal import console

    network: Any = build_module(config).trained()
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title, justify in (
        ("layer", "left"),
        ("", "left"),
        ("output", "left"),
        ("parameters", "right"),
        ("size", "left"),
    ):
        table.add_column(title, justify=justify, overflow="fold")  # type: ignore[arg-type]
    table.add_row("image", "", _times(network.image_shape), "", "")
    for step in walk(network):
        table.add_row(
            step.path, step.layer, _times(step.shape), f"{step.parameters:,}" if step.parameters else "", step.formula
        )
    console.print(table)
    pixels, size = prod(network.image_shape), network.code_size
    parts = {name: sum(p.numel() for p in part.parameters()) for name, part in network.named_children()}
    counted = ", ".join(f"{name} {count:,}" for name, count in parts.items() if count)
    console.print(f"\ncode: {size} numbers for {pixels:,} pixel values, compression {pixels / size:.4g}:1")
    console.print(f"parameters: {sum(parts.values()):,} ({counted})")


def _times(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))


def _describe(layer: nn.Module) -> str:
    name = type(layer).__name__
    if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
        words = [f"{layer.in_channels}->{layer.out_channels}", f"k{_one(layer.kernel_size)}", f"s{_one(layer.stride)}"]
        words.append(f"p{_one(layer.padding)}")
        if isinstance(layer, nn.ConvTranspose2d):
            words.append(f"op{_one(layer.output_padding)}")
        return f"{name} {' '.join(words)}"
    if isinstance(layer, nn.Linear):
        return f"{name} {layer.in_features}->{layer.out_features}"
    if isinstance(layer, nn.MaxPool2d | nn.AvgPool2d):
        return f"{name} {layer.kernel_size}"
    return f"{name} {layer.mode}" if isinstance(layer, Upsample) else name


def _one(values: tuple[int, ...] | str) -> str:
    """(3, 3) as "3", (3, 4) as "3x4"."""
    if isinstance(values, str):
        return values
    return str(values[0]) if len(set(values)) == 1 else "x".join(map(str, values))


def _is_leaf(layer: nn.Module) -> bool:
    return not any(True for _ in layer.children())


def _formula(layer: nn.Module, before: torch.Size, after: torch.Size) -> str:
    """The size formulas of the axes that differ; "" where none is known or the layer does something else."""
    if len(before) != 4 or len(after) != 4:
        return ""
    lines: list[str] = []
    for axis in (0, 1):
        result, line = _axis(layer, axis, before[2 + axis], after[2 + axis])
        if result != after[2 + axis]:
            return ""
        lines.append(line)
    return "; ".join(dict.fromkeys(lines))


def _axis(layer: nn.Module, axis: int, size: int, target: int) -> tuple[int, str]:
    """The side that the formula gives for one axis, and the formula with its numbers."""
    if isinstance(layer, Upsample):
        return target, f"{size} to {target}, as the encoder had it"
    if isinstance(layer, nn.MaxPool2d | nn.AvgPool2d):
        window = _of(layer.kernel_size, axis)
        if (_of(layer.stride, axis), _of(layer.padding, axis), layer.ceil_mode) == (window, 0, True):
            result = pooled_size(size, window)
            return result, f"ceil({size} / {window}) = {result}"
    if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d) and not isinstance(layer.padding, str):
        k, s, p, d = (_of(values, axis) for values in (layer.kernel_size, layer.stride, layer.padding, layer.dilation))
        reach = str(k) if d == 1 else f"({d}*({k} - 1) + 1)"
        if isinstance(layer, nn.Conv2d):
            result = conv_size(size, k, s, p, d)
            return result, f"floor(({size} + 2*{p} - {reach}) / {s}) + 1 = {result}"
        extra = _of(layer.output_padding, axis)
        result = transposed_size(size, k, s, p, extra, d)
        return result, f"({size} - 1)*{s} - 2*{p} + {reach} + {extra} = {result}"
    return -1, ""


def _of(value: Any, axis: int) -> int:
    """A layer's setting for one axis: it may be one number for both."""
    return int(value[axis] if isinstance(value, tuple | list) else value)
