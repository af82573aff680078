"""Small parts that every family is made of: activations, normalisations, initial and frozen weights."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from math import gcd
from typing import Any

from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

from diabolo.errors import UserError, check_choice

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "identity": nn.Identity,
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
}
NORMS = ("none", "batch", "group")
INITS = ("default", "xavier", "kaiming", "orthogonal")


def activation(name: str | None) -> nn.Module:
    """The activation called `name`; `None` is the identity."""
    return ACTIVATIONS[check_choice("activation", name or "identity", ACTIVATIONS)]()


def norm(name: str, channels: int, spatial: bool = True) -> nn.Module:
    """Normalisation of N x `channels` x H x W maps, or of N x `channels` vectors where `spatial` is false.

    "group" takes up to 8 groups of at least 2 channels (Wu & He, "Group Normalization", 2018).
    """
    check_choice("norm", name, NORMS)
    if name == "batch":
        return nn.BatchNorm2d(channels) if spatial else nn.BatchNorm1d(channels)
    if name == "group":
        return nn.GroupNorm(gcd(8, channels // 2) if channels % 2 == 0 else 1, channels)
    return nn.Identity()


def norm_act(channels: int, norm_name: str, activation_name: str, spatial: bool = True) -> list[nn.Module]:
    """What follows a layer of `channels` outputs: its normalisation, if any, then its activation."""
    normalise = norm(norm_name, channels, spatial)
    after = [] if isinstance(normalise, nn.Identity) else [normalise]
    return [*after, activation(activation_name)]


class Permute(nn.Module):
    """Puts the axes behind N into another order, of which 0 is the first: `Permute(1, 2, 0)` makes N x H x W x C of
    N x C x H x W."""

    def __init__(self, *order: int) -> None:
        super().__init__()
        self.order = order

    def forward(self, values: Tensor) -> Tensor:
        return values.permute(0, *(axis + 1 for axis in self.order))

    def extra_repr(self) -> str:
        return ", ".join(map(str, self.order))


def initialise(module: nn.Module, scheme: str) -> None:
    """Draws the weights of every linear and convolutional layer anew, in place; "default" keeps PyTorch's.

    "xavier": Glorot & Bengio 2010, uniform, with biases at 0. "kaiming": He et al. 2015, uniform for ReLU, biases 0.
    "orthogonal": Saxe et al. 2014, gain 1, biases 0.
    """
    draws: dict[str, Callable[..., Tensor]] = {
        "xavier": nn.init.xavier_uniform_,
        "kaiming": partial(nn.init.kaiming_uniform_, nonlinearity="relu"),
        "orthogonal": nn.init.orthogonal_,
    }
    draw = draws.get(check_choice("init", scheme, INITS))
    if draw is None:
        return
    for layer in module.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            if scheme == "kaiming" and isinstance(layer, nn.ConvTranspose2d):
                draw(layer.weight, mode="fan_out")  # its weight is stored the other way round: in, out, k, k
            else:
                draw(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def freeze(part: nn.Module) -> nn.Module:
    """Takes `part` out of training and returns it: it gets no gradients and is always in evaluation mode, so that
    batch normalisation keeps its statistics."""
    part.register_forward_pre_hook(_evaluate)
    return part.requires_grad_(False)


def spectrally_normalised(part: nn.Module) -> None:
    """Has each linear and convolutional layer of `part` divide its weights, as a matrix of its outputs, by their
    largest singular value, which a power iteration follows step by step in training (Miyato et al., "Spectral
    Normalization for Generative Adversarial Networks", 2018).

    Raises:
        UserError: it has no such layer with weights of its own.
    """
    layers = [layer for layer in part.modules() if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d)]
    if not layers:
        raise UserError(
            f"`decoder.spectral_norm` (= true) finds no layer with weights of its own in `decoder`"
            f" ({type(part).__name__}): set it to false, or choose another decoder."
        )
    for layer in layers:
        nn.utils.parametrizations.spectral_norm(layer)


def is_leaf(layer: nn.Module) -> bool:
    """Whether a layer has none within it, but for what normalises its weights."""
    return is_parametrized(layer) or not any(True for _ in layer.children())


def is_normalisation(path: str) -> bool:
    """Whether a module lies within a layer to normalise its weights, by its path in the network."""
    return "parametrizations" in path.split(".")


def _evaluate(part: nn.Module, _: Any) -> None:
    part.eval()  # whoever has put the whole network into training mode


@contextmanager
def settled(part: nn.Module) -> Iterator[None]:
    """Has `part` in evaluation mode, in which a bottleneck draws and counts nothing, and then as it was."""
    training = part.training
    part.eval()
    try:
        yield
    finally:
        part.train(training)
