"""Upsampling by two and a convolution in one, against the two layers one after the other."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from diabolo.network.fused_upsampling import can_double, doubled
from diabolo.network.upsampling import Switched, Upsample

LAYERS = {
    "few outputs": lambda: nn.Conv2d(16, 1, 3, padding=1),
    "many": lambda: nn.Conv2d(8, 5, 3, padding=1),
    "few maps, fewer outputs": lambda: nn.Conv2d(6, 1, 5, padding=2),
    "without a bias": lambda: nn.Conv2d(16, 1, 3, padding=1, bias=False),
    "without padding": lambda: nn.Conv2d(8, 2, 5),
    "a kernel of one": lambda: nn.Conv2d(8, 2, 1),
    "an even kernel": lambda: nn.Conv2d(8, 2, 4, padding=2),
    "another height": lambda: nn.Conv2d(8, 2, (3, 5), padding=(1, 2)),
    "another height, few outputs": lambda: nn.Conv2d(24, 1, (3, 5), padding=(1, 1)),
    "transposed": lambda: nn.ConvTranspose2d(8, 3, 5),
    "transposed, padded": lambda: nn.ConvTranspose2d(8, 3, 5, padding=(2, 1)),
    "transposed, few outputs": lambda: nn.ConvTranspose2d(16, 1, 3, padding=1),
}


def in_turn(maps: torch.Tensor, layer: nn.Module) -> torch.Tensor:
    return layer(F.interpolate(maps, scale_factor=2, mode="nearest"))


def maps_for(layer: nn.Module) -> torch.Tensor:
    return torch.randn(3, layer.in_channels, 5, 4, dtype=torch.float64, requires_grad=True)


@pytest.mark.parametrize("form", [torch.contiguous_format, torch.channels_last], ids=["first", "last"])
@pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)
def test_values_and_gradients_are_those_of_both_in_turn(make, form):
    torch.manual_seed(0)
    layer = make().double().to(memory_format=form)
    maps = maps_for(layer)
    assert can_double(layer, maps)
    values, wanted = doubled(maps.contiguous(memory_format=form), layer), in_turn(maps, layer)
    torch.testing.assert_close(values, wanted, rtol=1e-12, atol=1e-12)
    sources, weights = [maps, *layer.parameters()], torch.randn_like(wanted)
    ours, theirs = (torch.autograd.grad((made * weights).sum(), sources) for made in (values, wanted))
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


class Absolute(nn.Conv2d):
    def forward(self, maps):
        return super().forward(maps).abs()


OTHERS = {
    "few maps": lambda: nn.Conv2d(4, 16, 3, padding=1),
    "a stride": lambda: nn.Conv2d(8, 2, 3, 2),
    "a dilation": lambda: nn.Conv2d(8, 2, 3, dilation=2),
    "groups": lambda: nn.Conv2d(8, 2, 3, groups=2),
    "circular": lambda: nn.Conv2d(8, 2, 3, padding=1, padding_mode="circular"),
    "padding by name": lambda: nn.Conv2d(8, 2, 3, padding="same"),
    "more padding than kernel": lambda: nn.Conv2d(8, 2, 3, padding=3),
    "derived": lambda: Absolute(8, 2, 3, padding=1),
    "linear": lambda: nn.Linear(8, 2),
}


@pytest.mark.parametrize("make", OTHERS.values(), ids=OTHERS)
def test_other_layers_are_left_alone(make):
    assert not can_double(make(), torch.zeros(1, 8, 4, 4))


def test_only_a_cpu_computes_both_at_once():
    layer = nn.Conv2d(8, 2, 3, padding=1)
    assert not can_double(layer, torch.zeros(1, 8, 4, 4, device="meta"))


@pytest.mark.parametrize("size", [(8, 8), (7, 8), (8, 9)])
@pytest.mark.parametrize("make", OTHERS.values(), ids=OTHERS)
def test_any_pair_of_layers_gives_what_both_give(make, size):
    layer = make()
    if isinstance(layer, nn.Conv2d):
        both = Switched(Upsample(size), layer)
        maps = torch.randn(2, layer.in_channels, 4, 4)
        torch.testing.assert_close(both(maps), layer(F.interpolate(maps, size)))


@pytest.fixture
def calls(monkeypatch):
    """What was computed at once."""
    made = []
    monkeypatch.setattr(
        "diabolo.network.upsampling.doubled", lambda maps, layer: made.append(layer) or doubled(maps, layer)
    )
    return made


@pytest.mark.parametrize(
    ("upsample", "at_once"),
    [(Upsample((8, 8)), True), (Upsample((8, 7)), False), (Upsample((8, 8), "bilinear"), False)],
    ids=["by two", "cropped", "bilinear"],
)
def test_an_upsampling_by_two_and_its_convolution_are_computed_at_once(calls, upsample, at_once):
    both = Switched(nn.ReLU(), upsample, nn.Conv2d(8, 2, 3, padding=1), nn.Tanh())
    maps = torch.randn(2, 8, 4, 4)
    wanted = maps
    for layer in both:
        wanted = layer(wanted)
    torch.testing.assert_close(both(maps), wanted)
    assert calls == [both[2]] * at_once


def test_who_watches_a_layer_sees_it(calls):
    both, seen = Switched(Upsample((8, 8)), nn.Conv2d(8, 2, 3, padding=1)), []
    for layer in both:
        hook = layer.register_forward_hook(lambda layer, inputs, output: seen.append((type(layer), output.shape)))
        both(torch.randn(2, 8, 4, 4))
        hook.remove()
    hook = both[1].register_forward_pre_hook(lambda layer, inputs: seen.append(inputs[0].shape))
    both(torch.randn(2, 8, 4, 4))
    assert seen == [(Upsample, (2, 8, 8, 8)), (nn.Conv2d, (2, 2, 8, 8)), (2, 8, 8, 8)]
    assert not calls


@pytest.mark.parametrize("hook", ["register_full_backward_hook", "register_full_backward_pre_hook"])
@pytest.mark.parametrize("watched", [0, 1])
def test_who_watches_the_gradients_of_a_layer_sees_them(calls, watched, hook):
    both, seen = Switched(Upsample((8, 8)), nn.Conv2d(8, 2, 3, padding=1)), []
    getattr(both[watched], hook)(lambda layer, *gradients: seen.append(gradients[-1][0].shape))
    both(torch.randn(2, 8, 4, 4, requires_grad=True)).sum().backward()
    assert seen == [((2, 8, 8, 8), (2, 2, 8, 8))[watched]]
    assert not calls


def test_it_learns_under_bfloat16(calls):
    torch.manual_seed(0)
    both = Switched(Upsample((8, 8)), nn.Conv2d(16, 1, 3, padding=1))
    maps = torch.randn(2, 16, 4, 4)
    exact = both[1](both[0](maps))
    with torch.autocast("cpu", torch.bfloat16):
        made = both(maps)
    assert calls
    torch.testing.assert_close(made.float(), exact, rtol=0.02, atol=0.02)
    ours, theirs = (torch.autograd.grad(one.float().square().sum(), both[1].weight)[0] for one in (made, exact))
    torch.testing.assert_close(ours, theirs, rtol=0.05, atol=0.5)
