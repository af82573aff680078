"""The same picture in several files."""

import shutil

from diabolo.data.folders.duplicates import copies
from diabolo.data.folders.folder import folder_images
from folders import fill


def test_a_picture_in_training_and_test_is_warned_of(tmp_path, caplog):
    fill(tmp_path, "train/a 3", "val/a 2", "test/a 2")
    assert not counted_warnings(tmp_path, caplog)
    shutil.copy(tmp_path / "train/a/1.png", tmp_path / "test/a/copy.png")
    shutil.copy(tmp_path / "train/a/2.png", tmp_path / "val/a/copy.png")
    shutil.copy(tmp_path / "val/a/0.png", tmp_path / "test/a/of_val.png")
    (warning,) = counted_warnings(tmp_path, caplog)
    assert "2 images for validation or test are also in training, such as" in warning
    assert "val/a/copy.png = train/a/2.png" in warning or "test/a/copy.png = train/a/1.png" in warning


def test_a_picture_that_may_come_into_training_and_test_is_warned_of(tmp_path, caplog):
    fill(tmp_path, "a 3", "b 2")
    shutil.copy(tmp_path / "a/1.png", tmp_path / "b/copy.png")
    (warning,) = counted_warnings(tmp_path, caplog)
    assert warning.startswith("1 picture is there more than once, such as a/1.png = b/copy.png: the splits are drawn")


def test_files_of_one_size_and_one_end_are_no_copies(tmp_path):
    for name, content in (("a", b"x" * 5000), ("b", b"y" + b"x" * 4999), ("c", b"x" * 5000), ("d", b"x" * 4999)):
        (tmp_path / name).write_bytes(content)
    paths = [tmp_path / name for name in ("a", "b", "gone", "c", "d")]
    assert copies(paths) == [[tmp_path / "a", tmp_path / "c"]]


def counted_warnings(root, caplog):
    caplog.clear()
    folder_images(str(root), (3, 8, 8))
    return caplog.messages
