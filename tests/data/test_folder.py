"""Folders of images: what Pillow reads, brought to one shape, labelled, judged and streamed."""

import logging
import os
import re

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from diabolo.data.batches import ResumableSampler, StreamedBatches
from diabolo.data.datamodule import ImageData
from diabolo.data.decoding import decode
from diabolo.data.files import FileImages
from diabolo.data.folders.folder import folder_images
from diabolo.errors import UserError

PIXELS = np.random.default_rng(0).integers(0, 256, (12, 10, 3), dtype=np.uint8)
COLOUR, GREY = Image.fromarray(PIXELS), Image.fromarray(PIXELS[..., 0])
CLEAR = Image.fromarray(np.dstack([PIXELS, PIXELS[..., :1]]))  # with an alpha channel
PALETTE = COLOUR.quantize(32)


def read(path, shape=(3, 12, 10), fit="crop"):
    return decode(path, shape, fit).numpy().transpose(1, 2, 0)


def rgb(image):
    return np.asarray(image.convert("RGB"))


def fill(folder, names, size=(10, 10)):
    """Writes a PNG of random pixels at each name."""
    draw = np.random.default_rng(1)
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw.integers(0, 256, (*size, 3), dtype=np.uint8)).save(folder / name)
    return folder


@pytest.mark.parametrize(
    ("name", "image", "options"),
    [
        ("a.png", COLOUR, {}),
        ("a.bmp", COLOUR, {}),
        ("a.tiff", COLOUR, {}),
        ("A.TIF", COLOUR, {"format": "TIFF", "compression": "tiff_lzw"}),
        ("a.webp", COLOUR, {"lossless": True}),
        ("a.ppm", COLOUR, {}),
        ("grey.png", GREY, {}),
        ("palette.png", PALETTE, {}),
        ("clear_palette.png", PALETTE, {"transparency": bytes(range(32))}),
        ("palette.gif", PALETTE, {}),
        ("clear.png", CLEAR, {}),
        ("clear_grey.png", GREY.convert("LA"), {}),
        ("cmyk.tiff", COLOUR.convert("CMYK"), {}),
        ("bits.png", GREY.convert("1"), {}),
    ],
)
def test_lossless_formats_are_read_to_the_pixel(name, image, options, tmp_path):
    image.save(tmp_path / name, **options)
    expected = PIXELS if image is CLEAR else rgb(image)  # alpha is dropped
    assert np.array_equal(read(tmp_path / name), expected)
    assert len(folder_images(str(tmp_path), (3, 12, 10)).train) == 1


@pytest.mark.parametrize("name", ["a.jpg", "a.JPEG", "a.webp", "cmyk.jpg"])
def test_lossy_formats_are_read_as_pillow_does(name, tmp_path):
    (COLOUR.convert("CMYK") if name == "cmyk.jpg" else COLOUR).save(tmp_path / name)
    with Image.open(tmp_path / name) as image:
        assert np.array_equal(read(tmp_path / name), rgb(image))


def test_sixteen_bits_and_floats_are_scaled_and_not_clipped(tmp_path):
    grey = PIXELS[..., 0]
    Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / "16.png")
    Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / "16.tiff")
    Image.fromarray(grey.astype(np.int32) * 257).save(tmp_path / "32.tiff")
    Image.fromarray(grey.astype(np.float32) / 255).save(tmp_path / "unit.tiff")
    for path in tmp_path.iterdir():
        assert np.array_equal(read(path, (1, 12, 10))[..., 0], grey), path.name


@pytest.mark.parametrize(("orientation", "turn"), [(1, 0), (3, 2), (6, 3), (8, 1)])
def test_photos_are_turned_upright_by_their_exif_data(orientation, turn, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = orientation
    COLOUR.save(tmp_path / "a.png", exif=exif)
    upright = np.rot90(PIXELS, turn)
    assert np.array_equal(read(tmp_path / "a.png", (3, *upright.shape[:2])), upright)


def test_other_sizes_are_cropped_padded_or_stretched(tmp_path):
    for pixels in (np.tile(PIXELS[:10], (1, 2, 1)), np.tile(PIXELS[:10], (2, 1, 1))):  # 10 x 20 and 20 x 10
        wide = pixels.shape[1] == 20
        image = Image.fromarray(pixels)
        image.save(tmp_path / "a.png")
        middle = pixels[:, 5:15] if wide else pixels[5:15]
        assert np.array_equal(read(tmp_path / "a.png", (3, 10, 10), "crop"), middle)
        small = np.asarray(image.resize((16, 8) if wide else (8, 16), Image.Resampling.BILINEAR))
        padded = np.zeros((16, 16, 3))
        padded[(slice(4, 12), slice(None)) if wide else (slice(None), slice(4, 12))] = small
        assert np.array_equal(read(tmp_path / "a.png", (3, 16, 16), "pad"), padded)
        stretched = image.resize((11, 9), Image.Resampling.BILINEAR)
        assert np.array_equal(read(tmp_path / "a.png", (3, 9, 11), "stretch"), stretched)


def test_colour_is_read_in_grey_by_luminance(tmp_path):
    COLOUR.save(tmp_path / "a.png")
    assert np.array_equal(read(tmp_path / "a.png", (1, 12, 10))[..., 0], COLOUR.convert("L"))


def test_the_first_folder_is_the_label(tmp_path):
    fill(tmp_path, ["cat/1.png", "cat/deep/2.png", "dog/1.png", "loose.png"])
    assert folder_images(str(tmp_path), (3, 8, 8)).train.labels.tolist() == [0, 0, 1, -1]


def test_a_single_folder_is_no_label(tmp_path):
    fill(tmp_path, ["all/1.png", "all/2.png"])
    assert folder_images(str(tmp_path), (3, 8, 8)).train.labels.tolist() == [-1, -1]


def test_train_and_test_folders_are_the_two_parts_and_share_their_labels(tmp_path):
    fill(tmp_path, ["train/a/1.png", "train/b/1.png", "train/c/1.png", "test/c/1.png", "test/c/2.png"])
    train, test, *_ = folder_images(str(tmp_path), (3, 10, 10))
    assert train.labels.tolist() == [0, 1, 2]
    assert test.labels.tolist() == [2, 2]
    assert np.array_equal(test[1].permute(1, 2, 0), rgb(Image.open(tmp_path / "test/c/2.png")))


def test_files_that_are_no_images_are_passed_over(tmp_path):
    fill(tmp_path, ["1.png"])
    for name in ("notes.txt", "paper.pdf", "labels.csv", "folder.png/x.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("nothing")
    assert len(folder_images(str(tmp_path), (3, 8, 8)).train) == 1


@pytest.fixture
def broken(tmp_path):
    """Six good images, one that is none and one cut short."""
    fill(tmp_path, [f"{i}.png" for i in range(6)])
    (tmp_path / "none.jpg").write_text("no image")
    COLOUR.resize((60, 60)).save(tmp_path / "cut.bmp")
    (tmp_path / "cut.bmp").write_bytes((tmp_path / "cut.bmp").read_bytes()[:3000])
    return tmp_path


@pytest.mark.parametrize("memory_limit", [1 << 30, 0])
def test_unreadable_files_are_skipped_by_name(broken, memory_limit, caplog):
    with caplog.at_level(logging.WARNING):
        train = folder_images(str(broken), (3, 8, 8), unreadable="skip", memory_limit=memory_limit).train
    assert len(train) == 6
    (line,) = caplog.messages
    assert "skipped 2 unreadable images" in line
    assert "none.jpg" in line
    assert "cut.bmp" in line


@pytest.mark.parametrize("memory_limit", [1 << 30, 0])
def test_what_is_left_keeps_its_labels(tmp_path, memory_limit):
    fill(tmp_path, ["a/1.png", "b/0.png", "b/1.png"])
    (tmp_path / "a" / "0.png").write_text("no image")
    train = folder_images(str(tmp_path), (3, 10, 10), unreadable="skip", memory_limit=memory_limit).train
    assert train.labels.tolist() == [0, 1, 1]
    assert np.array_equal(train[0].permute(1, 2, 0), rgb(Image.open(tmp_path / "a/1.png")))


def test_unreadable_files_are_refused_by_name(broken):
    with pytest.raises(UserError, match=r"2 of the images in .*cut\.bmp \(.*truncated.*none\.jpg \(not an image\)"):
        folder_images(str(broken), (3, 8, 8))


def test_images_too_many_for_memory_are_refused_by_their_headers(broken):
    with pytest.raises(UserError, match=r"1 of the images in .*none\.jpg \(not an image\)"):
        folder_images(str(broken), (3, 8, 8), memory_limit=0, cache_limit=0)


SENTENCE = r"[^\n]*cut\.bmp cannot be read \([^\n]*\); remove it or set data.source.unreadable=skip\."


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_broken_file_met_while_streaming_is_one_sentence(broken, workers):
    (broken / "none.jpg").unlink()
    images = folder_images(str(broken), (3, 8, 8), memory_limit=0, cache_limit=0).train
    batches = StreamedBatches(images, ResumableSampler(len(images), 2, shuffle=True), workers, pin_memory=False)
    try:  # not pytest.raises: who keeps the error keeps the workers, and waits for them at the end
        list(batches)
    except UserError as error:
        sentence = str(error)
    assert re.fullmatch(SENTENCE, sentence)


def test_a_broken_file_met_in_training_ends_the_run_with_that_sentence_and_code_2(diabolo, tiny, broken):
    (broken / "none.jpg").unlink()
    streamed = (
        *("data.source.memory_limit=0", "data.source.cache_limit=0"),
        *("data.num_workers=0", "data.val_fraction=0", "data.test_fraction=0.3"),
    )
    ended = diabolo(
        "train", *tiny, "data=folder", f"data.root={broken}", *streamed, "data.limit=null", "callbacks=none"
    )
    assert ended.code == 2
    assert re.fullmatch(f"diabolo: {SENTENCE}\n", ended.err)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_streamed_images_are_trained_on_as_those_in_memory(tmp_path):
    fill(tmp_path, [f"{label}/{i}.png" for label in "ab" for i in range(12)], (14, 11))

    def opened(memory_limit):
        def source(**arguments):
            return folder_images(**arguments, memory_limit=memory_limit, cache_limit=0)

        data = ImageData(source, (3, 8, 8), str(tmp_path), batch_size=4, num_workers=1, seed=3, block=1)
        data.setup()
        return data

    held, streamed = opened(1 << 30), opened(24 * 3 * 64 - 1)
    assert isinstance(streamed.splits["train"], FileImages)
    assert not isinstance(held.splits["train"], FileImages)
    for split in ("train", "val", "test"):
        assert torch.equal(held.images(split), streamed.images(split))
        assert torch.equal(held.labels(split), streamed.labels(split))
    batches, others = held.train_dataloader(), streamed.train_dataloader()
    for epoch in range(2):
        for one in (batches, others):
            one.order.set_epoch(epoch)
        for (pixels, labels), (their_pixels, their_labels) in zip(batches, others, strict=True):
            assert torch.equal(pixels, their_pixels)
            assert torch.equal(labels, their_labels)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"root": "nowhere"}, "`data.root` (= 'nowhere') is not a folder"),
        ({}, "there is no image in"),
        ({"fit": "squash"}, "`fit` (= 'squash') must be one of crop, stretch, pad."),
        ({"unreadable": "ignore"}, "`unreadable` (= 'ignore') must be one of refuse, skip."),
    ],
)
def test_folders_and_values_that_cannot_work_are_named(arguments, sentence, tmp_path):
    with pytest.raises(UserError) as failed:
        folder_images(**{"root": str(tmp_path), "image_shape": (3, 8, 8), **arguments})
    assert sentence in str(failed.value)


def test_pixels_that_are_no_numbers_are_refused_by_the_name_of_their_file(tmp_path):
    values = np.full((10, 10), 0.5, dtype=np.float32)
    Image.fromarray(values).save(tmp_path / "good.tiff")
    for name, wrong in (("nan", np.nan), ("inf", np.inf)):
        values[3, 4] = wrong
        Image.fromarray(values).save(tmp_path / f"{name}.tiff")
    with pytest.raises(UserError, match=r"2 of .*inf.tiff \(it holds pixels that are no finite numbers\); .*nan.tiff"):
        folder_images(str(tmp_path), (1, 10, 10))
    (kept,) = folder_images(str(tmp_path), (1, 10, 10), unreadable="skip").train
    assert kept.unique().tolist() == [128]  # half of 255, rounded to even


@pytest.mark.parametrize("memory_limit", [1 << 30, 0])
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_huge_image_is_refused_unread(memory_limit, tmp_path):
    fill(tmp_path, ["good.png"])
    Image.new("1", (13000, 13000)).save(tmp_path / "huge.png")
    sentence = r"huge.png \(it has 13,000x13,000 pixels, more than the 89,478,485 that are read\)"
    with pytest.raises(UserError, match=sentence):
        folder_images(str(tmp_path), (1, 8, 8), memory_limit=memory_limit)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    "exif",
    [
        b"",
        b"x" * 40,
        b"MM\0*\0\0\0\x08\xff\xff",
        b"II*\0\xff\xff\xff\xff",
        b"II*\0\x08\0\0\0\x01\0\x12\x01\x02\0\xff\xff\xff\xff\0\0\0\0",
    ],
)
def test_damaged_exif_data_leave_an_image_as_it_lies(exif, tmp_path):
    COLOUR.save(tmp_path / "plain.jpg", quality=95)
    COLOUR.save(tmp_path / "damaged.jpg", quality=95, exif=b"Exif\0\0" + exif)
    assert np.array_equal(read(tmp_path / "damaged.jpg"), read(tmp_path / "plain.jpg"))


def test_what_pillow_raises_about_exif_data_does_not_stop_a_folder(tmp_path, monkeypatch):
    COLOUR.save(tmp_path / "a.jpg", quality=95)
    expected = read(tmp_path / "a.jpg")

    def failing(image):
        raise SyntaxError("not a TIFF file")

    monkeypatch.setattr(Image.Image, "getexif", failing)
    assert np.array_equal(read(tmp_path / "a.jpg"), expected)
    (tmp_path / "a.jpg").write_bytes((tmp_path / "a.jpg").read_bytes()[:-60])
    with pytest.raises(UserError, match=r"a\.jpg"):  # but a cut image is a cut image
        folder_images(str(tmp_path), (3, 12, 10))


def test_folders_that_are_links_are_read_and_circles_end(tmp_path):
    fill(tmp_path / "elsewhere", ["0.png", "deeper/1.png"])
    fill(tmp_path / "set", ["cat/2.png"])
    (tmp_path / "set" / "dog").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "circle").symlink_to(tmp_path / "set")
    (tmp_path / "set" / "broken").symlink_to(tmp_path / "nowhere")
    train = folder_images(str(tmp_path / "set"), (3, 10, 10)).train
    assert train.labels.tolist() == [0, 1, 1]
    expected = [decode(tmp_path / name, (3, 10, 10), "crop") for name in ("set/cat/2.png", "elsewhere/0.png", "elsewhere/deeper/1.png")]  # fmt: skip  # noqa: E501
    assert torch.equal(train.pixels, torch.stack(expected))


def test_a_name_that_is_no_utf8_is_read_and_named(tmp_path, caplog):
    fill(tmp_path, ["good.png"])
    name = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.png")
    with open(name, "wb") as file:
        file.write((tmp_path / "good.png").read_bytes())
    assert len(folder_images(str(tmp_path), (3, 10, 10)).train) == 2
    with open(name, "wb") as file:
        file.write(b"no image")
    with pytest.raises(UserError) as refused:
        folder_images(str(tmp_path), (3, 10, 10))
    str(refused.value).encode()  # goes into any terminal and file
    assert r"caf\udce9.png (not an image)" in str(refused.value)
    assert len(folder_images(str(tmp_path), (3, 10, 10), unreadable="skip").train) == 1
    caplog.text.encode()


def test_a_negative_memory_limit_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"`memory_limit` \(= -1\) must be a whole number of at least 0"):
        folder_images(str(tmp_path), (3, 8, 8), memory_limit=-1)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_an_image_is_turned_although_other_exif_data_are_damaged(tmp_path):
    """Pillow's own `exif_transpose` writes the data back, and fails on a resolution that claims to be bytes."""
    exif = (
        "4578696600004d4d002a000000080003010f0002000000060000003201120003000000010006000001"
        "1a000700000001000000380000000000006d616b657200000000480000000100"
    )
    COLOUR.save(tmp_path / "plain.jpg", quality=95)
    COLOUR.save(tmp_path / "damaged.jpg", quality=95, exif=bytes.fromhex(exif))
    with Image.open(tmp_path / "damaged.jpg") as image, pytest.raises(TypeError):
        ImageOps.exif_transpose(image)
    turned = np.rot90(read(tmp_path / "plain.jpg"), -1)
    assert np.array_equal(read(tmp_path / "damaged.jpg", (3, 10, 12)), turned)
