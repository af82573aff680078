"""Images that come as arrays: what is found in files, how it is read, and what is refused."""

import pickle

import numpy as np
import pytest
import torch
from PIL import Image

from diabolo.data import MappedImages, MemoryImages, array_images, folder_images
from diabolo.data.arrays.sets import ArrayImages, axes_of
from diabolo.errors import UserError
from made_arrays import DRAW, FIRST, SHAPE, L, T, X, Y, npy, npz, pt
from support import TINY

WRITTEN = {  # what writes files -> the numbers of images in training, validation and test
    "keras": (lambda f: npz(f, x_train=X, y_train=Y, x_test=X[:5], y_test=Y[:5]), (20, None, 5)),
    "medmnist": (
        lambda f: npz(f, **{f"{part}_{what}": array[:count] for part, count in (("train", 20), ("val", 7), ("test", 5))
                            for what, array in (("images", X), ("labels", Y[:, None]))}),
        (20, 7, 5),
    ),
    "words in one": (lambda f: npz(f, xtrain=X, ytrain=Y, xvalid=X[:7], yvalid=Y[:7]), (20, 7, None)),
    "camel": (lambda f: npz(f, trainImages=X, trainLabels=Y, testImages=X[:5], testLabels=Y[:5]), (20, None, 5)),
    "one part": (lambda f: npz(f, images=X, labels=Y, ids=Y + 100, scale=np.ones(3)), (20, None, None)),
    "test beside": (lambda f: npz(f, images=X, labels=Y, test_images=X[:5], test_labels=Y[:5]), (20, None, 5)),
    "files": (lambda f: npy(f, x_train=X, y_train=Y, x_test=X[:5], y_test=Y[:5]), (20, None, 5)),
    "folders": (lambda f: npy(f, train__x=X, train__y=Y, dev__x=X[:7], dev__y=Y[:7]), (20, 7, None)),
    "images beside labels": (lambda f: npy(f, images=X, targets=Y), (20, None, None)),
    "pair": (lambda f: pt(f, (T, L)), (20, None, None)),
    "nested": (lambda f: pt(f, {"train": {"x": T, "y": L}, "test": [T[:5], L[:5]], "epoch": 3}), (20, None, 5)),
    "old torch": (
        lambda f: torch.save({"data": T, "labels": L}, f / "o.pt", _use_new_zipfile_serialization=False) or f / "o.pt",
        (20, None, None),
    ),
}  # fmt: skip


@pytest.mark.parametrize("how", WRITTEN)
@pytest.mark.parametrize("memory_limit", [1 << 30, 0])
def test_parts_images_and_labels_are_found(tmp_path, how, memory_limit):
    write, counts = WRITTEN[how]
    splits = array_images(str(write(tmp_path)), SHAPE, memory_limit=memory_limit)
    for images, count in zip((splits.train, splits.val, splits.test), counts, strict=True):
        assert (images is None) == (count is None)
        if images is not None:
            assert len(images) == count
            assert images.labels.tolist() == Y[:count].tolist()
            assert torch.equal(images.take(torch.arange(count)), FIRST[:count])
            assert torch.equal(images[3], FIRST[3])
    assert splits.said[0].startswith("train: 20 images from ")


def test_a_single_array_has_no_labels(tmp_path):
    np.save(tmp_path / "stack.npy", X)
    splits = array_images(str(tmp_path / "stack.npy"), SHAPE)
    assert splits.train.labels.tolist() == [-1] * 20
    assert splits.said == ("train: 20 images from stack (20 x 16 x 12 x 3, uint8) as NHWC, no labels",)


@pytest.mark.parametrize(
    ("shape", "image_shape", "axes"),
    [
        ((9, 28, 28), (1, 28, 28), "NHW"),
        ((9, 28, 28), (3, 32, 32), "NHW"),
        ((9, 28, 28, 1), (1, 28, 28), "NHWC"),
        ((9, 1, 28, 28), (1, 28, 28), "NCHW"),
        ((9, 3, 16, 12), (3, 16, 12), "NCHW"),
        ((9, 40, 30, 3), (3, 16, 12), "NHWC"),
        ((9, 40, 30, 3), (1, 16, 12), "NHWC"),
        ((9, 3, 32, 3), (3, 32, 3), "NCHW"),  # the whole shape tells
        ((9, 3, 32, 3), (3, 64, 64), None),
        ((9, 40, 30, 6), (3, 16, 12), None),
        ((9, 40, 30), (6, 40, 30), "NHW"),
        ((9, 40, 30, 6), (6, 8, 8), "NHWC"),
        ((9, 2, 2, 2, 2), (1, 8, 8), None),
    ],
)
def test_axes_are_told_by_the_shape_asked_for(shape, image_shape, axes):
    assert axes_of(shape, image_shape) == axes


def test_axes_are_asked_for_where_the_shape_does_not_tell_and_taken_as_given(tmp_path):
    pixels = np.broadcast_to(np.uint8([0, 50, 100])[None, :, None, None], (4, 3, 9, 3))
    root = str(npz(tmp_path, images=pixels))
    with pytest.raises(UserError, match=r"data\.npz N x H x W x C or N x C x H x W\?.*data\.source\.axes=NHWC"):
        array_images(root, (3, 8, 8))
    first, last = (array_images(root, (3, 9, 9), axes=axes, fit="stretch").train.pixels for axes in ("NCHW", "NHWC"))
    assert [first[0, channel].unique().tolist() for channel in range(3)] == [[0], [50], [100]]
    assert [last[0, :, row].unique().tolist() for row in (0, 4, 8)] == [[0], [50], [100]]
    with pytest.raises(UserError, match=r"`axes` \(= 'NHW'\) does not fit the array images \(4 x 3 x 9 x 3, uint8\)"):
        array_images(root, (3, 8, 8), axes="NHW")


def test_in_memory_mapped_and_read_one_by_one_are_the_same(tmp_path):
    np.save(tmp_path / "x.npy", X)
    np.savez(tmp_path / "x.npz", x=X)
    wanted = torch.tensor([7, 2, 7, 19])
    held = array_images(str(tmp_path / "x.npy"), SHAPE).train
    mapped = array_images(str(tmp_path / "x.npy"), SHAPE, memory_limit=0).train
    read = array_images(str(tmp_path / "x.npz"), SHAPE, memory_limit=0).train
    assert [type(one) for one in (held, mapped, read)] == [MemoryImages, MappedImages, ArrayImages]
    for one in (held, mapped, read, pickle.loads(pickle.dumps(read))):
        assert torch.equal(one.take(wanted), FIRST[wanted])
        assert torch.equal(one.subset(torch.tensor([5, 19, 0])).take([1, 2]), FIRST[[19, 0]])
    assert read.take(torch.arange(0)).shape == (0, *SHAPE)


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
@pytest.mark.parametrize("image_shape", [(3, 9, 9), (1, 16, 12), (1, 20, 10)])
def test_the_same_images_as_files_give_the_same_bytes(tmp_path, fit, image_shape):
    np.save(tmp_path / "x.npy", X)
    (tmp_path / "files").mkdir()
    for i, pixels in enumerate(X):
        Image.fromarray(pixels).save(tmp_path / "files" / f"{i:02}.png")
    files = folder_images(str(tmp_path / "files"), image_shape, fit).train
    for memory_limit in (1 << 30, 0):
        images = array_images(str(tmp_path / "x.npy"), image_shape, fit=fit, memory_limit=memory_limit).train
        assert torch.equal(images.take(torch.arange(20)), files.take(torch.arange(20)))


GREY = np.array([[0, 0.5, 1]]).repeat(8, 0)


@pytest.mark.parametrize(
    ("values", "value_range", "expected"),
    [
        (np.float32(GREY), None, [0, 128, 255]),
        (np.float64(GREY) * 2 - 1, [-1, 1], [0, 128, 255]),
        (np.uint16(GREY * 65535), None, [0, 127, 255]),  # 32767 of 65535
        (np.uint16(GREY * 4095), [0, 4095], [0, 127, 255]),  # 12 bits: 2047 of 4095
        (np.uint16(GREY * 200), None, [0, 0, 1]),  # never by what it happens to hold: 200 of 65535 is 0.8
        (GREY > 0.2, None, [0, 255, 255]),
        (np.uint8(GREY > 0.2), [0, 1], [0, 255, 255]),
        (np.int32(GREY * 2000 - 1000), [-1000, 1000], [0, 128, 255]),
    ],
)
def test_numbers_are_scaled_by_the_declared_range(tmp_path, values, value_range, expected):
    tiled = np.tile(values, (2, 1, 3))[:, :8, :8]
    root = str(npz(tmp_path, images=tiled))
    for memory_limit in (1 << 30, 0):
        images = array_images(root, (1, 8, 8), value_range=value_range, memory_limit=memory_limit).train
        assert images[0][0, 0, :3].tolist() == expected


@pytest.mark.parametrize(
    ("values", "value_range", "said"),
    [
        (
            np.float32(GREY * 255),
            None,
            r"data\.npz \(images\) cannot be used: it holds values from 0 to 255, outside of 0 to 1",
        ),
        (np.where(GREY == 1, np.nan, GREY), None, r"data\.npz \(images\) .* pixels that are no finite numbers"),
        (
            np.int32(GREY * 9),
            None,
            r"data\.npz \(images\) .*int32, whose range has to be declared by data\.value_range=",
        ),
        (np.uint16(GREY * 4096), [0, 4095], r"from 0 to 4,096, outside of 0 to 4,095"),
        (GREY, [1, 0], r"`data\.value_range` \(= \[1, 0\]\) must be"),
    ],
)
def test_numbers_that_are_no_pixels_are_refused(tmp_path, values, value_range, said):
    root = str(npz(tmp_path, images=np.tile(values, (2, 1, 3))[:, :8, :8]))
    with pytest.raises(UserError, match=said):
        array_images(root, (1, 8, 8), value_range=value_range)
    with pytest.raises(UserError, match=said):
        array_images(root, (1, 8, 8), value_range=value_range, memory_limit=0).train[0]


def test_images_of_any_number_of_channels_keep_their_sides_or_are_refused(tmp_path):
    many = DRAW.integers(0, 256, (5, 9, 10, 6), dtype=np.uint8)
    root = str(npz(tmp_path, images=many))
    for memory_limit in (1 << 30, 0):
        images = array_images(root, (6, 9, 10), memory_limit=memory_limit).train
        assert torch.equal(images.take([0, 4]), torch.from_numpy(many[[0, 4]]).permute(0, 3, 1, 2))
    small = array_images(root, (6, 8, 8)).train.pixels
    for channel in range(6):
        np.save(tmp_path / "one.npy", many[..., channel])
        assert torch.equal(small[:, channel], array_images(str(tmp_path / "one.npy"), (1, 8, 8)).train.pixels[:, 0])
    with pytest.raises(UserError, match=r"the images have 6 channels, and `data\.image_shape` asks for 3"):
        array_images(root, (3, 8, 8), axes="NHWC")


@pytest.mark.parametrize(("depth", "dtype"), [("uint16", torch.uint16), ("float32", torch.float32)])
def test_deep_arrays_keep_their_depth(tmp_path, depth, dtype):
    deep = DRAW.integers(0, 65536, (6, 9, 10), dtype=np.uint16)
    np.save(tmp_path / "x.npy", deep)
    for memory_limit in (1 << 30, 0):
        images = array_images(str(tmp_path / "x.npy"), (1, 9, 10), memory_limit=memory_limit, depth=depth).train
        expected = torch.from_numpy(deep if depth == "uint16" else deep.astype(np.float32) / 65535)[:, None]
        assert images.take(torch.arange(6)).dtype == dtype
        assert torch.equal(images.take(torch.tensor([4, 0])), expected[torch.tensor([4, 0])])
        assert isinstance(images, MappedImages) == (memory_limit == 0 and depth == "uint16")
    (tmp_path / "files").mkdir()
    for i, pixels in enumerate(deep):
        Image.fromarray(pixels).save(tmp_path / "files" / f"{i}.png")
    for shape in ((1, 8, 8), (3, 9, 10)):
        of_files = folder_images(str(tmp_path / "files"), shape, depth=depth).train.pixels
        assert torch.equal(array_images(str(tmp_path / "x.npy"), shape, depth=depth).train.pixels, of_files)


@pytest.mark.parametrize("arrays", [{}, {"a": np.arange(5)}, {"test_images": X}, {"images": X[:0]}])
def test_files_without_training_images_are_refused(tmp_path, arrays):
    with pytest.raises(UserError, match=r"there are no|holds no image"):
        array_images(str(npz(tmp_path, **arrays)), SHAPE)


def test_a_root_that_cannot_be_is_refused(tmp_path):
    with pytest.raises(UserError, match="is neither a file nor a folder"):
        array_images(str(tmp_path / "nothing"), SHAPE)
    with pytest.raises(UserError, match=r"there is none of files of arrays \(\.npy, \.npz, \.pt, \.pth\)"):
        array_images(str(tmp_path), SHAPE)
    (tmp_path / "a.txt").write_text("a")
    with pytest.raises(UserError, match="is not one of files of arrays"):
        array_images(str(tmp_path / "a.txt"), SHAPE)


def write_npz(path):
    np.savez_compressed(path, images=X, labels=Y)


def refusal(path, content) -> str | None:
    """What is said of a file with this content, None if it is read."""
    path.write_bytes(content)
    try:
        array_images(str(path), SHAPE)
    except UserError as error:
        return str(error)
    return None


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("x.npy", lambda path: np.save(path, X)),
        ("x.npz", write_npz),
        ("x.pt", lambda path: torch.save({"images": T, "labels": L}, path)),
    ],
)
def test_a_damaged_file_is_a_sentence_with_its_name(tmp_path, name, write):
    path = tmp_path / name
    write(path)
    whole = path.read_bytes()
    contents = [whole[: len(whole) * part // 16] for part in range(16)] + [b"\xff" * 300, b"PK\x03\x04" + b"\0" * 200]
    contents += [whole[:at] + bytes([whole[at] ^ 255]) + whole[at + 1 :] for at in range(0, 128, 9)]
    said = [refusal(path, content) for content in contents]
    assert all(said[:18])
    assert all(name in sentence for sentence in said if sentence)


def test_a_run_on_mapped_arrays_is_that_on_arrays_in_memory(trained, tmp_path):
    images = DRAW.integers(0, 256, (96, 8, 8), dtype=np.uint8)
    np.savez(tmp_path / "x.npz", images=images)
    np.save(tmp_path / "x.npy", images)
    quiet = (*TINY, "data=arrays", "callbacks=none", "logger=none", "data.num_workers=0")
    runs = [
        trained(*quiet, f"data.root={tmp_path / name}", f"data.source.memory_limit={limit}").metrics()
        for name, limit in (("x.npy", 1 << 30), ("x.npy", 0), ("x.npz", 0))
    ]
    for key in ("train/loss", "val/mse", "test/mse"):
        assert len({run[key] for run in runs}) == 1
