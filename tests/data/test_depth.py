"""How pixels are stored, and what is black and white: declared, never guessed from what one file holds."""

import logging

import numpy as np
import pytest
import torch
from PIL import Image

from diabolo.data.datamodule import ImageData
from diabolo.data.decoding import decode
from diabolo.data.folders.folder import folder_images
from diabolo.data.images import MemoryImages, Splits, fit_shape
from diabolo.data.pixels import to_depth, unit_interval
from diabolo.errors import UserError

DRAW = np.random.default_rng(0)
SIXTEEN = DRAW.integers(0, 65536, (12, 10), dtype=np.uint16)
EIGHT = DRAW.integers(0, 256, (12, 10, 4), dtype=np.uint8)


def numbers(tensor: torch.Tensor) -> np.ndarray:
    return tensor.numpy().astype(np.float64)


# ---- the scale ----


def test_stored_pixels_are_the_nearest_floats_to_their_part_of_the_whole_range():
    for dtype, full in ((np.uint8, 255), (np.uint16, 65535)):
        every = np.arange(full + 1).astype(dtype)
        unit = unit_interval(torch.from_numpy(every))
        assert unit.dtype == torch.float32
        assert np.array_equal(unit.numpy(), (every.astype(np.float64) / full).astype(np.float32))
    assert torch.equal(unit_interval(torch.arange(256).byte()), torch.arange(256).byte().float() / 255), "to the bit"


def test_floats_are_stored_as_they_are_and_never_changed():
    floats = torch.rand(3, 4)
    assert unit_interval(floats) is floats


def test_a_wider_type_holds_the_same_images():
    every = torch.arange(256).byte()
    assert to_depth(every, "uint8") is every
    assert to_depth(every, "uint16").tolist() == [257 * value for value in range(256)]
    assert torch.equal(to_depth(every, "float32"), unit_interval(every))
    for depth in ("uint16", "float32"):
        assert torch.equal(unit_interval(to_depth(every, depth)), unit_interval(every)), depth
        assert torch.equal(to_depth(to_depth(every, depth), "uint8"), every), depth
    deep = torch.from_numpy(np.arange(65536).astype(np.uint16))
    assert torch.equal(to_depth(to_depth(deep, "float32"), "uint16"), deep)


@pytest.mark.parametrize("depth", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize(
    ("values", "value_range"),
    [
        (np.array([0, 7, 4095], np.uint16), (0, 4095)),
        (np.array([0, 7, 4095], ">u2"), (0, 4095)),  # as big-endian files have them
        (np.array([-1000, 0, 3071], np.int16), (-1000, 3071)),
        (np.array([0, 3, 15], np.uint8), (0, 15)),
        (np.array([0, 3, 200], np.int64), (0, 255)),
        (np.array([-1.5, 0.25, 2.5]), (-2, 3)),
        (np.array([-1.5, 0.25, 2.5], np.float16), (-2, 3)),
        (np.array([False, True]), None),
        (np.array([0, 100, 127], np.int8), None),
        (np.array([0.0, 0.125, 1.0], np.float32), None),
        (np.array([5, 5, 5], np.uint16), None),  # a dark image stays dark
    ],
    ids=str,
)
def test_the_declared_range_is_spread_over_that_of_the_type(values, value_range, depth):
    low, high = value_range or {"b": (0, 1), "f": (0, 1)}.get(values.dtype.kind) or (0, np.iinfo(values.dtype).max)
    unit = [(float(value) - low) / (high - low) for value in values]
    full = {"uint8": 255, "uint16": 65535}.get(depth)
    wanted = [round(part * full) for part in unit] if full else np.float32(unit).tolist()
    stored = to_depth(values, depth, value_range)
    assert str(stored.dtype) == f"torch.{depth}"
    assert stored.tolist() == wanted
    assert torch.equal(
        to_depth(torch.from_numpy(values.astype(values.dtype.newbyteorder("="))), depth, value_range), stored
    )


@pytest.mark.parametrize(
    ("values", "value_range", "sentence"),
    [
        (np.array([0.0, np.nan]), (0, 1), "holds pixels that are no finite numbers"),
        (np.array([0.0, -np.inf]), None, "holds pixels that are no finite numbers"),
        (np.array([0, 4096], np.uint16), (0, 4095), "holds values from 0 to 4,096, outside of 0 to 4,095"),
        (np.array([0.0, 255.0]), None, "holds values from 0 to 255, outside of 0 to 1: data.value_range=[LOW,HIGH]"),
        (np.array([-1, 5], np.int16), None, "holds values from -1 to 5, outside of 0 to 32,767"),
        (np.array([0, 255]), None, "holds int64, whose range has to be declared by data.value_range=[LOW,HIGH]"),
        (np.array([0, 255], np.uint32), None, "holds uint32, whose range has to be declared"),
    ],
)
def test_what_is_outside_of_the_range_is_refused_with_the_name_of_its_file(values, value_range, sentence):
    for depth in ("uint8", "uint16", "float32"):
        with pytest.raises(UserError) as refused:
            to_depth(values, depth, value_range, "scan.npy")
        assert str(refused.value).startswith("scan.npy cannot be used: it ")
        assert sentence in str(refused.value)


# ---- files ----


def test_sixteen_bits_are_kept_where_they_are_asked_for(tmp_path):
    for name in ("a.png", "a.tiff"):
        Image.fromarray(SIXTEEN).save(tmp_path / name)
        assert np.array_equal(decode(tmp_path / name, (1, 12, 10), "crop", "uint16")[0], SIXTEEN)
        floats = decode(tmp_path / name, (1, 12, 10), "crop", "float32")
        assert np.array_equal(floats[0], (SIXTEEN / 65535).astype(np.float32))
        assert np.array_equal(decode(tmp_path / name, (1, 12, 10), "crop")[0], np.rint(SIXTEEN / 257))
        colour = decode(tmp_path / name, (3, 12, 10), "crop", "uint16")
        assert np.array_equal(colour, np.stack([SIXTEEN] * 3))


def test_a_dark_file_stays_dark_and_a_camera_of_twelve_bits_is_declared(tmp_path):
    dark = SIXTEEN // 256
    Image.fromarray(dark).save(tmp_path / "dark.png")
    assert dark.max() < 256
    assert decode(tmp_path / "dark.png", (1, 12, 10), "crop").max() <= 1, "not white because nothing in it is brighter"
    camera = SIXTEEN // 16
    Image.fromarray(camera).save(tmp_path / "camera.png")
    for depth, full in (("uint8", 255), ("uint16", 65535)):
        read = decode(tmp_path / "camera.png", (1, 12, 10), "crop", depth, (0, 4095))
        assert np.array_equal(read[0], np.rint(camera / 4095 * full))


def test_floats_are_of_the_declared_range_or_in_the_unit_interval(tmp_path):
    unit = DRAW.random((12, 10), dtype=np.float32)
    Image.fromarray(unit).save(tmp_path / "unit.tiff")
    assert np.array_equal(decode(tmp_path / "unit.tiff", (1, 12, 10), "crop", "float32")[0], unit)
    hounsfield = unit * 4000 - 1000
    Image.fromarray(hounsfield).save(tmp_path / "ct.tiff")
    read = decode(tmp_path / "ct.tiff", (1, 12, 10), "crop", "float32", (-1000, 3000))
    np.testing.assert_allclose(read[0], unit, atol=1e-6)
    with pytest.raises(UserError, match=r"1 of .*ct\.tiff \(it holds values from -\d+.* to 2,9\d\d, outside of 0 to 1"):
        folder_images(str(tmp_path), (1, 12, 10))


def test_bytes_of_a_declared_range_are_stretched_and_alpha_is_not(tmp_path):
    few = EIGHT // 16
    few[..., 3] = EIGHT[..., 3]
    Image.fromarray(few, "RGBA").save(tmp_path / "a.png")
    read = decode(tmp_path / "a.png", (4, 12, 10), "crop", "uint16", (0, 15)).numpy().transpose(1, 2, 0)
    assert np.array_equal(read[..., :3], few[..., :3] * np.uint16(4369))  # 65535 / 15
    assert np.array_equal(read[..., 3], few[..., 3] * np.uint16(257))
    assert np.array_equal(decode(tmp_path / "a.png", (4, 12, 10), "crop", "uint8", (0, 15))[0], few[..., 0] * 17)


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
def test_deep_images_are_resized_as_deep_ones(tmp_path, fit):
    Image.fromarray(SIXTEEN).save(tmp_path / "a.png")
    read = numbers(decode(tmp_path / "a.png", (1, 9, 9), fit, "uint16")[0])
    floats = Image.fromarray(SIXTEEN.astype(np.float32))
    bilinear = Image.Resampling.BILINEAR
    if fit == "pad":
        wanted = np.zeros((9, 9))
        wanted[:, 0:8] = floats.resize((8, 9), bilinear)  # 10 of 12 pixels wide: 7.5, rounded
        assert (read[:, 8] == 0).all() or (read[:, 0] == 0).all(), "black beside it"
        wanted = wanted if (read[:, 8] == 0).all() else np.roll(wanted, 1, 1)
    elif fit == "crop":
        wanted = np.asarray(floats.resize((9, 9), bilinear, (0, 1, 10, 11)))
    else:
        wanted = np.asarray(floats.resize((9, 9), bilinear))
    assert np.abs(read - wanted).max() <= 1
    shallow = numbers(decode(tmp_path / "a.png", (1, 9, 9), fit)[0])
    assert np.abs(shallow * 257 - read).max() <= 2 * 257, "as the same image in bytes, but finer"


def test_alpha_is_kept_where_it_is_asked_for(tmp_path):
    opaque = np.full((12, 10), 255)
    rgb, grey = EIGHT[..., :3], EIGHT[..., 0]
    Image.fromarray(EIGHT, "RGBA").save(tmp_path / "rgba.png")
    Image.fromarray(rgb, "RGB").save(tmp_path / "rgb.png")
    Image.fromarray(np.stack([grey, EIGHT[..., 3]], -1), "LA").save(tmp_path / "la.png")
    Image.fromarray(grey, "L").save(tmp_path / "l.png")
    Image.fromarray(SIXTEEN).save(tmp_path / "deep.png")

    def read(name: str, channels: int) -> np.ndarray:
        return decode(tmp_path / f"{name}.png", (channels, 12, 10), "crop").numpy().transpose(1, 2, 0)

    assert np.array_equal(read("rgba", 4), EIGHT)
    assert np.array_equal(read("rgba", 3), rgb), "dropped where three are asked for, as ever"
    assert np.array_equal(read("rgb", 4), np.dstack([rgb, opaque]))
    assert np.array_equal(read("la", 2), np.stack([grey, EIGHT[..., 3]], -1))
    assert np.array_equal(read("l", 2), np.stack([grey, opaque], -1))
    assert np.array_equal(read("la", 4), np.dstack([grey, grey, grey, EIGHT[..., 3]]))
    assert np.array_equal(read("rgba", 2)[..., 1], EIGHT[..., 3])
    assert np.array_equal(read("deep", 2)[..., 1], opaque)
    deep = decode(tmp_path / "deep.png", (2, 12, 10), "crop", "uint16")
    assert np.array_equal(deep, np.stack([SIXTEEN, np.full((12, 10), 65535)]))


def test_more_channels_than_files_have_are_refused(tmp_path):
    Image.fromarray(EIGHT, "RGBA").save(tmp_path / "a.png")
    with pytest.raises(
        UserError, match=r"a\.png \(data\.image_shape asks for 6 channels, and image files are read with"
    ):
        folder_images(str(tmp_path), (6, 12, 10))


@pytest.mark.parametrize("memory_limit", [1 << 30, 0])
def test_a_folder_is_read_at_its_depth_from_memory_and_streamed(tmp_path, memory_limit):
    for i in range(3):
        Image.fromarray(SIXTEEN // (i + 1)).save(tmp_path / f"{i}.png")
    train = folder_images(str(tmp_path), (1, 12, 10), memory_limit=memory_limit, depth="uint16").train
    wanted = [SIXTEEN, SIXTEEN // 2, SIXTEEN // 3]
    assert np.array_equal(train.take([0, 1, 2])[:, 0], wanted)
    assert np.array_equal(train.subset(torch.tensor([2]))[0][0], wanted[2])
    Image.fromarray(np.full((12, 10), 4096, np.uint16)).save(tmp_path / "9.png")
    with pytest.raises(UserError, match=r"0\.png .*9\.png .*outside of 0 to 4,095" if memory_limit else r"0\.png"):
        folder_images(str(tmp_path), (1, 12, 10), memory_limit=memory_limit, value_range=(0, 4095)).train.take([0])


def test_memory_is_counted_in_bytes(tmp_path):
    for i in range(2):
        Image.fromarray(SIXTEEN).save(tmp_path / f"{i}.png")
    for depth, size in (("uint8", 240), ("uint16", 480), ("float32", 960)):
        fitting = folder_images(str(tmp_path), (1, 12, 10), memory_limit=size, depth=depth).train
        streamed = folder_images(str(tmp_path), (1, 12, 10), memory_limit=size - 1, depth=depth).train
        assert isinstance(fitting, MemoryImages), depth
        assert not isinstance(streamed, MemoryImages), depth


@pytest.mark.parametrize(
    ("pixels", "said"),
    [
        (SIXTEEN, "the images hold numbers of 16 bits: 0 is taken for black and 65,535 for white; data.value_range="),
        (
            SIXTEEN.astype(np.int32),
            "the images hold numbers of 32 bits: 0 is taken for black and 65,535 for white; data",
        ),
        (
            (SIXTEEN / 65535).astype(np.float32),
            "the images hold floats: 0 is taken for black and 1 for white; data.value",
        ),
        (EIGHT[..., 0], None),
    ],
)
def test_what_is_assumed_is_said(tmp_path, caplog, pixels, said):
    Image.fromarray(pixels).save(tmp_path / "a.tiff")
    with caplog.at_level(logging.INFO, "diabolo"):
        folder_images(str(tmp_path), (1, 12, 10))
    assert [line.startswith(said or "?") for line in caplog.messages] == ([True] if said else [])
    caplog.clear()
    with caplog.at_level(logging.INFO, "diabolo"):
        folder_images(str(tmp_path), (1, 12, 10), value_range=(0, 65535))
    assert not caplog.messages


# ---- sets of images ----


@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16, torch.float32])
def test_channels_are_those_of_image_files(dtype):
    full = {torch.uint8: 255, torch.uint16: 65535}.get(dtype, 1)
    images = (torch.rand(2, 4, 12, 10) * full).to(dtype)
    rgb, grey, alpha = images[:, :3], images[:, :1], images[:, 3:]
    weights = np.array([0.299, 0.587, 0.114])
    luminance = np.einsum("nchw,c->nhw", numbers(rgb), weights)[:, None]

    def fitted(given: torch.Tensor, channels: int) -> torch.Tensor:
        made = fit_shape(given, (channels, 12, 10))
        assert made.dtype == dtype
        return made

    opaque = torch.full_like(grey, full)
    both = torch.cat([grey, alpha], 1)
    assert torch.equal(fitted(grey, 2), torch.cat([grey, opaque], 1))
    assert torch.equal(fitted(grey, 4), torch.cat([grey, grey, grey, opaque], 1))
    assert torch.equal(fitted(grey, 6), grey.expand(-1, 6, -1, -1))
    assert torch.equal(fitted(rgb, 4), torch.cat([rgb, opaque], 1))
    assert torch.equal(fitted(images, 3), rgb)
    assert torch.equal(fitted(both, 1), grey)
    assert torch.equal(fitted(both, 3), grey.expand(-1, 3, -1, -1))
    assert torch.equal(fitted(both, 4), torch.cat([grey, grey, grey, alpha], 1))
    tolerance = {torch.float32: 1e-6}.get(dtype, 0.51)
    assert np.abs(numbers(fitted(images, 1)) - luminance).max() <= tolerance
    assert np.abs(numbers(fitted(rgb, 2))[:, :1] - luminance).max() <= tolerance
    assert torch.equal(fitted(images, 2)[:, 1:], alpha)
    for given, channels in ((images.repeat(1, 2, 1, 1), 3), (rgb, 5)):
        with pytest.raises(
            UserError, match=f"the images have {given.shape[1]} channels, and `data.image_shape` asks for"
        ):
            fitted(given, channels)


@pytest.mark.parametrize(("dtype", "full"), [(np.uint16, 65535), (np.float32, 1)])
def test_resizing_keeps_the_depth(dtype, full):
    images = (DRAW.random((3, 1, 12, 20)) * full).astype(dtype)
    resized = fit_shape(torch.from_numpy(images), (1, 8, 30))
    for ours, image in zip(numbers(resized[:, 0]), images[:, 0], strict=True):
        pillow = Image.fromarray(image.astype(np.float32)).resize((30, 8), Image.Resampling.BILINEAR)
        assert np.abs(ours - pillow).max() <= 1.5e-5 * full


def test_a_source_that_knows_no_depth_is_brought_to_it():
    pixels = torch.randint(0, 256, (20, 2, 8, 8), dtype=torch.uint8)

    def opened(images: torch.Tensor, **arguments) -> ImageData:
        images = MemoryImages(images, torch.zeros(20).long())
        data = ImageData(lambda root, image_shape: Splits(images, images, images), (2, 8, 8), **arguments)
        data.setup()
        return data

    assert opened(pixels).images("test") is not None
    assert torch.equal(opened(pixels).images("test"), pixels)
    assert torch.equal(opened(pixels, depth="uint16").images("val"), pixels.to(torch.uint16) * 257)
    assert torch.equal(opened(pixels, depth="float32").images("train"), pixels.float() / 255)
    few = pixels // 16
    assert torch.equal(opened(few, value_range=[0, 15]).images("test"), few * 17)
    with pytest.raises(
        UserError, match=r"`data.source` cannot be used: it holds values from 0 to 2\d\d, outside of 0 to 15"
    ):
        opened(pixels, value_range=[0, 15])


def test_a_source_that_knows_them_is_told_depth_and_range():
    told = {}

    def source(root, image_shape, depth, value_range):
        told.update(depth=depth, value_range=value_range)
        images = MemoryImages(torch.rand(9, *image_shape), torch.zeros(9).long())
        return Splits(images, images)

    data = ImageData(source, (1, 8, 8), depth="float32", value_range=[0, 7])
    data.setup()
    assert told == {"depth": "float32", "value_range": (0, 7)}
    assert data.images("test").dtype == torch.float32


@pytest.mark.parametrize(
    ("channels", "asked", "shown"),
    [(1, None, [0]), (2, None, [0]), (3, None, [0, 1, 2]), (4, None, [0, 1, 2]), (7, None, [0, 1, 2]),
     (7, [6, 3, 0], [6, 3, 0]), (7, [5], [5]), (3, [2, 1, 0], [2, 1, 0]), (3, [1], [1]), (2, [1, 0, 1], [1, 0, 1])],
)  # fmt: skip
def test_pictures_show_one_channel_in_grey_or_three_in_colour(channels, asked, shown):
    data = ImageData(lambda **_: None, (channels, 8, 8), shown_channels=asked)
    images = torch.rand(5, channels, 8, 8)
    assert torch.equal(data.shown(images), images[:, shown])
    assert torch.equal(data.shown(images[0]), images[0, shown])
