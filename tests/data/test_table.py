"""Images in files that a table names."""

import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
import torch
from PIL import Image

from diabolo.data import table_images
from diabolo.data.files import FileImages
from diabolo.errors import UserError

X = np.random.default_rng(0).integers(0, 256, (6, 8, 9, 3), dtype=np.uint8)
FIRST = torch.from_numpy(X).permute(0, 3, 1, 2)
SHAPE = (3, 8, 9)


@pytest.fixture
def folder(tmp_path):
    """Images 0 to 5 in img/."""
    (tmp_path / "img").mkdir()
    for i, pixels in enumerate(X):
        Image.fromarray(pixels).save(tmp_path / "img" / f"{i}.png")
    return tmp_path


def write(path, rows, separator=","):
    """A table of rows, the first of which holds the names."""
    if path.suffix == ".parquet":
        columns = {name: [row[place] for row in rows[1:]] for place, name in enumerate(rows[0])}
        pyarrow.parquet.write_table(pa.table(columns), path)
    else:
        path.write_text("\n".join(separator.join(map(str, row)) for row in rows) + "\n")
    return str(path)


@pytest.mark.parametrize(("name", "separator"), [
    ("t.csv", ","), ("t.csv", ";"), ("t.tsv", "\t"), ("t.txt", "\t"), ("t.parquet", ""),
])  # fmt: skip
def test_paths_labels_and_parts(folder, name, separator):
    parts = ("train", "Train", "test", "valid", "training", "train")
    kinds = ("dog", "cat", "emu", "cat", "dog", "dog")
    rows = [("file_name", "note", "label", "split"), *((f"img/{i}.png", "x y", kinds[i], parts[i]) for i in range(6))]
    splits = table_images(write(folder / name, rows, separator), SHAPE)
    assert splits.classes == ("cat", "dog", "emu")
    for images, places, labels in (
        (splits.train, [0, 1, 4, 5], [1, 0, 1, 1]), (splits.val, [3], [0]), (splits.test, [2], [2])
    ):  # fmt: skip
        assert images.labels.tolist() == labels
        assert torch.equal(images.take(torch.arange(len(places))), FIRST[places])
    assert splits.said[0].startswith("train: 4 files from column file_name of ")
    assert splits.said[-1] == "labels: column label"


def test_numbers_stay_what_they_are_and_what_is_missing_has_no_label(folder):
    rows = [("path", "class"), *((f"img/{i}.png", label) for i, label in enumerate((7, 7, 10, "", 2, 0)))]
    splits = table_images(write(folder / "t.csv", rows), SHAPE)
    assert splits.train.labels.tolist() == [7, 7, 10, -1, 2, 0]
    assert splits.classes == ()
    assert (splits.val, splits.test) == (None, None)


def test_paths_without_ending_in_another_folder_in_a_chosen_column(folder):
    rows = [("key", "no", "grade"), *((i, 5 - i, "good") for i in range(6))]
    table = write(folder / "t.csv", rows)
    with pytest.raises(
        UserError, match=r"which column holds the paths\? .*source\.path=COLUMN.*t\.csv are key, no, gr"
    ):
        table_images(table, SHAPE)
    with pytest.raises(UserError, match=r"there is no file .*/5, which .*t\.csv names first: .*data\.source\.folder"):
        table_images(table, SHAPE, path="no")
    splits = table_images(table, SHAPE, path="no", label="grade", folder=str(folder / "img"))
    assert torch.equal(splits.train.pixels, FIRST.flip(0))
    assert splits.classes == ("good",)
    with pytest.raises(UserError, match=r"`label` \(= 'grad'\) is no column: the columns of .* are key, no, grade"):
        table_images(table, SHAPE, path="no", label="grad", folder=str(folder / "img"))


def test_columns_can_be_left_alone(folder):
    rows = [("path", "label", "split"), *((f"img/{i}.png", i, "fold9") for i in range(6))]
    table = write(folder / "t.csv", rows)
    with pytest.raises(UserError, match=r"the part 'fold9' in .*t\.csv is not one of train, .*data\.source\.split="):
        table_images(table, SHAPE)
    splits = table_images(table, SHAPE, label="none", split="none")
    assert splits.train.labels.tolist() == [-1] * 6


def test_missing_and_broken_files_are_named_or_skipped_and_large_sets_stay_in_their_files(folder):
    (folder / "img" / "3.png").unlink()
    (folder / "img" / "4.png").write_bytes(b"no image")
    table = write(folder / "t.csv", [("path",), *((f"img/{i}.png",) for i in range(6))])
    with pytest.raises(UserError, match=r"2 of the images in .*3\.png.*4\.png \(not an image\)"):
        table_images(table, SHAPE)
    for memory_limit in (1 << 30, 0):
        images = table_images(table, SHAPE, unreadable="skip", memory_limit=memory_limit).train
        assert torch.equal(images.take(torch.arange(4)), FIRST[[0, 1, 2, 5]])
    assert isinstance(images, FileImages)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "has no rows"),
        (b"path,label\n", "has no rows"),
        (b"path,label\nimg/0.png\n", r"row 2 of .*t\.csv has 1 values where its first line has 2"),
        (b"path\n\xff\xfe\xff\n", r"t\.csv cannot be read"),
        (b"split,path\ntest,img/0.png\n", r"the column split of .*t\.csv has no training images"),
    ],
)
def test_a_damaged_table_is_a_sentence_with_its_name(folder, content, said):
    (folder / "t.csv").write_bytes(content)
    with pytest.raises(UserError, match=said):
        table_images(str(folder / "t.csv"), SHAPE)


def test_a_truncated_parquet_file_is_a_sentence_with_its_name(folder):
    path = folder / "t.parquet"
    write(path, [("path",), *((f"img/{i}.png",) for i in range(6))])
    whole = path.read_bytes()
    for part in range(16):
        path.write_bytes(whole[: len(whole) * part // 16])
        with pytest.raises(UserError, match=r"t\.parquet cannot be read"):
            table_images(str(path), SHAPE)


def test_what_is_no_table_is_refused(folder):
    for root in (folder, folder / "no.csv", folder / "img" / "0.png"):
        with pytest.raises(
            UserError, match=r"`data\.root` \(= .* is no table \(\.csv, \.tsv, \.txt, \.parquet, \.pq\)"
        ):
            table_images(str(root), SHAPE)


def test_without_pyarrow_one_is_told_how_to_get_it(folder, monkeypatch):
    table = write(folder / "t.parquet", [("path",), ("img/0.png",)])
    for module in ("pyarrow", "pyarrow.parquet"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UserError, match=r"pyarrow.* is not installed: uv sync --extra parquet, or pip install pyarrow"):
        table_images(table, SHAPE)
