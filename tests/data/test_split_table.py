"""Parts that the user chooses: folders, or a table."""

import pytest

from diabolo.data.folders.folder import read_layout
from diabolo.errors import UserError
from folders import counts, fill


def test_parts_chosen_as_folders_are_taken_as_they_are(tmp_path):
    fill(tmp_path, "one/a 2", "one/b 1", "two/b 1", "three/c 2", "four 3")
    split = {"train": ["one", "three"], "val": "two"}
    assert counts(tmp_path, split) == {"train": {"a": 2, "b": 1, "c": 2}, "val": {"b": 1}}
    assert read_layout(str(tmp_path), split).said() == (
        f"{tmp_path}: train 5 from one/, three/, val 1 from two/; 3 classes: a 2, b 2, c 2",
        "left out: 3 images (not chosen by data.source.split)",
    )


TABLES = {
    "path, label and split": (
        "path,label,split\na/0.png,cat,train\na/1.png,dog,train\nb/0.png,cat,valid\nb/1.png,dog,TEST\n",
        {"train": {"cat": 1, "dog": 1}, "val": {"cat": 1}, "test": {"dog": 1}},
        1,
    ),
    "no split": ("filename,class\na/0.png,3\na/1.png,10\nb/0.png,\n", {"train": {"3": 1, "10": 1, "": 1}}, 2),
    "no label": ("image,set\nb/0.png,train\na/1.png,test\n", {"train": {"": 1}, "test": {"": 1}}, 3),
    "ids without an ending or a folder": ("id_code,diagnosis\nb2,0\na/1,1\n", {"train": {"0": 1, "1": 1}}, 3),
    "semicolons and a mark of order": ("\ufeffPath;Label\na/0.png;x, y\nb2.png;z\n", {"train": {"x, y": 1, "z": 1}}, 3),
}


@pytest.mark.parametrize(("text", "expected", "rest"), TABLES.values(), ids=TABLES)
def test_a_table_gives_parts_and_labels(text, expected, rest, tmp_path):
    fill(tmp_path, "a 2", "b 2", "b/b2.png")
    (tmp_path / "mine.csv").write_text(text, encoding="utf-8")
    assert counts(tmp_path, "mine.csv") == expected
    line = read_layout(str(tmp_path), "mine.csv").said()[1]
    assert line == f"left out: {rest} image{'s' * (rest > 1)} (not named by mine.csv); 1 other file (.csv)"


def test_a_table_may_lie_elsewhere_and_name_images_from_there(tmp_path):
    fill(tmp_path, "set/a 2", "tables/0.txt")
    (tmp_path / "tables" / "mine.csv").write_text("path,label\n../set/a/0.png,x\na/1.png,y\n")
    assert counts(tmp_path / "set", str(tmp_path / "tables" / "mine.csv")) == {"train": {"x": 1, "y": 1}}


@pytest.mark.parametrize(
    ("split", "sentence"),
    [
        ({"train": "a", "test": "c"}, "`data.source.split.test` (= 'c') is no folder with images"),
        ({"test": "a"}, "data.source.split names no images for training"),
        ("other.csv", "`data.source.split` (= 'other.csv') is no file"),
        ("path,split\na/0.png,holdout", "has the split 'holdout': a row's split must be train, val or test."),
        ("path\na/0.png\na/7.png\n/etc/x.png", "names 2 images that cannot be found: a/7.png, /etc/x.png."),
        ("path,split\na/0.png,test", "names no image for training."),
        ("x,y\n1,2", "has no column of paths (path, file, filename, file_name, ...); it has x, y."),
        ("", "has no column of paths (path, file, filename, file_name, ...); it has none."),
    ],
)
def test_choices_that_do_not_fit_are_refused(split, sentence, tmp_path):
    fill(tmp_path, "a 2")
    if isinstance(split, str) and split != "other.csv":
        (tmp_path / "mine.csv").write_text(split)
        split = "mine.csv"
    with pytest.raises(UserError) as refused:
        read_layout(str(tmp_path), split)
    assert sentence in str(refused.value)
