"""Encoder, bottleneck and decoder where they meet."""

import re

import pytest
import torch
from torch import nn

from diabolo.errors import UserError
from diabolo.network.autoencoder import Autoencoder
from diabolo.network.bottlenecks.vector import Vector
from diabolo.network.families.fc import FCDecoder, FCEncoder

SHAPE = (1, 8, 8)
IMAGES = torch.rand(5, *SHAPE, generator=torch.Generator().manual_seed(0))


def network(output: str = "sigmoid", **given: nn.Module) -> Autoencoder:
    torch.manual_seed(0)
    parts = {"encoder": FCEncoder(SHAPE, 4), "bottleneck": Vector(4, "tanh"), "decoder": FCDecoder(4, SHAPE)} | given
    return Autoencoder(**parts, image_shape=SHAPE, output=output)


def test_an_encoder_that_gives_other_than_the_bottleneck_takes_is_refused_with_both_sides():
    message = "the encoder (FCEncoder) gives (4,) for an image of (1, 8, 8), but the bottleneck (Vector) takes (6,)."
    with pytest.raises(UserError, match=re.escape(message)):
        network(bottleneck=Vector(6), decoder=FCDecoder(6, SHAPE))


def test_a_decoder_that_gives_other_than_images_is_refused_with_both_sides():
    message = "the decoder (FCDecoder) gives (1, 9, 8) for a code of 4, but the images are (1, 8, 8)."
    with pytest.raises(UserError, match=re.escape(message)):
        network(decoder=FCDecoder(4, (1, 9, 8)))


def test_the_check_leaves_mode_and_running_statistics_alone():
    normed = network(encoder=FCEncoder(SHAPE, 4, norm="batch"))
    statistics = normed.encoder[2]
    assert normed.training
    assert statistics.training
    assert statistics.num_batches_tracked == 0


@pytest.mark.parametrize("output", ["sigmoid", "tanh", "identity", "relu"])
def test_encode_decode_and_forward_agree(output):
    whole = network(output)
    raw, code, penalty, features = whole(IMAGES)
    assert torch.equal(whole.encode(IMAGES), code)
    assert torch.equal(features, whole.encoder(IMAGES))
    assert torch.equal(code, features.tanh())
    assert torch.equal(raw, whole.decoder(code))
    apply = {"sigmoid": torch.sigmoid, "tanh": torch.tanh, "identity": lambda x: x, "relu": torch.relu}[output]
    assert torch.equal(whole.decode(code), apply(raw))
    assert penalty is None


def test_under_bf16_the_output_activation_works_in_float32():
    whole = network()
    with torch.autocast("cpu", dtype=torch.bfloat16), torch.no_grad():
        raw, code, *_ = whole(IMAGES)
        images = whole.decode(code)
        assert whole.decoder(code).dtype == torch.bfloat16
    assert (raw.dtype, images.dtype) == (torch.float32, torch.float32)
    torch.testing.assert_close(images, raw.sigmoid(), rtol=0, atol=1e-7)
    assert (images != images.bfloat16().float()).float().mean() > 0.9  # finer than bf16 can tell


def test_an_unknown_output_is_answered_with_the_known_ones():
    with pytest.raises(UserError, match=r"'softmax'\) must be one of identity, relu"):
        network("softmax")
