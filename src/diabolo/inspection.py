"""`diabolo inspect`: the walk of shapes through an autoencoder, with each size worked out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from omegaconf import DictConfig
from torch import Tensor, nn

from diabolo.autoencoder import Autoencoder
from diabolo.shapes import conv_size, pooled_size, transposed_size
from diabolo.upsampling import Upsample


@dataclass
class Step:
    """One layer on the way: its path in the autoencoder, kind, output shape without N, parameters, and its size formula
    with the numbers put in, one string per axis that differs."""

    path: str
    layer: str
    shape: tuple[int, ...]
    parameters: int
    formula: str


def walk(autoencoder: Autoencoder) -> list[Step]:
    """The layers in the order in which one image meets them."""
    steps: list[Step] = []
    hooks = []

    def note(path: str) -> Callable[[nn.Module, tuple[Any, ...], Tensor], None]:
        def hook(layer: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
            shape = tuple(output.shape[1:])
            parameters = sum(p.numel() for p in layer.parameters())
            steps.append(Step(path, _describe(layer), shape, parameters, _formula(layer, inputs[0], output)))

        return hook

    for path, layer in autoencoder.named_modules():
        leaf = not any(True for _ in layer.children())
        if leaf and not isinstance(layer, nn.Identity):
            hooks.append(layer.register_forward_hook(note(path)))
    training = autoencoder.training
    autoencoder.eval()
    try:
        with torch.no_grad():
            zeros = torch.zeros(1, *autoencoder.image_shape)
            autoencoder.decode(autoencoder.encode(zeros))
    finally:
        autoencoder.train(training)
        for hook in hooks:
            hook.remove()
    return steps


def print_walk(config: DictConfig) -> None:
    """Prints the walk, the code size, the compression ratio and the parameters of each part."""
    from rich.table import Table

    from diabolo.build import build_module
    from diabolo.terminal import console

    autoencoder = build_module(config).autoencoder
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title, justify in (
        ("layer", "left"),
        ("", "left"),
        ("output", "left"),
        ("parameters", "right"),
        ("size", "left"),
    ):
        table.add_column(title, justify=justify, overflow="fold")  # type: ignore[arg-type]
    table.add_row("image", "", _times(autoencoder.image_shape), "", "")
    for step in walk(autoencoder):
        table.add_row(
            step.path, step.layer, _times(step.shape), f"{step.parameters:,}" if step.parameters else "", step.formula
        )
    console.print(table)
    pixels, size = prod(autoencoder.image_shape), autoencoder.code_size
    parts = {name: sum(p.numel() for p in part.parameters()) for name, part in autoencoder.named_children()}
    counted = ", ".join(f"{name} {count:,}" for name, count in parts.items() if count)
    console.print(f"\ncode: {size} numbers for {pixels:,} pixel values, compression {pixels / size:.4g}:1")
    console.print(f"parameters: {sum(parts.values()):,} ({counted})")


def _times(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))


def _describe(layer: nn.Module) -> str:
    name = type(layer).__name__
    if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
        words = [f"{layer.in_channels}->{layer.out_channels}", f"k{_one(layer.kernel_size)}", f"s{_one(layer.stride)}"]
        words += [f"p{_one(layer.padding)}"]  # type: ignore[arg-type]
        if isinstance(layer, nn.ConvTranspose2d):
            words.append(f"op{_one(layer.output_padding)}")
        return f"{name} {' '.join(words)}"
    if isinstance(layer, nn.Linear):
        return f"{name} {layer.in_features}->{layer.out_features}"
    if isinstance(layer, nn.MaxPool2d | nn.AvgPool2d):
        return f"{name} {layer.kernel_size}"
    return f"{name} {layer.mode}" if isinstance(layer, Upsample) else name


def _one(values: tuple[int, ...]) -> str:
    """(3, 3) as "3", (3, 4) as "3x4"."""
    return str(values[0]) if len(set(values)) == 1 else "x".join(map(str, values))


def _formula(layer: nn.Module, before: Tensor, after: Tensor) -> str:
    if before.ndim != 4:
        return ""
    lines = []
    for axis in (0, 1):
        size = before.shape[2 + axis]
        if isinstance(layer, nn.Conv2d):
            k, s, p = layer.kernel_size[axis], layer.stride[axis], int(layer.padding[axis])
            result, line = conv_size(size, k, s, p), f"floor(({size} + 2*{p} - {k}) / {s}) + 1"
        elif isinstance(layer, nn.ConvTranspose2d):
            k, s, p = layer.kernel_size[axis], layer.stride[axis], int(layer.padding[axis])
            op = layer.output_padding[axis]
            result, line = transposed_size(size, k, s, p, op), f"({size} - 1)*{s} - 2*{p} + {k} + {op}"
        elif isinstance(layer, nn.MaxPool2d | nn.AvgPool2d):
            window = int(layer.kernel_size)  # type: ignore[arg-type]
            result, line = pooled_size(size, window), f"ceil({size} / {window})"
        elif isinstance(layer, Upsample):
            result, line = layer.size[axis], f"{size} to {layer.size[axis]}, as the encoder had it"
        else:
            return ""
        assert result == after.shape[2 + axis], f"{layer}: {result} by the formula, {tuple(after.shape)} in truth"
        if f"{line} = {result}" not in lines:
            lines.append(line if isinstance(layer, Upsample) else f"{line} = {result}")
    return "; ".join(dict.fromkeys(lines))
