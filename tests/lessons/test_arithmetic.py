"""Worked size formulas: the notes' examples, PyTorch's own sizes, and what is refused."""

import pytest
import torch
from torch import nn

from diabolo.errors import UserError
from diabolo.lessons.arithmetic import free_layer, of_layer, pool, weights


@pytest.mark.parametrize(
    ("layer", "numbers"),
    [
        ("conv:in=64,kernel=5", "floor((64 + 2*0 - 5) / 1) + 1 = 60"),
        ("transposed:in=60,kernel=5", "(60 - 1)*1 - 2*0 + 5 + 0 = 64"),
        ("transposed:in=64,kernel=5", "(64 - 1)*1 - 2*0 + 5 + 0 = 68"),
        ("transposed:in=64,kernel=5,padding=2", "(64 - 1)*1 - 2*2 + 5 + 0 = 64"),
        ("transposed:in=64,kernel=5,stride=2,padding=2,output_padding=1", "(64 - 1)*2 - 2*2 + 5 + 1 = 128"),
        ("conv:in=28,kernel=3,stride=2,padding=1", "floor((28 + 2*1 - 3) / 2) + 1 = 14"),
        ("conv:in=28,kernel=3,dilation=2", "floor((28 + 2*0 - (2*(3 - 1) + 1)) / 1) + 1 = 24"),
        ("pool:in=13,kernel=2", "floor((13 + 2*0 - 2) / 2) + 1 = 6"),
        ("pool:in=13,kernel=2,ceil=1", "ceil(13 / 2) = 7"),
        ("pool:in=6,kernel=2,stride=4,ceil=1", "ceil((6 + 2*0 - 2) / 4) + 1 = 2"),
        ("pool:in=4,kernel=1,stride=2,ceil=1",
         "ceil((4 + 2*0 - 1) / 2) + 1 = 3, less 1 that would begin beyond the border = 2"),
        ("upsample:in=7,to=13", "7 to 13, as the encoder had it"),
    ],
)  # fmt: skip
def test_a_layer_alone_is_worked_out(layer, numbers):
    said, worked = free_layer(layer)
    assert worked.numbers == numbers
    assert numbers.endswith(str(worked.result)) or "to" in numbers
    assert said.endswith(f"to {worked.result}")


@pytest.mark.parametrize("kernel", [1, 2, 3])
@pytest.mark.parametrize("stride", [1, 2, 3, 4])
@pytest.mark.parametrize("padding", [0, 1])
@pytest.mark.parametrize("ceil", [False, True])
def test_pooling_is_as_pytorch_does_it(kernel, stride, padding, ceil):
    if 2 * padding > kernel:
        return
    layer = nn.MaxPool2d(kernel, stride, padding, ceil_mode=ceil)
    for size in range(3, 12):
        theirs = layer(torch.zeros(1, 1, size, size)).shape[2]
        assert pool(size, kernel, stride, padding, int(ceil)).result == theirs
        worked = of_layer(layer, 0, size, theirs)
        assert worked is not None
        assert worked.numbers.endswith(f"= {theirs}")


def test_a_layer_that_does_something_else_has_no_formula():
    assert of_layer(nn.ReLU(), 0, 5, 5) is None
    assert of_layer(nn.Conv2d(1, 1, 3, padding="same"), 0, 5, 5) is None
    assert of_layer(nn.Conv2d(1, 1, 3), 0, 5, 4) is None


@pytest.mark.parametrize(
    ("layer", "said"),
    [
        (nn.Conv2d(3, 8, (3, 5)), "3*8*3*5 + 8 = 368"),
        (nn.ConvTranspose2d(8, 2, 4, bias=False), "8*2*4*4 = 256"),
        (nn.Linear(784, 32), "784*32 + 32 = 25,120"),
        (nn.ReLU(), ""),
        (nn.Conv2d(4, 4, 3, groups=2), ""),
    ],
)
def test_weights_are_counted(layer, said):
    assert weights(layer) == said


@pytest.mark.parametrize(
    ("layer", "sentence"),
    [
        ("cov:in=3", "`--layer` (= 'cov') must be one of conv, transposed, pool, upsample (did you mean 'conv'?)."),
        ("conv:kernel=3", "`--layer` 'conv:kernel=3' needs in=NUMBER, as in conv:in=64,kernel=5."),
        ("upsample:in=3", "`--layer` 'upsample:in=3' needs to=NUMBER, as in upsample:in=64,to=128."),
        ("conv:in=3,kernl=3", "'kernl=3' is no setting of conv; write NAME=NUMBER for in, kernel, stride, padding,"
         " dilation (did you mean 'kernel'?)."),
        ("conv:in=8,kernel", "'kernel' is no setting of conv"),
        ("conv:in=8,kernel=0", "`--layer conv:kernel` (= 0) must be a whole number of at least 1."),
        ("conv:in=8,kernel=2.5", "`--layer conv:kernel` (= '2.5') must be a whole number of at least 1."),
        ("conv:in=3,kernel=5", "leaves nothing of a side of 3: floor((3 + 2*0 - 5) / 1) + 1 = -1."),
    ],
)  # fmt: skip
def test_what_is_no_layer_is_refused_in_one_sentence(layer, sentence):
    with pytest.raises(UserError) as refused:
        free_layer(layer)
    assert sentence in str(refused.value)


def test_inspect_works_layers_out_one_after_the_other(diabolo):
    chain = ("--layer", "conv:in=64,kernel=5", "--layer", "transposed:kernel=5", "--layer", "transposed:kernel=5")
    ended = diabolo("inspect", *chain)
    assert ended.code == 0, ended.err
    assert ended.out.splitlines() == [
        "conv kernel 5: 64 to 60",
        "  floor((in + 2p - (d(k - 1) + 1)) / s) + 1",
        "  floor((64 + 2*0 - 5) / 1) + 1 = 60",
        "transposed kernel 5: 60 to 64",
        "  (in - 1)s - 2p + (d(k - 1) + 1) + op",
        "  (60 - 1)*1 - 2*0 + 5 + 0 = 64",
        "transposed kernel 5: 64 to 68",
        "  (in - 1)s - 2p + (d(k - 1) + 1) + op",
        "  (64 - 1)*1 - 2*0 + 5 + 0 = 68",
    ]
    refused = diabolo("inspect", "--layer", "conv:kernel=5")
    assert (refused.code, refused.out) == (2, "")
    assert diabolo("inspect", "model=fc", *chain).code == 2


def test_inspect_arithmetic_works_out_each_layer_of_the_network(diabolo):
    small = ("model.channels=[4]", "data.image_shape=[1,9,12]", "bottleneck.size=5")
    ended = diabolo("inspect", "--arithmetic", "model=conv_upsample", "model.upsample=pixel_shuffle", *small)
    assert ended.code == 0, ended.err
    blocks = ended.out.split("\n\n")[1].splitlines()
    assert blocks[:6] == [
        "encoder.0 Conv2d 1->4 k3 s1 p1: 4x9x12",
        "  size     floor((in + 2p - (d(k - 1) + 1)) / s) + 1",
        "  size     floor((9 + 2*1 - 3) / 1) + 1 = 9",
        "  size     floor((12 + 2*1 - 3) / 1) + 1 = 12",
        "  weights  1*4*3*3 + 4 = 40",
        "encoder.2 MaxPool2d 2: 4x5x6",
    ]
    assert blocks[-4:] == [
        "decoder.4 PixelShuffle: 1x9x12",
        "  size     2 in, less what is cropped",
        "  size     2*5 - 1 = 9",
        "  size     2*6 = 12",
    ]
    transposed = diabolo("inspect", "--arithmetic", *small).out
    assert "  size     (5 - 1)*2 - 2*1 + 3 + 0 = 9\n  size     (6 - 1)*2 - 2*1 + 3 + 1 = 12\n" in transposed
