"""The page's networks, run under Node, give what torch gives: layer by layer, and family by family."""

import pytest
import torch
from torch import nn

from diabolo import network
from diabolo.network.layers import ACTIVATIONS
from diabolo.network.upsampling import MODES, PixelShuffle, pooling
from diabolo.use.explore.layers import Numbers, Unknown, decoder_of, described, encoder_of, nearest_codes
from javascript import computed, needs_node
from networks import FEW, PAIRS, TABLE, overrides, trained_on_noise

pytestmark = needs_node

MAPS = (6, 5, 7)
LAYERS = {
    "convolution": nn.Conv2d(6, 4, 3, padding=1),
    "strided convolution": nn.Conv2d(6, 4, 4, 2, 1),
    "uneven convolution": nn.Conv2d(6, 4, (5, 2), (2, 3), (2, 0), bias=False),
    "transposed convolution": nn.ConvTranspose2d(6, 4, 3, 2, 1, (1, 0)),
    "transposed convolution of a wide kernel": nn.ConvTranspose2d(6, 4, 5, padding=2),
    "uneven transposed convolution": nn.ConvTranspose2d(6, 4, (2, 5), (3, 2), (0, 2), bias=False),
    "linear": nn.Sequential(nn.Flatten(), nn.Linear(210, 9), nn.Linear(9, 12), nn.Unflatten(1, (3, 2, 2))),
    "batch norm": nn.BatchNorm2d(6, eps=0.1),
    "batch norm of vectors": nn.Sequential(nn.Flatten(), nn.BatchNorm1d(210, affine=False)),
    "group norm": nn.GroupNorm(3, 6),
    "max-pooling": pooling("max"),
    "average pooling": pooling("average"),
    "residual": network.ResidualBlock(6, "silu", "group"),
    "residual of fewer maps": network.ResidualBlock(6, "relu", "none", inner=2),
    "permuted": nn.Sequential(
        network.Permute(1, 2, 0), nn.Flatten(), nn.Unflatten(1, (5, 7, 6)), network.Permute(2, 0, 1)
    ),
    "permuted otherwise": network.Permute(2, 0, 1),
    **{mode: make((9, 14)) for mode, make in MODES.items() if mode != "pixel_shuffle"},
    "nearest to any size": network.Upsample((8, 17)),
    "bilinear to any size": network.Upsample((8, 17), "bilinear"),
    "shuffle": nn.Sequential(nn.Conv2d(6, 8, 1), PixelShuffle((9, 13))),
    **{name: make() for name, make in ACTIVATIONS.items()},
}


@pytest.mark.parametrize("name", LAYERS)
def test_each_layer_gives_what_torch_gives(name):
    torch.manual_seed(0)
    layer = LAYERS[name]
    layer.train()(3 * torch.randn(8, *MAPS))
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        values = 3 * torch.randn(3, *MAPS)
        wanted = layer.eval()(values).flatten(1)
    weights = Numbers()
    torch.testing.assert_close(computed(described(layer, weights), weights, values), wanted, atol=5e-6, rtol=5e-6)


def check(given):
    """Encoder, decoder, and what brings codes to those that can be."""
    module = trained_on_noise(*given).module
    generator = torch.Generator().manual_seed(1)
    images = torch.rand(4, *module.autoencoder.image_shape, generator=generator)
    with torch.no_grad():
        codes = module.encode(images)
        encoder, decoder, nearest = Numbers(), Numbers(), Numbers()
        torch.testing.assert_close(computed(encoder_of(module, encoder), encoder, images), codes, atol=1e-5, rtol=1e-5)
        decoded = computed(decoder_of(module, decoder), decoder, codes)
        torch.testing.assert_close(decoded, module.decode(codes).flatten(1), atol=1e-5, rtol=1e-5)
        layers = nearest_codes(module.autoencoder.bottleneck, nearest)
        free = torch.randn(4, codes.shape[1], generator=generator)
        if layers is not None:
            torch.testing.assert_close(computed(layers, nearest, free), module.autoencoder.bottleneck.nearest(free))


@pytest.mark.parametrize("given", FEW, ids="-".join)
def test_networks_give_what_torch_gives(given):
    check(overrides(*given))


@pytest.mark.slow
@pytest.mark.parametrize("given", TABLE, ids="-".join)
def test_every_family_bottleneck_and_upsampling_gives_what_torch_gives(given):
    check(overrides(*given))


@pytest.mark.slow
@pytest.mark.parametrize(("encoder", "decoder"), PAIRS)
@pytest.mark.parametrize("norm", ["batch", "group"])
def test_every_pair_gives_what_torch_gives(encoder, decoder, norm):
    check(overrides("fc", "vector", "", f"encoder={encoder}", f"decoder={decoder}", f"model.norm={norm}"))


@pytest.mark.parametrize("head", ["mlp", "conv", "spatial", "places"])
def test_every_head_gives_what_torch_gives(head):
    check((*overrides("conv_upsample", "vector", "nearest", f"model.head={head}"), "bottleneck.size=24"))


def test_the_pixel_scale_and_the_output_belong_to_the_networks():
    colour = ("data.image_shape=[3,9,13]", "data.mean=[0.3,0.4,0.5]", "data.std=[0.2,0.3,0.1]", "model.output=tanh")
    check(overrides("residual", "vector", "bilinear", *colour))


def test_weights_of_half_the_precision_are_close():
    module = trained_on_noise(*overrides("conv_transpose", "vector", "")).module
    codes, weights = torch.randn(4, 8), Numbers()
    with torch.no_grad():
        wanted = module.decode(codes).flatten(1)
    difference = (computed(decoder_of(module, weights), weights, codes, half=True) - wanted).abs().max()
    assert 1e-6 < difference < 2e-3


def test_tied_weights_stand_in_the_page_once():
    module = trained_on_noise(*overrides("fc_tied", "vector", "")).module
    weights = Numbers()
    encoder_of(module, weights), decoder_of(module, weights)
    assert len(weights.array()) == sum(parameter.numel() for parameter in module.autoencoder.parameters())


class Doubled(nn.Sequential):
    def forward(self, values):
        return 2 * super().forward(values)


@pytest.mark.parametrize(
    "layer",
    [Doubled(), nn.Softmax(), nn.LeakyReLU(0.2), nn.Conv2d(4, 4, 3, groups=2), nn.Flatten(2), nn.MaxPool2d(3),
     nn.AvgPool2d(2), nn.Conv2d(1, 1, 3, padding="same"), nn.BatchNorm1d(3, track_running_stats=False)],
    ids=str,
)  # fmt: skip
def test_what_has_no_description_is_refused_not_computed_otherwise(layer):
    with pytest.raises(Unknown, match=f"the page cannot compute {type(layer).__name__}"):
        described(layer, Numbers())
