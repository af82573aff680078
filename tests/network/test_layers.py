"""Activations, normalisations and initial weights, against their formulas."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from diabolo.errors import UserError
from diabolo.network.layers import ACTIVATIONS, INITS, NORMS, activation, initialise, norm, norm_act

FORMULAS = {
    "identity": lambda x: x,
    "relu": lambda x: np.maximum(x, 0),
    "leaky_relu": lambda x: np.where(x > 0, x, 0.01 * x),
    "elu": lambda x: np.where(x > 0, x, np.exp(x) - 1),
    "gelu": lambda x: x * (1 + np.vectorize(math.erf)(x / math.sqrt(2))) / 2,
    "silu": lambda x: x / (1 + np.exp(-x)),
    "tanh": np.tanh,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_is_the_function_it_is_named_after(name):
    x = np.linspace(-4, 4, 41)
    np.testing.assert_allclose(activation(name)(torch.from_numpy(x)), FORMULAS[name](x), atol=1e-7)


def test_no_activation_is_the_identity():
    assert isinstance(activation(None), nn.Identity)


@pytest.mark.parametrize("shape", [(6, 8, 5, 3), (6, 8)])
def test_batch_norm_standardises_each_channel_over_the_batch(shape):
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0)) * 3 + 2
    axes = tuple(axis for axis in range(len(shape)) if axis != 1)
    plain = x.numpy()
    wanted = (plain - plain.mean(axes, keepdims=True)) / np.sqrt(plain.var(axes, keepdims=True) + 1e-5)
    np.testing.assert_allclose(norm("batch", 8, spatial=len(shape) == 4)(x).detach(), wanted, atol=1e-5)


@pytest.mark.parametrize(("channels", "groups"), [(1, 1), (2, 1), (3, 1), (4, 2), (12, 2), (16, 8), (64, 8)])
def test_group_norm_standardises_groups_of_two_channels_or_more(channels, groups):
    x = torch.randn(3, channels, 5, 4, generator=torch.Generator().manual_seed(0)) * 3 + 2
    plain = x.numpy().reshape(3, groups, -1)
    wanted = (plain - plain.mean(2, keepdims=True)) / np.sqrt(plain.var(2, keepdims=True) + 1e-5)
    np.testing.assert_allclose(norm("group", channels)(x).detach().numpy().reshape(wanted.shape), wanted, atol=1e-5)


def test_a_layer_is_finished_by_its_normalisation_and_then_its_activation():
    kinds = {name: [type(layer) for layer in norm_act(4, name, "tanh")] for name in NORMS}
    assert kinds == {"none": [nn.Tanh], "batch": [nn.BatchNorm2d, nn.Tanh], "group": [nn.GroupNorm, nn.Tanh]}
    assert [type(layer) for layer in norm_act(4, "batch", "relu", spatial=False)] == [nn.BatchNorm1d, nn.ReLU]


def drawn(scheme: str) -> dict[str, nn.Module]:
    """Layers large enough that the largest of their weights comes close to the bound of its distribution."""
    torch.manual_seed(0)
    layers = nn.ModuleDict(
        {
            "linear": nn.Linear(100, 60),
            "conv": nn.Conv2d(8, 16, 3),
            "transposed": nn.ConvTranspose2d(8, 16, 3),
            "norm": nn.BatchNorm2d(8),
        }
    )
    initialise(layers, scheme)
    return dict(layers.items())


@pytest.mark.parametrize("scheme", [scheme for scheme in INITS if scheme != "default"])
def test_an_init_zeroes_biases_and_leaves_norms_alone(scheme):
    layers = drawn(scheme)
    assert not any(layers[name].bias.any() for name in ("linear", "conv", "transposed"))
    assert (layers["norm"].weight == 1).all()


def test_the_default_init_changes_nothing():
    layer = nn.Conv2d(2, 3, 3)
    before = {name: value.clone() for name, value in layer.state_dict().items()}
    initialise(layer, "default")
    assert all(torch.equal(value, before[name]) for name, value in layer.state_dict().items())
    assert layer.bias.all()


@pytest.mark.parametrize(
    ("scheme", "name", "bound"),
    [
        ("xavier", "linear", math.sqrt(6 / (100 + 60))),
        ("xavier", "conv", math.sqrt(6 / (9 * 8 + 9 * 16))),
        ("xavier", "transposed", math.sqrt(6 / (9 * 8 + 9 * 16))),
        ("kaiming", "linear", math.sqrt(6 / 100)),
        ("kaiming", "conv", math.sqrt(6 / (9 * 8))),
        ("kaiming", "transposed", math.sqrt(6 / (9 * 8))),
    ],
)
def test_uniform_inits_fill_their_papers_interval(scheme, name, bound):
    weights = drawn(scheme)[name].weight.detach()
    assert 0.97 * bound < weights.abs().max() <= bound
    assert weights.std() == pytest.approx(bound / math.sqrt(3), rel=0.05)


@pytest.mark.parametrize("name", ["linear", "conv", "transposed"])
def test_orthogonal_weights_are_orthonormal(name):
    weights = drawn("orthogonal")[name].weight.detach().flatten(1)
    torch.testing.assert_close(weights @ weights.T, torch.eye(len(weights)), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: activation("rellu"), r"`activation` \(= 'rellu'\) must be one of identity, relu"),
        (lambda: norm("layer", 4), r"`norm` \(= 'layer'\) must be one of none, batch, group"),
        (lambda: initialise(nn.Linear(1, 1), "he"), r"`init` \(= 'he'\) must be one of default, xavier"),
    ],
)
def test_an_unknown_name_is_answered_with_the_known_ones(make, message):
    with pytest.raises(UserError, match=message):
        make()
