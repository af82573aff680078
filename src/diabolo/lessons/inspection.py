"""`diabolo inspect`: the shapes of an image on its way through a network, with each size worked out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import torch
from omegaconf import DictConfig
from torch import Tensor, nn
from torch.nn.utils.parametrize import type_before_parametrizations

from diabolo.lessons.arithmetic import Worked, free_layer, of_layer, weights
from diabolo.network.autoencoder import Autoencoder
from diabolo.network.layers import is_leaf, is_normalisation
from diabolo.network.upsampling import Upsample

if TYPE_CHECKING:
    from diabolo.network.classifier import Classifier

LETTERS = "k kernel, s stride, p padding, d dilation, op output padding; weights: inputs*outputs*kernel + biases"


@dataclass
class Step:
    """One layer on the way of an image."""

    path: str  # in the network, e.g. "encoder.0"
    layer: str  # its kind and settings, e.g. "Conv2d 1->16 k3 s2 p1"
    shape: tuple[int, ...]  # of its output, without N
    parameters: int
    sizes: list[Worked]  # its size formula worked out: once, or for each axis if they differ
    weights: str = ""  # how its number of parameters is computed

    @property
    def formula(self) -> str:
        """The size formulas with their numbers; "" if none is known."""
        return "; ".join(worked.numbers for worked in self.sizes)


def walk(network: Autoencoder | Classifier) -> list[Step]:
    """The layers in the order in which an image passes them."""
    steps: list[Step] = []
    hooks = []

    def note(path: str) -> Callable[[nn.Module, tuple[Any, ...], Any], None]:
        def hook(layer: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
            if isinstance(output, Tensor) and inputs and isinstance(inputs[0], Tensor):
                parameters = sum(p.numel() for p in layer.parameters(recurse=is_leaf(layer)))
                sizes = _worked(layer, inputs[0].shape, output.shape)
                steps.append(Step(path, _describe(layer), tuple(output.shape[1:]), parameters, sizes, weights(layer)))

        return hook

    for path, layer in network.named_modules():
        if is_normalisation(path):
            continue
        owns = any(True for _ in layer.parameters(recurse=False))
        if (is_leaf(layer) or owns) and not isinstance(layer, nn.Identity):
            hooks.append(layer.register_forward_hook(note(path)))
    training = network.training
    network.eval()
    try:
        with torch.no_grad():
            zeros = torch.zeros(1, *network.image_shape)
            conditional = isinstance(network, Autoencoder) and network.condition is not None
            label: Any = {"labels": torch.zeros(1, dtype=torch.long)} if conditional else {}
            network.decode(network.encode(zeros, **label), **label)
    finally:
        network.train(training)
        for hook in hooks:
            hook.remove()
    return steps


def print_walk(config: DictConfig) -> None:
    """Prints the layers on the way, the code size, the compression ratio and the parameters of each part."""
    from diabolo.runs.build import build_module
    from diabolo.runs.terminal import console, text_table

    network: Any = build_module(config).trained()
    lines = [["image", "", _times(network.image_shape), "", ""]]
    for step in walk(network):
        parameters = f"{step.parameters:,}" if step.parameters else ""
        lines.append([step.path, step.layer, _times(step.shape), parameters, step.formula])
    console.print(text_table(["layer", "", "output", "parameters", "size"], lines, right=["parameters"]))
    pixels, size = prod(network.image_shape), network.code_size
    parts = {name: sum(p.numel() for p in part.parameters()) for name, part in network.named_children()}
    counted = ", ".join(f"{name} {count:,}" for name, count in parts.items() if count)
    console.print(f"\ncode: {size} numbers for {pixels:,} pixel values, compression {pixels / size:.4g}:1")
    if network.switch_count:
        console.print(
            f"beside the code, a reconstruction uses the places of {network.switch_count:,} maxima (2 bits each);"
            " decoding a code alone puts each value into the corner of its window"
        )
    console.print(f"parameters: {sum(parts.values()):,} ({counted})")


def print_arithmetic(config: DictConfig) -> None:
    """Prints the size formula of each layer that has one, in letters and in numbers, and its number of weights."""
    from diabolo.runs.build import build_module
    from diabolo.runs.terminal import console

    console.print(f"{LETTERS}\n")
    network: Any = build_module(config).trained()
    for step in walk(network):
        if step.sizes or step.weights:
            console.print(f"[bold]{step.path}[/] {step.layer}: {_times(step.shape)}")
            for line in (*[worked.letters for worked in step.sizes][:1], *(worked.numbers for worked in step.sizes)):
                console.print(f"  size     {line}", soft_wrap=True)
            if step.weights:
                console.print(f"  weights  {step.weights}", soft_wrap=True)


def print_layers(layers: Sequence[str]) -> None:
    """Prints the sizes of layers given as text, worked out; one without `in` follows the one before.

    Args:
        layers: such as "conv:in=64,kernel=5"; see `diabolo.lessons.arithmetic.free_layer`.

    Raises:
        UserError: a text that names no layer.
    """
    from diabolo.runs.terminal import console

    size, lines = None, []
    for text in layers:
        said, worked = free_layer(text, size)
        size = worked.result
        lines += [said, f"  {worked.letters}", f"  {worked.numbers}"]
    console.print("\n".join(lines), soft_wrap=True, markup=False)


def _times(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))


def _describe(layer: nn.Module) -> str:
    name = type_before_parametrizations(layer).__name__
    if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
        words = [f"{layer.in_channels}->{layer.out_channels}", f"k{_one(layer.kernel_size)}", f"s{_one(layer.stride)}"]
        words.append(f"p{_one(layer.padding)}")
        if isinstance(layer, nn.ConvTranspose2d):
            words.append(f"op{_one(layer.output_padding)}")
        return f"{name} {' '.join(words)}"
    if isinstance(layer, nn.Linear):
        return f"{name} {layer.in_features}->{layer.out_features}"
    if isinstance(layer, nn.MaxPool2d | nn.AvgPool2d):
        return f"{nn.MaxPool2d.__name__ if isinstance(layer, nn.MaxPool2d) else name} {layer.kernel_size}"
    return f"{name} {layer.mode}" if isinstance(layer, Upsample) else name


def _one(values: tuple[int, ...] | str) -> str:
    """(3, 3) as "3", (3, 4) as "3x4"."""
    if isinstance(values, str):
        return values
    return str(values[0]) if len(set(values)) == 1 else "x".join(map(str, values))


def _worked(layer: nn.Module, before: torch.Size, after: torch.Size) -> list[Worked]:
    """The size formula worked out, for each axis if they differ; nothing if no formula fits what the layer did."""
    if len(before) != 4 or len(after) != 4:
        return []
    axes = [of_layer(layer, axis, before[2 + axis], after[2 + axis]) for axis in (0, 1)]
    return list(dict.fromkeys(one for one in axes if one is not None)) if None not in axes else []
