"""Which of the arrays in a file are images, which are labels, and of which part: by their names and shapes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from diabolo.data.arrays.files import Stored
from diabolo.data.conventions import PARTS, by_number
from diabolo.errors import ConfigError, UserError

IMAGES = {"images", "image", "imgs", "img", "x", "pixels", "data", "samples"}
LABELS = {"labels", "label", "lbls", "y", "targets", "target", "classes", "class"}
NO_LABELS = "none"  # as `data.source.labels`
MOST_LISTED = 12  # arrays named in a message
WORDS = re.compile(r"[^A-Za-z0-9]+|(?<=[a-z0-9])(?=[A-Z])")


class Part(NamedTuple):
    """The arrays of one part of the data."""

    images: Stored
    labels: Stored | None


def choose(arrays: Sequence[Stored], images: str | None, labels: str | None) -> dict[str, Part]:
    """The arrays of "train" and, where the names tell of such parts, "val" and "test".

    A name belongs to a part if one of its words says so: `x_train`, `train/images`, `testLabels`. Images are an array
    of three or four axes, labels one of a number or a text for each image; of several the name decides.

    Args:
        arrays: what there is.
        images, labels: names given by the user, the word of the part left out or not; None to find them; "none" for
            images without labels.

    Raises:
        UserError: it is not clear which; the message lists what there is.
    """
    by_part: dict[str | None, list[Stored]] = {}
    for array in arrays:
        by_part.setdefault(part_of(array.name), []).append(array)
    chosen: dict[str, Part] = {}
    for part in (*dict.fromkeys(PARTS.values()), None):
        if part is None and "train" in chosen:
            continue
        there = by_part.get(part, [])
        if (found := _images(there, images, arrays)) is not None:
            chosen[part or "train"] = Part(found, _labels(there, labels, found, arrays))
    if images is not None and not chosen:
        raise ConfigError("images", images, f"is none of the arrays: {listed(arrays)}")
    if "train" not in chosen:
        missing = "training images, only " + " and ".join(chosen) if chosen else "images (N x H x W and more)"
        raise UserError(f"there are no {missing} in `data.root`. It holds {listed(arrays)}.")
    if labels not in (None, NO_LABELS) and not any(part.labels for part in chosen.values()):
        raise ConfigError("labels", labels, f"is none of the arrays: {listed(arrays)}")
    return {part: chosen[part] for part in ("train", "val", "test") if part in chosen}


def part_of(name: str) -> str | None:
    """The part that a name speaks of, or None."""
    return next((PARTS[word] for word in _words(name) if word in PARTS), None)


def listed(arrays: Sequence[Stored]) -> str:
    """The arrays with their shapes and types, many shortened."""
    more = f" and {len(arrays) - MOST_LISTED} more" if len(arrays) > MOST_LISTED else ""
    return (", ".join(map(str, arrays[:MOST_LISTED])) or "no array") + more


def sizes(array: Stored) -> tuple[int, ...]:
    """The shape without the axes of length 1 at its end."""
    shape = array.shape
    while len(shape) > 1 and shape[-1] == 1:
        shape = shape[:-1]
    return shape


def _images(there: Sequence[Stored], name: str | None, arrays: Sequence[Stored]) -> Stored | None:
    if name is not None:
        found = [array for array in there if _is(array.name, name)]
    else:
        shaped = [array for array in there if len(sizes(array)) >= 3 and len(array.shape) <= 4]
        plain = [array for array in shaped if array.dtype.kind in "biuf"]
        found = plain or [array for array in shaped if array.dtype.hasobject]
        if len(found) > 1:
            found = [array for array in found if IMAGES.intersection(_words(array.name))] or found
    if len(found) > 1:
        raise UserError(f"which arrays are the images? Say it by data.source.images=KEY. There are {listed(arrays)}.")
    if found and found[0].dtype.kind not in "biuf":
        how = "is pickled and not loaded, because a pickle may run code" if found[0].dtype.hasobject else "is no image"
        raise UserError(f"the array {found[0]} in {found[0].file} {how}: save it as numbers.")
    return found[0] if found else None


def _labels(there: Sequence[Stored], name: str | None, images: Stored, arrays: Sequence[Stored]) -> Stored | None:
    if name == NO_LABELS:
        return None
    if name is not None:
        found = [array for array in there if _is(array.name, name)]
    else:
        found = [
            array
            for array in there
            if array is not images and sizes(array) == images.shape[:1] and array.dtype.kind in "biuSUO"
        ]
        if len(found) > 1:
            found = [array for array in found if LABELS.intersection(_words(array.name))] or found
    if len(found) > 1:
        raise UserError(
            f"which arrays are the labels? Say it by data.source.labels=KEY, or ={NO_LABELS} for none. There are"
            f" {listed(arrays)}."
        )
    if found and sizes(found[0]) != images.shape[:1]:
        raise UserError(
            f"the labels {found[0]} are not one for each image of {images}: choose others by data.source.labels=KEY, or"
            f" ={NO_LABELS} for none."
        )
    return found[0] if found else None


def _is(name: str, asked: str) -> bool:
    """Whether `asked` is this name, its last part, or it but for the word of the part."""
    rest = [word for word in _words(name) if word not in PARTS]
    return asked in (name, name.rpartition("/")[2]) or rest == _words(asked)


def _words(name: str) -> list[str]:
    """`camelyon_train-x/Xtest` -> camelyon, train, x, xtest; `xtest` and its like count as two words."""
    words = [word.lower() for word in WORDS.split(name) if word]
    split = (re.fullmatch(r"([xy])(train|test|val|valid)", word) for word in words)
    return [part for word, two in zip(words, split, strict=True) for part in (two.groups() if two else (word,))]


def numbered(
    labels: Sequence[np.ndarray | None], names: Sequence[str]
) -> tuple[list[np.ndarray | None], tuple[str, ...]]:
    """Labels of all parts as int64, and the names of classes that were texts, which are numbered in their order.

    Raises:
        UserError: numbers that are not whole or under -1 (which is: no label).
    """
    given = [one for one in labels if one is not None]
    if any(one.dtype.kind in "SUO" for one in given):
        texts = [None if one is None else np.array([_text(value) for value in one], dtype=object) for one in labels]
        classes = tuple(by_number({value for one in texts if one is not None for value in one}))
        number = {name: place for place, name in enumerate(classes)}
        return [None if one is None else np.array([number[v] for v in one], np.int64) for one in texts], classes
    for one, name in zip(labels, names, strict=True):
        if one is not None and len(one) and (one.astype(np.int64) < -1).any():
            raise UserError(f"the labels {name} hold numbers under 0: number the classes from 0 on, -1 for none.")
    return [None if one is None else one.astype(np.int64) for one in labels], ()


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
