"""The families of encoders and decoders: every pair, every knob, and the sizes that cannot work."""

import re
from functools import cache
from itertools import product

import pytest
import torch
from omegaconf import DictConfig, OmegaConf
from torch import nn

from diabolo.errors import UserError
from diabolo.lessons.inspection import walk
from diabolo.network.autoencoder import Autoencoder
from diabolo.network.families.conv import ConvTransposeDecoder
from diabolo.network.families.residual import ResidualBlock
from diabolo.network.upsampling import MODES, BedOfNails, MaxPool, PixelShuffle, Unpool, Upsample
from diabolo.runs.build import build_autoencoder, build_module
from diabolo.runs.config import compose_config
from diabolo.training.autoencoder_module import AutoencoderModule
from support import CONF

ENCODERS, DECODERS = (
    {path.stem: path.read_text() for path in (CONF / g).glob("*.yaml")} for g in ("encoder", "decoder")
)
PAIRS = [(e, d) for e, d in sorted(product(ENCODERS, DECODERS)) if e == "fc" or d != "fc_tied"]
WITH_HEAD = [(e, d) for e, d in PAIRS if "head:" in ENCODERS[e] and "head:" in DECODERS[d]]
MODELS = sorted(path.stem for path in (CONF / "model").glob("*.yaml"))
SHAPES = ([1, 8, 8], [1, 28, 28], [3, 32, 32], [1, 9, 13], [3, 17, 10])
SMALL = (
    "model.channels=[4,6]",
    "model.hidden=[16,12]",
    "model.activation=tanh",
)  # tanh: no unit is dead from the start


def made(*overrides: str) -> Autoencoder:
    torch.manual_seed(0)
    return build_autoencoder(compose_config(overrides))


def of(model: nn.Module, kind: type[nn.Module], attribute: str) -> list:
    """An attribute of each layer of a kind, in order."""
    return [getattr(layer, attribute) for layer in model.modules() if isinstance(layer, kind)]


def check_gradients(module: AutoencoderModule, shape: list[int], cancelled: str = "none") -> None:
    """Runs images forward and backward: the shapes are right, and every parameter has a finite, non-zero gradient,
    which may be 0 for parameters called `cancelled`."""
    autoencoder = module.autoencoder
    images = torch.rand(3, *shape, generator=torch.Generator().manual_seed(0))
    raw, code, *_ = autoencoder(images)
    assert (raw.shape, code.shape) == (images.shape, (3, autoencoder.code_size))
    module.loss(autoencoder.output(raw), images).backward()
    for name, parameter in autoencoder.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any() or name.endswith(cancelled), name


@cache
def pair_config(encoder: str, decoder: str) -> DictConfig:
    return compose_config((f"encoder={encoder}", f"decoder={decoder}", *SMALL))


@pytest.mark.parametrize(("encoder", "decoder"), PAIRS)
def test_any_encoder_meets_any_decoder_on_any_image(encoder, decoder):
    for shape in SHAPES:
        torch.manual_seed(0)
        config = OmegaConf.merge(pair_config(encoder, decoder), {"data": {"image_shape": shape}})
        module = build_module(config)
        check_gradients(module, shape)
        steps = walk(module.autoencoder)  # works out every size by its formula and compares
        assert steps[-1].shape == tuple(shape)


def test_a_lenet_of_several_convolutions_a_stage_restores_any_image():
    for shape in SHAPES:
        config = OmegaConf.merge(pair_config("lenet", "lenet"), {"data": {"image_shape": shape}})
        config.encoder.kernel = config.decoder.kernel = [[3, 3], [5, 3, 3]]
        module = build_module(config)
        check_gradients(module, shape)
        assert walk(module.autoencoder)[-1].shape == tuple(shape)


@pytest.mark.parametrize(("encoder", "decoder"), WITH_HEAD)
@pytest.mark.parametrize("head", ["linear", "mlp", "conv", "spatial"])
def test_every_head_makes_a_code_and_images_of_it(encoder, decoder, head):
    config = pair_config(encoder, decoder).copy()
    for part in (config.encoder, config.decoder):
        part.head = head
    for shape, size in (([1, 8, 8], 3), ([3, 17, 10], 30)):  # 8 -> 4 -> 2 -> 1; 17x10 -> 9x5 -> 5x3 -> 3x2
        torch.manual_seed(0)
        module = build_module(OmegaConf.merge(config, {"data": {"image_shape": shape}, "bottleneck": {"size": size}}))
        check_gradients(module, shape)


MIRRORS = {("pooled", "conv_upsample"), ("lenet", "lenet")}  # others have no poolings to match: see test_switches.py
UPSAMPLING = [
    (*pair, mode)
    for pair, mode in product(PAIRS, MODES)
    if pair[0] in ("pooled", "lenet") and "upsample:" in DECODERS[pair[1]] and (mode != "unpool" or pair in MIRRORS)
]


@pytest.mark.parametrize(("encoder", "decoder", "mode"), UPSAMPLING)
def test_every_way_of_upsampling_restores_any_image(encoder, decoder, mode):
    config = pair_config(encoder, decoder).copy()
    config.decoder.upsample = mode
    config.encoder.pool = "max"
    for shape in SHAPES:
        torch.manual_seed(0)
        module = build_module(OmegaConf.merge(config, {"data": {"image_shape": shape}}))
        check_gradients(module, shape)
        steps = walk(module.autoencoder)
        assert steps[-1].shape == tuple(shape)
        assert all(step.formula for step in steps if step.layer.split()[0] in ("Upsample", "BedOfNails", "Unpool"))


def test_every_way_of_upsampling_gives_another_image_of_the_same_code():
    decoded = []
    for mode in ("nearest", "bilinear", "bed_of_nails"):  # of the same weights
        decoder = made(POOLED, f"model.upsample={mode}").decoder
        decoded.append(decoder(torch.linspace(-1, 1, 8)[None]))
    assert not any(torch.allclose(a, b) for i, a in enumerate(decoded) for b in decoded[:i])


@pytest.mark.parametrize("kernel", [2, 3, 4, 5, 6])
@pytest.mark.parametrize("shape", SHAPES)
def test_transposed_convolutions_of_any_kernel_restore_any_image(kernel, shape):
    decoder = ConvTransposeDecoder(3, shape, [4, 6], kernel)
    assert decoder(torch.rand(2, 3)).shape == (2, *shape)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("norm", ["batch", "group"])
def test_normalised_pairs_pass_images_and_gradients(model, norm):
    module = build_module(compose_config((f"model={model}", *SMALL, f"model.norm={norm}")))
    check_gradients(module, [1, 28, 28], cancelled="bias")  # a norm takes away the bias of the layer before it
    kind = nn.GroupNorm if norm == "group" else nn.BatchNorm1d if model.startswith("fc") else nn.BatchNorm2d
    assert of(module, kind, "eps")


def test_the_linear_and_the_conv_head_have_equally_many_weights():
    linear, conv = (made("model.head=" + head) for head in ("linear", "conv"))
    assert [p.numel() for p in linear.encoder.parameters()] == [p.numel() for p in conv.encoder.parameters()]
    assert of(linear.encoder, nn.Linear, "in_features") == [64 * 4 * 4]
    assert of(conv.encoder, nn.Conv2d, "kernel_size")[-1] == (4, 4)
    assert of(conv.decoder, nn.ConvTranspose2d, "kernel_size")[0] == (4, 4)


@pytest.mark.parametrize("model", ["conv_transpose", "conv_upsample", "residual"])
def test_the_mlp_head_goes_through_its_hidden_layers(model):
    mlp = made(f"model={model}", "model.head=mlp", "model.hidden=[20,10]", "model.norm=batch", "bottleneck.size=3")
    maps = of(mlp.encoder, nn.Linear, "in_features")[0]
    assert of(mlp.encoder, nn.Linear, "in_features") == [maps, 20, 10]
    assert of(mlp.encoder, nn.Linear, "out_features") == [20, 10, 3]
    assert of(mlp.decoder, nn.Linear, "out_features") == [10, 20, maps]
    assert of(mlp, nn.BatchNorm1d, "num_features") == [20, 10, 10, 20]
    linear = made(f"model={model}", "model.head=linear", "model.hidden=[20,10]")
    assert of(linear.encoder, nn.Linear, "in_features") == [maps]


def test_stages_have_strides_and_kernels_of_their_own_and_the_mirror_restores_each_size():
    stages = ("model.channels=[4,5,6]", "model.strides=[1,2,3]", "model.kernel=[4,3,5]", "data.image_shape=[2,19,26]")
    both = made(*stages)
    assert of(both.encoder, nn.Conv2d, "stride") == [(1, 1), (2, 2), (3, 3)]
    assert of(both.encoder, nn.Conv2d, "kernel_size") == [(4, 4), (3, 3), (5, 5)]
    assert of(both.decoder, nn.ConvTranspose2d, "stride") == [(3, 3), (2, 2), (1, 1)]
    assert of(both.decoder, nn.ConvTranspose2d, "kernel_size") == [(5, 5), (3, 3), (4, 4)]
    assert len(of(both.decoder, nn.ReLU, "training")) == 3, "after the head and each stage but the last"
    assert both(torch.rand(2, 2, 19, 26)).raw.shape == (2, 2, 19, 26)
    spatial = made(*stages, "model.head=spatial", "bottleneck.size=20", "model.strides=[1,2,3,1]", "model.kernel=3")
    assert spatial(torch.rand(2, 2, 19, 26)).raw.shape == (2, 2, 19, 26)


def test_a_transposed_convolution_of_stride_1_is_a_convolution_with_its_kernel_turned_round():
    layer = made("model.channels=[4,4]", "model.strides=[2,1]").decoder[-3]
    assert layer.stride == (1, 1)
    maps = torch.rand(2, 4, 5, 6)
    turned = nn.functional.conv2d(maps, layer.weight.transpose(0, 1).flip(2, 3), layer.bias, padding=1)
    torch.testing.assert_close(layer(maps), turned)


def test_a_stack_of_residual_layers_lies_between_the_stages_and_the_head():
    both = made("model.channels=[4,8]", "model.stack=2", "model.norm=batch")
    for part, place in ((both.encoder, 6), (both.decoder, 2)):
        assert [type(layer) for layer in list(part)[place : place + 2]] == [ResidualBlock] * 2
        block = part[place].residual
        assert [tuple(layer.weight.shape) for layer in block if isinstance(layer, nn.Conv2d)] == [
            (2, 8, 3, 3),
            (8, 2, 1, 1),
        ]
        assert [type(layer) for layer in list(part)[place + 2 : place + 4]] == [nn.BatchNorm2d, nn.ReLU]


@pytest.mark.parametrize("model", ["conv_transpose", "conv_upsample", "residual"])
def test_the_numbers_of_a_place_stand_together_in_a_code_of_places(model):
    both = made(f"model={model}", "model.channels=[4,8]", "model.head=places", f"bottleneck.size={7 * 7 * 3}")
    convolution = both.encoder[-3]
    assert (convolution.kernel_size, convolution.out_channels) == ((1, 1), 3)
    maps = torch.rand(2, 8, 7, 7)
    code = nn.Sequential(*list(both.encoder)[-3:])(maps)
    torch.testing.assert_close(code.view(2, 7, 7, 3)[:, 2, 5], convolution(maps)[:, :, 2, 5])
    torch.testing.assert_close(nn.Sequential(*list(both.decoder)[:2])(code), convolution(maps))
    assert both(torch.rand(2, 1, 28, 28)).raw.shape == (2, 1, 28, 28)


# ---- each knob changes what it is named after ----

CONV, POOLED, FC, LENET, RESIDUAL = (
    f"model={name}" for name in ("conv_transpose", "conv_upsample", "fc", "lenet", "residual")
)


@pytest.mark.parametrize(
    ("overrides", "kind", "attribute", "expected"),
    [
        ([CONV, "model.channels=[3,5]"], nn.Conv2d, "out_channels", [3, 5]),
        ([CONV, "model.channels=[3,5]"], nn.ConvTranspose2d, "out_channels", [3, 1]),
        ([CONV, "model.kernel=5"], nn.Conv2d, "kernel_size", [(5, 5)] * 3),
        ([CONV, "model.kernel=4"], nn.ConvTranspose2d, "kernel_size", [(4, 4)] * 3),
        ([CONV, "model.norm=batch"], nn.BatchNorm2d, "num_features", [16, 32, 64, 64, 32, 16]),
        ([CONV, "model.activation=elu"], nn.ELU, "alpha", [1.0] * 6),
        ([POOLED, "model.channels=[3,5]"], nn.Conv2d, "out_channels", [3, 5, 3, 1]),
        ([POOLED, "model.kernel=5"], nn.Conv2d, "kernel_size", [(5, 5)] * 6),
        ([POOLED], MaxPool, "kernel_size", [2, 2, 2]),
        ([POOLED, "model.pool=average"], nn.MaxPool2d, "kernel_size", []),
        ([POOLED, "model.pool=average"], nn.AvgPool2d, "kernel_size", [2, 2, 2]),
        ([POOLED], Upsample, "mode", ["nearest"] * 3),
        ([POOLED, "model.upsample=bilinear"], Upsample, "mode", ["bilinear"] * 3),
        ([POOLED, "model.upsample=bed_of_nails"], BedOfNails, "size", [(7, 7), (14, 14), (28, 28)]),
        ([POOLED, "model.upsample=unpool"], Unpool, "size", [(7, 7), (14, 14), (28, 28)]),
        ([POOLED, "model.upsample=pixel_shuffle"], PixelShuffle, "size", [(7, 7), (14, 14), (28, 28)]),
        ([POOLED, "model.upsample=pixel_shuffle"], nn.Conv2d, "out_channels", [16, 32, 64, 128, 64, 4]),
        ([CONV, "decoder.kernel=4"], nn.Conv2d, "kernel_size", [(3, 3)] * 3),
        ([CONV, "decoder.kernel=4"], nn.ConvTranspose2d, "kernel_size", [(4, 4)] * 3),
        ([LENET], nn.AvgPool2d, "kernel_size", [2, 2]),
        ([LENET, "encoder.pool=max"], MaxPool, "kernel_size", [2, 2]),
        ([LENET, "model.upsample=pixel_shuffle"], PixelShuffle, "size", [(10, 10), (28, 28)]),
        ([LENET, "model.upsample=pixel_shuffle"], nn.Conv2d, "out_channels", [6, 16, 64, 24]),
        ([RESIDUAL, "model.upsample=bed_of_nails"], BedOfNails, "size", [(7, 7), (14, 14), (28, 28)]),
        ([POOLED, "model.norm=group"], nn.GroupNorm, "num_groups", [8] * 6),
        ([POOLED, "model.activation=elu"], nn.ELU, "alpha", [1.0] * 6),
        ([FC, "model.hidden=[9,5]"], nn.Linear, "out_features", [9, 5, 8, 5, 9, 784]),
        ([FC, "model.hidden=[]"], nn.Linear, "out_features", [8, 784]),
        ([FC, "model.hidden=[9,5]", "model.norm=batch"], nn.BatchNorm1d, "num_features", [9, 5, 5, 9]),
        ([FC, "model.hidden=[9,5]", "model.activation=elu"], nn.ELU, "alpha", [1.0] * 4),
        ([LENET, "model.channels=[3,5]"], nn.Conv2d, "out_channels", [3, 5]),
        ([LENET, "model.hidden=[9]"], nn.Linear, "out_features", [9, 8, 9, 400]),
        ([LENET, "model.kernel=3"], nn.ConvTranspose2d, "kernel_size", [(3, 3)] * 2),
        ([LENET, "model.kernel=[[3,3],[5,3]]"], nn.Conv2d, "kernel_size", [(3, 3), (3, 3), (5, 5), (3, 3)]),
        ([LENET, "model.kernel=[[3,3],[5,3]]"], nn.Conv2d, "padding", [(1, 1), (1, 1), (0, 0), (1, 1)]),
        ([LENET, "model.kernel=[[3,3],[5,3]]"], nn.ConvTranspose2d, "padding", [(1, 1), (0, 0), (1, 1), (1, 1)]),
        ([LENET, "model.upsample=bilinear"], Upsample, "mode", ["bilinear"] * 2),
        ([LENET, "model.norm=batch"], nn.BatchNorm2d, "num_features", [6, 16, 6]),
        ([LENET, "model.norm=batch"], nn.BatchNorm1d, "num_features", [120, 84, 84, 120, 400]),
        ([RESIDUAL, "model.blocks=2"], ResidualBlock, "training", [True] * 12),
        ([RESIDUAL, "model.blocks=0"], ResidualBlock, "training", []),
        ([RESIDUAL, "model.blocks=0", "model.channels=[3,5]"], nn.Conv2d, "out_channels", [3, 5, 3, 1]),
        ([RESIDUAL, "model.norm=none"], nn.GroupNorm, "num_groups", []),
        ([RESIDUAL, "model.norm=batch", "model.blocks=0"], nn.BatchNorm2d, "num_features", [128, 128, 64, 32]),
        ([RESIDUAL, "model.activation=elu", "model.blocks=0"], nn.ELU, "alpha", [1.0] * 4),
        ([RESIDUAL, "model.upsample=bilinear"], Upsample, "mode", ["bilinear"] * 3),
    ],
)
def test_a_knob_changes_what_it_is_named_after(overrides, kind, attribute, expected):
    assert of(made(*overrides), kind, attribute) == expected


def test_the_output_is_the_activation_that_the_config_names():
    assert isinstance(made(FC, "model.output=tanh").output, nn.Tanh)


def test_the_init_of_the_config_reaches_both_halves():
    autoencoder = made(FC, "model.init=orthogonal")
    for weight in of(autoencoder, nn.Linear, "weight"):
        small = weight if len(weight) <= weight.shape[1] else weight.T
        torch.testing.assert_close(small @ small.T, torch.eye(len(small)), atol=1e-4, rtol=0)


def test_a_residual_block_adds_to_what_it_is_given():
    block = ResidualBlock(4, "silu", "group")
    maps = torch.rand(2, 4, 5, 3)
    torch.testing.assert_close(block(maps), maps + block.residual(maps))
    nn.init.zeros_(block.residual[-1].weight)
    nn.init.zeros_(block.residual[-1].bias)
    assert torch.equal(block(maps), maps)


# ---- what cannot work ----


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ([CONV, "model.channels=[1,1,1,1,1,1]"], "28x28 is too small for 6 stages: it is down to 1x1 after 5"),
        ([POOLED, "data.image_shape=[1,9,40]", "model.channels=[1,1,1,1,1]"], "9x40 is too small for 5 stages"),
        ([RESIDUAL, "data.image_shape=[1,8,8]", "model.channels=[1,1,1,1]"], "8x8 is too small for 4 stages"),
        ([LENET, "data.image_shape=[1,8,8]", "model.channels=[1,1,1]"], "8x8 is too small for 3 LeNet stages"),
        ([CONV, "model.head=spatial", "model.channels=[4]", "bottleneck.size=100"], "a multiple of 49, .* 49, 98, 147"),
        ([POOLED, "model.head=spatial", "bottleneck.size=3"], "`bottleneck.size` .= 3. does not fill maps of 2x2"),
        ([POOLED, "model.kernel=4"], "`encoder.kernel` .= 4. must be odd"),
        ([LENET, "model.kernel=4"], "`encoder.kernel` .= 4. must be odd"),
        ([LENET, "model.kernel=[[3,4],[5]]"], r"`encoder.kernel` .= \[\[3, 4\], \[5\]\]. must be odd"),
        ([LENET, "model.kernel=[[3],[5],[3]]"], "must be one number or a list for each of the 2 `channels`"),
        ([LENET, "model.kernel=[3,5]"], r"`encoder.kernel\[0\]` .= 3. must be a list of whole numbers"),
        ([CONV, "model.kernel=[3,1,3]"], r"`encoder.kernel\[1\]` .= 1. must be a whole number of at least 2"),
        ([CONV, "model.kernel=[3,5]"], r"`encoder.kernel` .= \[3, 5\]. must have 3 entries, one a stage"),
        ([CONV, "model.strides=[2,1]"], r"`encoder.strides` .= \[2, 1\]. must have 3 entries, one a stage"),
        ([CONV, "model.strides=[2,1,0]"], r"`model.strides\[2\]` .= 0. must be a whole number of at least 1"),
        ([CONV, "model.head=places", "bottleneck.size=40"], "with `model.head=places` it must be a multiple of 16"),
        (["encoder=fc", "decoder=conv_upsample", "model.kernel=2"], "`decoder.kernel` .= 2. must be odd"),
        ([CONV, "model.kernel=1"], "`encoder.kernel` .= 1. must be a whole number of at least 2"),
        ([CONV, "model.channels=[]"], r"`model.channels` .= \[\]. must be a list of whole numbers"),
        ([CONV, "model.channels=16"], "`model.channels` .= 16. must be a list of whole numbers"),
        ([FC, "model.hidden=[0]"], r"`model.hidden\[0\]` .= 0. must be a whole number of at least 1"),
        ([CONV, "model.head=flat"], "`model.head` .= 'flat'. must be one of linear, mlp, conv, spatial, places"),
        ([POOLED, "model.pool=min"], "`model.pool` .= 'min'. must be one of max, average"),
        ([RESIDUAL, "model.blocks=-1"], "`model.blocks` .= -1. must be a whole number of at least 0"),
    ],
)
def test_a_size_or_name_that_cannot_work_is_one_sentence(overrides, message):
    with pytest.raises(UserError, match=message):
        made(*overrides)


@pytest.mark.parametrize("model", [CONV, POOLED])
def test_the_possible_sizes_that_a_message_names_are_possible(model):
    spatial = (model, "model.head=spatial", "model.channels=[4]", "bottleneck.size=")
    with pytest.raises(UserError) as refused:
        made(*spatial[:-1], "bottleneck.size=100")
    named = re.findall(r"\d+", str(refused.value).split("for example")[1])
    assert named == ["49", "98", "147", "196"]
    assert [made(*spatial[:-1], spatial[-1] + size).code_size for size in named] == [49, 98, 147, 196]
