"""TIFF files of several pages."""

import logging
import os

import numpy as np
import pytest
import torch
from PIL import Image, TiffImagePlugin

from diabolo.data import folder_images, table_images
from diabolo.data.pages import Page
from diabolo.errors import UserError

X = np.random.default_rng(0).integers(0, 256, (5, 8, 9), dtype=np.uint8)
PIXELS = torch.from_numpy(X)[:, None]
SHAPE = (1, 8, 9)


def tiff(path, pages, **arguments):
    first, *others = (Image.fromarray(page) for page in pages)
    first.save(path, save_all=True, append_images=others, **arguments)


@pytest.fixture
def folder(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    tiff(tmp_path / "a" / "stack.tif", X[:3], compression="tiff_lzw")
    Image.fromarray(X[3]).save(tmp_path / "a" / "z.png")
    tiff(tmp_path / "b" / "one.TIFF", X[4:])
    return tmp_path


@pytest.mark.parametrize("memory_limit", [1 << 30, 0])
def test_each_page_is_an_image_with_the_label_of_its_file(folder, memory_limit, caplog):
    with caplog.at_level(logging.INFO, "diabolo"):
        images = folder_images(str(folder), SHAPE, memory_limit=memory_limit).train
    assert images.labels.tolist() == [0, 0, 0, 0, 1]
    assert torch.equal(images.take(torch.arange(5)), PIXELS)
    assert torch.equal(images.subset(torch.tensor([4, 1]))[1], PIXELS[1])
    assert "1 TIFF files have several pages: each of their 3 pages is an image" in caplog.text


def test_pages_of_a_file_in_a_table(folder):
    (folder / "t.csv").write_text("path,label\na/stack.tif,5\na/z.png,6\n")
    images = table_images(str(folder / "t.csv"), SHAPE).train
    assert images.labels.tolist() == [5, 5, 5, 6]
    assert torch.equal(images.pixels, PIXELS[:4])


def test_pages_of_16_bits_are_scaled_as_files_of_one_are(tmp_path):
    tiff(tmp_path / "a.tif", [np.full((8, 9), value, np.uint16) for value in (0, 32768, 65535)])
    assert folder_images(str(tmp_path), SHAPE).train.pixels[:, 0, 0, 0].tolist() == [0, 128, 255]


def test_smaller_copies_and_masks_are_no_images(tmp_path):
    with TiffImagePlugin.AppendingTiffWriter(str(tmp_path / "a.tif"), new=True) as file:
        for page, kind in ((X[0], 0), (X[0][::2, ::2], 1), (X[1], 0), (X[2], 4)):
            Image.fromarray(page).save(file, "TIFF", tiffinfo={254: kind})
            file.newFrame()
    assert torch.equal(folder_images(str(tmp_path), SHAPE).train.pixels, PIXELS[:2])


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")  # as Pillow calls an incomplete list of a page's tags
def test_a_truncated_file_is_named(tmp_path):
    tiff(tmp_path / "a.tif", X)
    whole = (tmp_path / "a.tif").read_bytes()
    for part in range(1, 8):
        (tmp_path / "a.tif").write_bytes(whole[: len(whole) * part // 8])
        with pytest.raises(UserError, match=r"a\.tif"):
            folder_images(str(tmp_path), SHAPE)


def test_a_page_stands_for_its_file(folder):
    page = Page(folder / "a" / "stack.tif", 1)
    assert os.stat(page) == os.stat(page.path)
    assert str(page) == f"{page.path}, page 2"
