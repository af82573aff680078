"""The network's scale of pixels and the way back."""

import pytest
import torch

from diabolo.data.pixels import PixelScale
from diabolo.errors import UserError

BYTES = torch.arange(2 * 3 * 4 * 5, dtype=torch.uint8).view(2, 3, 4, 5) * 2
UNIT = BYTES.float() / 255


def test_bytes_and_floats_of_the_same_image_are_scaled_alike():
    for scale in (PixelScale(), PixelScale(0.13, 0.3)):
        torch.testing.assert_close(scale.to_network(BYTES), scale.to_network(UNIT))
        assert scale.to_network(BYTES).dtype == torch.float32


def test_without_normalisation_the_network_sees_the_unit_interval():
    assert torch.equal(PixelScale().to_network(BYTES), UNIT)
    assert torch.equal(PixelScale().to_unit(UNIT), UNIT)
    assert not PixelScale().normalises


@pytest.mark.parametrize(
    ("mean", "std", "wanted"),
    [
        (0.1307, 0.3081, (UNIT - 0.1307) / 0.3081),
        (0.5, None, UNIT - 0.5),
        (None, 0.5, UNIT / 0.5),
        (
            [0.1, 0.2, 0.3],
            [0.5, 1.0, 2.0],
            torch.stack([(UNIT[:, 0] - 0.1) / 0.5, UNIT[:, 1] - 0.2, (UNIT[:, 2] - 0.3) / 2], 1),
        ),
    ],
)
def test_mean_and_std_normalise_and_are_undone(mean, std, wanted):
    scale = PixelScale(mean, std, channels=3)
    torch.testing.assert_close(scale.to_network(BYTES), wanted)
    torch.testing.assert_close(scale.to_unit(wanted), UNIT)
    assert scale.normalises


def test_what_a_network_puts_out_beyond_the_interval_is_not_clipped():
    assert PixelScale(0.5, 0.5).to_unit(torch.tensor([[[[-3.0, 3.0]]]])).tolist() == [[[[-1.0, 2.0]]]]


def test_images_given_are_not_changed():
    images = UNIT.clone()
    PixelScale(0.5, 0.5).to_network(images)
    assert torch.equal(images, UNIT)


def test_bf16_reconstructions_come_back_in_float32():
    back = PixelScale(0.1, 0.3).to_unit(torch.full((1, 1, 1, 1), 0.5, dtype=torch.bfloat16))
    assert back.dtype == torch.float32
    assert back.item() == pytest.approx(0.25)


def test_the_scale_is_no_part_of_the_weights():
    assert PixelScale(0.1, 0.3).state_dict() == {}


@pytest.mark.parametrize(
    ("mean", "std", "message"),
    [
        ([0.1, 0.2], None, r"`data.mean` \(= \[0.1, 0.2\]\) must be one number or one for each of 3 channels"),
        (0.1, [1, 1, 1, 1], r"`data.std` \(= \[1, 1, 1, 1\]\) must be one number or one for each of 3"),
        (0.1, 0, r"`data.std` \(= 0\) must be above 0"),
        (0.1, [1, -1, 1], r"`data.std` \(= \[1, -1, 1\]\) must be above 0"),
        ("abc", None, r"`data.mean` \(= 'abc'\) must be a number or a list of numbers"),
    ],
)
def test_a_scale_that_cannot_be_undone_is_refused(mean, std, message):
    with pytest.raises(UserError, match=message):
        PixelScale(mean, std, channels=3)
