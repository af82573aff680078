"""The names that people give to parts of a data set, to columns and arrays, and the order of classes."""

from __future__ import annotations

from collections.abc import Iterable

PARTS = {  # in lower case
    **dict.fromkeys(("train", "training", "trn", "tr", "trainset"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev", "valset"), "val"),
    **dict.fromkeys(("test", "testing", "tst", "testset"), "test"),
}
PATH_COLUMNS = (  # the likeliest first
    *("path", "file", "filename", "file_name", "filepath", "file_path", "image", "image_path", "image_id", "id_code"),
    *("img", "id", "name"),
)
LABEL_COLUMNS = ("label", "labels", "class", "class_name", "category", "target", "y", "diagnosis")
PART_COLUMNS = ("split", "set", "part", "partition", "subset", "phase")


def by_number(names: Iterable[str]) -> list[str]:
    """Names sorted: as numbers where all are whole numbers (2 before 10), else as text, as torchvision does."""
    names = list(names)
    if all(name.isdecimal() for name in names):
        return sorted(names, key=lambda name: (int(name), name))
    return sorted(names)
