"""Data sets of the library Datasets, without a network."""

import io
import socket
import sys

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
import torch
from PIL import Image

from diabolo.data import folder_images, huggingface_images
from diabolo.data.encoded import EncodedImages
from diabolo.errors import UserError

X = np.random.default_rng(0).integers(0, 256, (12, 10, 9, 3), dtype=np.uint8)
FIRST = torch.from_numpy(X).permute(0, 3, 1, 2)
Y = [2, 0, 1] * 4
NAMES = ["cat", "dog", "emu"]
SHAPE = (3, 10, 9)


@pytest.fixture(autouse=True)
def alone(monkeypatch, tmp_path):
    """No network, and a cache of this test's own."""

    asked = []

    def refuse(*of, **_):
        asked.append(of)
        raise OSError("there is no network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    yield
    assert not asked


def png(pixels) -> bytes:
    written = io.BytesIO()
    Image.fromarray(pixels).save(written, "PNG")
    return written.getvalue()


def rows(count, **others):
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=NAMES)})
    table = {"image": [Image.fromarray(pixels) for pixels in X[:count]], "label": Y[:count]}
    made = datasets.Dataset.from_dict(table, features=features)
    for name, column in others.items():
        made = made.add_column(name, column[:count])
    return made


def parquet(path, columns):
    path.parent.mkdir(exist_ok=True)
    pyarrow.parquet.write_table(pa.table(columns), path)


def saved(folder):
    parts = {"train": rows(12), "validation": rows(7), "test": rows(5), "unsupervised": rows(2)}
    datasets.DatasetDict(parts).save_to_disk(str(folder / "set"))


def saved_parquet(folder):
    for name, count in (("train", 12), ("validation", 7), ("test", 5)):
        (folder / "set" / "data").mkdir(parents=True, exist_ok=True)
        rows(count).to_parquet(str(folder / "set" / "data" / f"{name}-00000-of-00001.parquet"))


def plain_parquet(folder):
    for name, count in (("train", 12), ("val", 7), ("test", 5)):
        column = [{"bytes": png(pixels), "path": None} for pixels in X[:count]]
        parquet(folder / "set" / f"{name}.parquet", {"picture": column, "label": [NAMES[y] for y in Y[:count]]})


def image_folder(folder):
    for name, count in (("train", 12), ("validation", 7), ("test", 5)):
        for i in range(count):
            place = folder / "set" / name / NAMES[Y[i]]
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(X[i]).save(place / f"{i:02}.png")


@pytest.mark.parametrize("write", [saved, saved_parquet, plain_parquet, image_folder])
@pytest.mark.parametrize("memory_limit", [1 << 30, 0])
def test_parts_images_and_labels_are_found(tmp_path, write, memory_limit):
    write(tmp_path)
    splits = huggingface_images(str(tmp_path / "set"), SHAPE, memory_limit=memory_limit)
    assert splits.classes == tuple(NAMES)
    for images, count in ((splits.train, 12), (splits.val, 7), (splits.test, 5)):
        wanted = sorted(range(count), key=lambda i: (Y[i], i)) if write is image_folder else list(range(count))
        assert images.labels.tolist() == [Y[i] for i in wanted]
        assert torch.equal(images.take(torch.arange(count)), FIRST[wanted])
        assert isinstance(images, EncodedImages) == (memory_limit == 0)
    left_out = [line for line in splits.said if line.startswith("left out")]
    assert left_out == (["left out: split unsupervised, 2 rows"] if write is saved else [])


def test_a_single_split_is_for_training_and_pixels_are_those_of_a_folder(tmp_path):
    rows(12).save_to_disk(str(tmp_path / "set"))
    (tmp_path / "files").mkdir()
    for i, pixels in enumerate(X):
        Image.fromarray(pixels).save(tmp_path / "files" / f"{i:02}.png")
    for fit in ("crop", "pad", "stretch"):
        splits = huggingface_images(str(tmp_path / "set"), (1, 8, 16), fit=fit)
        assert torch.equal(splits.train.pixels, folder_images(str(tmp_path / "files"), (1, 8, 16), fit).train.pixels)
    assert (splits.val, splits.test) == (None, None)


def test_columns_are_asked_for_and_chosen(tmp_path):
    column = [png(pixels) for pixels in X]
    parquet(tmp_path / "set" / "a.parquet", {"left": column, "right": column[::-1], "y": Y, "label": Y[::-1]})
    root = str(tmp_path / "set")
    with pytest.raises(
        UserError, match=r"holds the images\? Say it by data\.source\.image=COLUMN: .* are left, right, y"
    ):
        huggingface_images(root, SHAPE)
    with pytest.raises(UserError, match=r"which column holds the labels\? Say it by data\.source\.label=COLUMN"):
        huggingface_images(root, SHAPE, image="right")
    splits = huggingface_images(root, SHAPE, image="right", label="y")
    assert torch.equal(splits.train.pixels, FIRST.flip(0))
    assert splits.train.labels.tolist() == Y
    assert huggingface_images(root, SHAPE, image="right", label="none").train.labels.tolist() == [-1] * 12
    with pytest.raises(UserError, match=r"`data\.source\.image` \(= 'middle'\) is no column"):
        huggingface_images(root, SHAPE, image="middle")


def test_rows_that_cannot_be_read_are_named_or_skipped(tmp_path):
    column = [png(pixels) for pixels in X[:4]]
    column[1], column[2] = b"no image", None
    parquet(tmp_path / "set" / "a.parquet", {"image": column, "label": Y[:4]})
    root = str(tmp_path / "set")
    with pytest.raises(UserError, match=r"2 of the images in .*set cannot be read: image 1 \(not an image\); image 2"):
        huggingface_images(root, SHAPE)
    images = huggingface_images(root, SHAPE, unreadable="skip", memory_limit=0).train
    assert torch.equal(images.take([0, 1]), FIRST[[0, 3]])
    assert images.labels.tolist() == [Y[0], Y[3]]
    late = huggingface_images(root, SHAPE, memory_limit=0).train
    with pytest.raises(UserError, match=r"image 1 of .*set cannot be read \(not an image\)"):
        late.take([0, 1])


@pytest.mark.parametrize("write", [saved, plain_parquet])
def test_a_damaged_file_is_a_sentence_with_the_folder(tmp_path, write):
    write(tmp_path)
    (broken,) = (tmp_path / "set").glob("train.parquet" if write is plain_parquet else "train/*.arrow")
    whole = broken.read_bytes()
    for part in range(0, 8, 2):
        broken.write_bytes(whole[: len(whole) * part // 8])
        with pytest.raises(UserError, match=r"set cannot be read"):
            huggingface_images(str(tmp_path / "set"), SHAPE)


def test_a_root_that_cannot_be_is_refused(tmp_path):
    with pytest.raises(
        UserError, match=r"`data\.root` \(= None\) must be a folder, or null if data\.source\.hub names"
    ):
        huggingface_images(None, SHAPE)
    with pytest.raises(UserError, match="is not a folder; give one that holds a data set"):
        huggingface_images(str(tmp_path / "nothing"), SHAPE)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="empty cannot be read"):
        huggingface_images(str(tmp_path / "empty"), SHAPE)


def test_a_name_of_the_hub_asks_the_network(monkeypatch):
    monkeypatch.setattr(datasets, "load_dataset", lambda name: rows(3) if name == "me/birds" else 1 / 0)
    assert len(huggingface_images(None, SHAPE, hub="me/birds").train) == 3
    with pytest.raises(UserError, match=r"the set me/cats of data\.source\.hub cannot be had: division by zero"):
        huggingface_images(None, SHAPE, hub="me/cats")


def test_without_datasets_one_is_told_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(
        UserError, match="datasets is not installed: uv sync --extra huggingface, or pip install datasets"
    ):
        huggingface_images(".", SHAPE)
