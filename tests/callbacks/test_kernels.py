"""Kernels and feature maps: the pictures are read back and every pixel is what the weights and maps say."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from diabolo.callbacks.kernels import FeatureMaps, Kernels, caption, folded, kernels, sheet, stages
from diabolo.errors import UserError
from diabolo.network.autoencoder import Autoencoder
from diabolo.network.bottlenecks.vector import Vector
from diabolo.runs.build import build_module
from diabolo.runs.config import compose_config
from diabolo.runs.loading import load
from diabolo.training.autoencoder_module import AutoencoderModule
from support import TINY, opened_data

SMALL = ("data.image_shape=[1,8,8]", "model.channels=[4]", "bottleneck.size=3", "model.hidden=[5]")
CAPTION = 18 + 2  # pixels that a line of text takes


def made(*overrides: str):
    torch.manual_seed(0)
    config = compose_config((*SMALL, *overrides))
    data = opened_data(config)
    return build_module(config).eval(), data


def colours(values: torch.Tensor) -> np.ndarray:
    """What signed values look like as bytes, N x 3 x H x W: full red at the largest, full blue at its opposite."""
    level = (values / values.abs().max()).detach().numpy()
    red, blue = 1 - np.clip(-level, 0, 1), 1 - np.clip(level, 0, 1)
    return np.floor(np.stack([red, red + blue - 1, blue], 1) * 255 + 0.5)


def tiles(picture: np.ndarray, top: int, count: int, side: int, each: int) -> np.ndarray:
    """`count` tiles of side x side values of `each` pixels, from the row `top` of a picture: N x 3 x side x side."""
    step = side * each + 2
    cut = [picture[top : top + side * each : each, i * step : i * step + side * each : each] for i in range(count)]
    return np.stack(cut).transpose(0, 3, 1, 2)


def drawn(callback, module, data) -> np.ndarray:
    with torch.no_grad():
        return (callback.draw(module, data) * 255).round().byte().permute(1, 2, 0).numpy()


def test_a_run_draws_the_kernels_of_its_best_weights(trained):
    run = trained(*TINY, "model=conv_transpose", "model.channels=[4]", "callbacks=kernels", "logger=none")
    assert sorted(path.name for path in (run.pictures / "kernels").iterdir()) == [
        *(f"epoch_000{epoch}.png" for epoch in (0, 2)),
        "final.png",
    ]
    picture = np.asarray(Image.open(run.pictures / "kernels" / "final.png"))
    network = load(run.path).autoencoder
    first, last = network.encoder[0].weight[:, 0], network.decoder[-1].weight[:, 0]  # 4 x 1 x 3 x 3, both
    assert np.abs(tiles(picture, CAPTION, 4, 3, 19) - colours(first)).max() <= 1
    assert np.abs(tiles(picture, 2 * CAPTION + 3 * 19 + 2, 4, 3, 19) - colours(last)).max() <= 1


def test_the_first_maps_are_those_of_the_probe_image():
    module, data = made("model=conv_transpose")
    picture = drawn(FeatureMaps(image=7), module, data)
    images = data.images("test", [7])
    assert np.array_equal(tiles(picture, CAPTION, 1, 8, 7)[0], images[0].expand(3, -1, -1))
    maps = torch.relu(module.autoencoder.encoder[0](images / 255))[0]  # 4 x 4 x 4
    assert np.abs(tiles(picture, 2 * CAPTION + 56 + 2, 4, 4, 14) - colours(maps)).max() <= 1


@pytest.mark.parametrize(
    ("overrides", "titles"),
    [
        (["model=fc"], ["encoder.1 Linear, ReLU 5", "encoder.3 Linear 3", "decoder.0 Linear, ReLU 5",
                        "decoder.2 Linear, Unflatten, Sigmoid 1x8x8"]),
        (["model=conv_upsample"], ["encoder.0 Conv2d, ReLU 4x8x8", "encoder.2 MaxPool 4x4x4", "encoder.4 Linear 3",
                                   "decoder.0 Linear, Unflatten, ReLU 4x4x4", "decoder.3 Upsample 4x8x8",
                                   "decoder.4 Conv2d, Sigmoid 1x8x8"]),
        (["model=conv_transpose", "model.head=spatial", "bottleneck.size=12"],
         ["encoder.0 Conv2d, ReLU 4x4x4", "encoder.2 Conv2d, ReLU 3x2x2", "decoder.0 Unflatten 3x2x2",
          "decoder.1 ConvTranspose2d, ReLU 4x4x4", "decoder.3 ConvTranspose2d, Sigmoid 1x8x8"]),
    ],
)  # fmt: skip
def test_the_stages_are_the_layers_that_change_the_shape(overrides, titles):
    module, data = made(*overrides)
    passed = stages(module, data.images("test", [0]))
    assert [f"{title} {'x'.join(map(str, values.shape))}" for title, values in passed] == titles
    torch.testing.assert_close(passed[-1][1], module.reconstruct(data.images("test", [0]))[0])
    assert not any(layer._forward_hooks for layer in module.modules())


def test_the_stages_of_an_unpooling_decoder_are_those_with_switches():
    module, data = made("model=conv_upsample", "model.upsample=unpool")
    passed = dict(stages(module, data.images("test", [0])))
    before, pooled = passed["encoder.0 Conv2d, ReLU"], passed["encoder.2 MaxPool"]
    nails = passed["decoder.3 Unpool"]
    standing = before == torch.nn.functional.interpolate(pooled[None], (8, 8))[0]
    assert not (nails.bool() & ~standing).any()


def test_kernels_are_the_weights_between_image_and_units():
    shape, generator = (2, 3, 4), torch.Generator().manual_seed(0)
    image = torch.rand(shape, generator=generator)
    linear = nn.Linear(24, 5, bias=False)
    ours = torch.stack(kernels(linear, True, shape), 2)[:, 0]  # units x C x H x W
    torch.testing.assert_close((ours * image).sum((1, 2, 3)), linear(image.flatten()))
    back = nn.Linear(5, 24, bias=False)
    painted = torch.stack(kernels(back, False, shape), 2)[:, 0]
    torch.testing.assert_close(painted[3], back(torch.eye(5)[3]).view(shape))
    for layer, encodes in ((nn.Conv2d(2, 7, 3), True), (nn.Conv2d(7, 2, 3), False)):
        given = torch.stack(kernels(layer, encodes, shape), 2)[:, 0]  # 7 x 2 x 3 x 3
        assert torch.equal(given, layer.weight if encodes else layer.weight.transpose(0, 1))
    transposed = nn.ConvTranspose2d(7, 2, 3)
    assert torch.equal(torch.stack(kernels(transposed, False, shape), 2)[:, 0], transposed.weight)
    inner = nn.Linear(9, 5)
    assert torch.equal(kernels(inner, True, shape)[0], inner.weight.T[None, None])


def test_a_channel_of_the_image_has_a_sheet_of_its_own():
    module, data = made("data.image_shape=[3,8,8]", "model=conv_transpose")
    picture = drawn(Kernels(most=2), module, data)
    weight = module.autoencoder.encoder[0].weight  # 4 x 3 x 3 x 3
    for channel in range(3):
        level = weight[:, channel] / weight[:, channel].abs().max()
        shown = tiles(picture, CAPTION + channel * (CAPTION + 3 * 19 + 2), 2, 3, 19)
        assert np.abs(shown - colours(torch.cat([level, level.new_ones(1, 3, 3)]))[:2]).max() <= 1


def test_a_caption_says_the_symmetric_range_and_how_many_are_left_out():
    values = torch.tensor([-0.5, 0.25, 0.0, 0.125]).view(4, 1, 1, 1).expand(-1, 1, 8, 8)
    words, picture = sheet("layer", values, 3)
    assert torch.equal(words, caption("layer: 3 of 4 of 8x8, blue -0.5, red 0.5"))
    assert not torch.equal(words, caption("layer: 4 of 8x8, blue -0.5, red 0.5"))
    middles = (picture[:, 28, 28::58] * 255).round().T.tolist()
    assert middles == [[0, 0, 255], [255, 128, 128], [255, 255, 255]]
    blank = sheet("nothing", torch.zeros(1, 1, 8, 8), 3)
    assert bool((blank[1] == 1).all())


def test_vectors_are_folded():
    assert folded(torch.arange(3.0)).tolist() == [[[[0, 1, 2]]]]
    assert folded(torch.arange(18.0)).shape == (1, 1, 2, 16)
    assert folded(torch.ones(18)).sum() == 18


def test_parts_without_weights_are_drawn_as_far_as_they_go():
    flat = nn.Sequential(nn.Flatten())
    network = Autoencoder(flat, Vector(64), nn.Sequential(nn.Unflatten(1, (1, 8, 8))), (1, 8, 8))
    _, data = made()
    module = AutoencoderModule(network, nn.MSELoss())
    assert drawn(Kernels(), module, data).shape[0] == 2 * CAPTION
    assert drawn(FeatureMaps(), module, data).shape[0] == 2 * (
        CAPTION + 56 + 2
    )  # the image, then unflattened and output


@pytest.mark.parametrize("model", ["fc", "conv_upsample", "lenet", "residual"])
def test_every_family_is_drawn(model):
    module, data = made(f"model={model}", "model.channels=[4]")
    for callback in (Kernels(), FeatureMaps()):
        picture = drawn(callback, module, data)
        assert (picture.std((0, 1)) > 0).all()


def test_an_image_that_is_not_there_is_named():
    module, data = made()
    with pytest.raises(UserError, match=r"`image` names image 5000, but the test split has"):
        FeatureMaps(image=5000).draw(module, data)
