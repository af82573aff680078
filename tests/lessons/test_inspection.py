"""The walk of shapes, of networks whose layers are known."""

import pytest
import torch
from torch import nn

from diabolo.lessons.inspection import walk
from diabolo.network.autoencoder import Autoencoder
from diabolo.network.bottlenecks.vector import Vector
from diabolo.runs.build import build_autoencoder
from diabolo.runs.config import compose_config


def made(*overrides: str) -> Autoencoder:
    return build_autoencoder(compose_config(overrides))


def test_the_walk_names_each_layer_with_its_shape_parameters_and_worked_out_size():
    steps = walk(made("model.channels=[4]", "model.head=conv", "data.image_shape=[1,9,12]", "bottleneck.size=5"))
    assert [(s.path, s.layer, s.shape, s.parameters, s.formula) for s in steps] == [
        (
            "encoder.0",
            "Conv2d 1->4 k3 s2 p1",
            (4, 5, 6),
            40,
            "floor((9 + 2*1 - 3) / 2) + 1 = 5; floor((12 + 2*1 - 3) / 2) + 1 = 6",
        ),
        ("encoder.1", "ReLU", (4, 5, 6), 0, ""),
        (
            "encoder.2",
            "Conv2d 4->5 k5x6 s1 p0",
            (5, 1, 1),
            605,
            "floor((5 + 2*0 - 5) / 1) + 1 = 1; floor((6 + 2*0 - 6) / 1) + 1 = 1",
        ),
        ("encoder.3", "Flatten", (5,), 0, ""),
        ("decoder.0", "Unflatten", (5, 1, 1), 0, ""),
        (
            "decoder.1",
            "ConvTranspose2d 5->4 k5x6 s1 p0 op0",
            (4, 5, 6),
            604,
            "(1 - 1)*1 - 2*0 + 5 + 0 = 5; (1 - 1)*1 - 2*0 + 6 + 0 = 6",
        ),
        ("decoder.2", "ReLU", (4, 5, 6), 0, ""),
        (
            "decoder.3",
            "ConvTranspose2d 4->1 k3 s2 p1 op0x1",
            (1, 9, 12),
            37,
            "(5 - 1)*2 - 2*1 + 3 + 0 = 9; (6 - 1)*2 - 2*1 + 3 + 1 = 12",
        ),
        ("output", "Sigmoid", (1, 9, 12), 0, ""),
    ]


def test_pooling_and_upsampling_say_where_they_come_from_and_go_to():
    steps = walk(made("model=conv_upsample", "model.channels=[4]", "data.image_shape=[1,9,13]"))
    told = {s.layer: s.formula for s in steps}
    assert told["MaxPool2d 2"] == "ceil(9 / 2) = 5; ceil(13 / 2) = 7"
    assert told["Upsample nearest"] == "5 to 9, as the encoder had it; 7 to 13, as the encoder had it"


def test_both_axes_of_a_square_are_worked_out_once():
    assert walk(made())[0].formula == "floor((28 + 2*1 - 3) / 2) + 1 = 14"


def test_lenet_goes_down_as_it_is_taught():
    steps = [s for s in walk(made("model=lenet", "bottleneck.size=10")) if s.path.startswith("encoder")]
    shapes = [s.shape for s in steps if not s.layer.startswith("Tanh")]
    assert shapes == [(6, 28, 28), (6, 14, 14), (16, 10, 10), (16, 5, 5), (400,), (120,), (84,), (10,)]


def test_the_walk_leaves_the_network_as_it_was():
    autoencoder = made("model=fc", "model.norm=batch")
    before = {name: value.clone() for name, value in autoencoder.state_dict().items()}
    walk(autoencoder)
    assert autoencoder.training
    assert all(torch.equal(value, before[name]) for name, value in autoencoder.state_dict().items())
    assert not any(layer._forward_hooks for layer in autoencoder.modules())


def test_inspect_prints_the_walk_the_code_size_and_the_compression(diabolo):
    ended = diabolo("inspect", "experiment=upsample_conv")
    assert ended.code == 0, ended.err
    lines = [" ".join(line.split()) for line in ended.out.splitlines()]
    assert "image 1x28x28" in lines
    assert "encoder.3 Conv2d 16->4 k3 s1 p1 4x14x14 580 floor((14 + 2*1 - 3) / 1) + 1 = 14" in lines
    assert "code: 196 numbers for 784 pixel values, compression 4:1" in ended.out
    assert "parameters: 1,477 (encoder 740, decoder 737)" in ended.out


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("bottleneck.size=0", "`bottleneck.size` (= 0) must be a whole number of at least 1"),
        ("model=fcc", "model=fcc does not exist (did you mean 'fc'?)"),
        ("botleneck.size=3", "(did you mean 'bottleneck.size'?)"),
    ],
)
def test_inspect_refuses_what_train_refuses(diabolo, override, message):
    ended = diabolo("inspect", override)
    assert (ended.code, ended.out) == (2, "")
    assert message in ended.err


class Own(nn.Sequential):
    """Layers that none of diabolo's families has, and a parameter beside them."""

    def __init__(self):
        super().__init__(
            nn.Conv2d(1, 2, 3, padding="same"),
            nn.Conv2d(2, 2, 3, dilation=2),
            nn.MaxPool2d(2),
            nn.MaxPool2d((2, 3), ceil_mode=True),
            nn.Flatten(),
            nn.LazyLinear(4),
        )
        self.scale = nn.Parameter(torch.ones(7))


def test_layers_of_ones_own_are_walked_with_the_formula_where_one_is_known():
    own = Own()
    decoder = nn.Sequential(nn.Linear(4, 225), nn.Unflatten(1, (1, 15, 15)))
    steps = {step.path: step for step in walk(Autoencoder(own, Vector(4), decoder, (1, 15, 15)))}
    assert steps["encoder.0"].formula == ""
    assert steps["encoder.1"].formula == "floor((15 + 2*0 - (2*(3 - 1) + 1)) / 1) + 1 = 11"
    assert (steps["encoder.2"].shape, steps["encoder.2"].formula) == ((2, 5, 5), "floor((11 + 2*0 - 2) / 2) + 1 = 5")
    assert steps["encoder.3"].formula == "ceil(5 / 2) = 3; ceil(5 / 3) = 2"
    assert steps["encoder"].parameters == 7
