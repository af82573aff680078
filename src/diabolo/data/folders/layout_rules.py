"""How a folder of images is laid out: which are for training, validation and test, and which class each is of.

Rules, from the outside inwards:

1. Hidden and system files are no data (`tree.py`), nor are masks: `ground_truth` anywhere, and `masks`, `labels`, ...
   beside `images`, beside parts or beside images.
2. Folders named train, val, test, or as one says (`PARTS`), are parts where they make sense: train together with val
   or test. `train` alone is a part if it is the only folder, or holds folders of classes while another beside it does
   not: a set with the classes train, bus and car has none. What lies beside parts is left out.
3. A folder that is the only one, such as `images/` or `dataset/`, is looked into.
4. If all folders have such parts of their own (`bottle/train`, `cable/train`), these are the parts.
5. The first folder below a part is the class. Folders of patients or folds are no classes, nor is the only folder of a
   part whose name no training image has (`test/unknown`). Without folders, names such as cat.0.jpg give the class.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from diabolo.data.conventions import PARTS
from diabolo.data.folders.layout import Layout, Part
from diabolo.data.folders.tree import PassedOver, Tree, number
from diabolo.errors import UserError, printable

FILLERS = frozenset(
    ("set", "data", "dataset", "images", "image", "imgs", "img", "split", "samples", "public")
)  # test_set
IMAGES = frozenset(("images", "image", "imgs", "img", "jpegimages", "jpg", "jpeg", "png", "data", "pictures", "photos"))
ALWAYS_MASKS = frozenset(("groundtruth", "gtfine", "gtcoarse"))
MASKS = ALWAYS_MASKS | frozenset(
    ("gt", "mask", "masks", "label", "labels", "annotation", "annotations", "trimaps", "segmentation", "segmentations")
    + ("segmentationclass", "segmentationobject")
)
NO_CLASSES = re.compile(r"(?:patient|pat|sub|study|series|fold|batch|chunk|shard)s?[-_ ]*\d+", re.IGNORECASE)
CLASS_NUMBER = re.compile(r"([^\W\d][\w -]*)\.\d+")  # of cat.0.jpg, without the ending


def understand(tree: Tree, passed: PassedOver) -> Layout:
    """The layout of a folder that `scan` has read.

    Raises:
        UserError: no image, or parts without training images.
    """
    found = _Finding(tree)
    top, within = tree, found.without_masks(tree)
    while not (parts := _parts(within, top)) and not top.images and len(within) == 1:
        (top,) = within.values()
        within = found.without_masks(top)
    if parts:
        found.beside(top, {name: folder for name, folder in within.items() if name not in _all(parts)})
        for part, names in parts.items():
            for name in names:
                found.add(part, top.folders[name], name)
    elif inner := found.parts_of_classes(top, within):
        for name, of_class in inner.items():
            for part, folders in of_class.items():
                for folder in folders:
                    found.add_class(part, top.folders[name].folders[folder], name)
    else:
        found.add("train", top, "", within)
    found.settle_classes()
    layout = Layout(tree.path, {part: found.parts[part] for part in ("train", "val", "test") if part in found.parts})
    if not parts and not inner:
        layout.parts["train"].folders = [] if top is tree else [_below(tree, top)]
    layout.left_out, layout.notes = [*found.said_left_out(), *passed.said()], found.notes
    return layout


class _Finding:
    """The parts as they are being found below a root."""

    def __init__(self, root: Tree) -> None:
        self.root = root
        self.parts: dict[str, Part] = {}
        self.left_out: dict[tuple[str, str], list[Tree]] = {}  # (name, why) -> folders
        self.notes: list[str] = []

    def without_masks(self, tree: Tree) -> dict[str, Tree]:
        """The folders with images in a folder, without masks, which are noted as left out."""
        filled = tree.filled
        images_beside = bool(tree.images) or any(_key(name) in IMAGES or _word(name)[0] for name in filled)
        masks = {
            name: folder
            for name, folder in filled.items()
            if _key(name) in ALWAYS_MASKS or (_key(name) in MASKS and images_beside)
        }
        if len(masks) == len(filled) and not tree.images:
            masks = {}
        for folder in masks.values():
            self._leave_out(folder, "masks")
        return {name: folder for name, folder in filled.items() if name not in masks}

    def beside(self, top: Tree, others: Mapping[str, Tree]) -> None:
        """Notes what lies beside parts."""
        for folder in others.values():
            self._leave_out(folder, "beside the parts")
        if top.images:
            self._leave_out(Tree(top.path, top.images), "beside the parts")

    def _leave_out(self, folder: Tree, why: str) -> None:
        known = self.left_out.setdefault((folder.path.name, why), [])
        if all(folder.path != other.path for other in known):
            known.append(folder)

    def said_left_out(self) -> list[str]:
        """How many images of which folders are left out, and why."""
        return [
            f"{number(sum(folder.count for folder in folders), 'image')} in"
            f" {_below(self.root, folders[0]) if len(folders) == 1 else f'{len(folders):,} folders {name}/'} ({why})"
            for (name, why), folders in self.left_out.items()
        ]

    def add(self, part: str, tree: Tree, name: str, within: dict[str, Tree] | None = None) -> None:
        """Adds a folder whose folders are classes to a part."""
        top, top_name = tree, name
        within = self.without_masks(top) if within is None else within
        while name and not top.images and len(within) == 1:  # train/images, seg_train/seg_train
            ((inner_name, inner),) = within.items()
            if _key(inner_name) not in IMAGES and _key(inner_name) != _key(top_name):
                break
            top, top_name = inner, inner_name
            within = self.without_masks(top)
        found = self.parts.setdefault(part, Part())
        found.folders.append(_below(self.root, top))
        found.add(top, within)

    def add_class(self, part: str, tree: Tree, name: str) -> None:
        """Adds a folder that is of one class to a part."""
        kept = Tree(tree.path, tree.images, self.without_masks(tree))
        self.parts.setdefault(part, Part()).add(Tree(tree.path), {name: kept})

    def parts_of_classes(self, top: Tree, within: Mapping[str, Tree]) -> dict[str, dict[str, list[str]]]:
        """For each folder the parts that it has, where all have some."""
        if top.images or len(within) < 2:
            return {}
        inner = {name: _parts(_without_masks(folder), folder) for name, folder in within.items()}
        if not all(inner.values()):
            return {}
        for name in inner:
            folder = within[name]
            held = self.without_masks(folder)
            self.beside(folder, {n: f for n, f in held.items() if n not in _all(inner[name])})
        self.notes.append("each class has its own parts")
        return inner

    def settle_classes(self) -> None:
        """Takes away what are no classes, and reads classes from the names of files where there are no folders."""
        trained = _names(self.parts["train"])
        for name, part in self.parts.items():
            if name != "train" and trained and len(own := _names(part)) == 1 and not own & trained:
                part.names = [None] * len(part.names)
        everything = set().union(*map(_names, self.parts.values()))
        if everything and all(NO_CLASSES.fullmatch(name) for name in everything):
            self.notes.append(
                f"{number(len(everything), 'folder')} such as {min(everything)} are no classes; splits are drawn image"
                " by image: data.source.split keeps them together"
            )
            everything = set()
            for part in self.parts.values():
                part.names = [None] * len(part.names)
        elif not everything:
            self._read_names()
        if loose := sum(name is None for name in self.parts["train"].names) if len(everything) > 1 else 0:
            self.notes.append(f"{number(loose, 'training image')} in no class folder, without a label")

    def _read_names(self) -> None:
        """Classes from the names of files, such as cat.0.jpg, where all training images have such names."""
        train = self.parts["train"]
        found = [CLASS_NUMBER.fullmatch(path.stem) for path in train.paths]
        names = {match[1] for match in found if match}
        if not all(found) or not 1 < len(names) <= len(found) / 2:
            return
        for part in self.parts.values():
            matches = [CLASS_NUMBER.fullmatch(path.stem) for path in part.paths]
            part.names = [match[1] if match and match[1] in names else None for match in matches]
        self.notes.append(f"classes from the names of files, as {printable(train.paths[0].name)}")


def _parts(folders: Mapping[str, Tree], top: Tree) -> dict[str, list[str]]:
    """Part -> names of its folders among these; none where they are no parts."""
    groups: dict[frozenset[str], dict[str, list[str]]] = {}
    for name in folders:
        part, rest = _word(name)
        if part:
            groups.setdefault(rest, {}).setdefault(part, []).append(name)
    whole = [group for group in groups.values() if "train" in group and len(group) > 1]
    if len(whole) == 1:
        return whole[0]
    plain = groups.get(frozenset(), {})
    if plain in whole:
        return plain
    empty = [name for name, folder in top.folders.items() if not folder.count and _word(name) == ("train", frozenset())]
    if "train" not in plain and ({"val", "test"} <= set(plain) or (plain and empty)):
        there = ", ".join(_all(plain))
        raise UserError(
            f"{printable(top.path)!r} has images for validation or test ({printable(there)}) and none for training:"
            f" {f'there is none in {printable(empty[0])}' if empty else 'say which are which by data.source.split'}."
        )
    if list(plain) == ["train"] and (len(folders) > 1 or top.images):
        structured = {name: not folder.images and len(folder.filled) > 1 for name, folder in folders.items()}
        if all(structured[name] for name in plain["train"]) and (top.images or not all(structured.values())):
            return plain
    return {}


def _all(parts: Mapping[str, Sequence[str]]) -> list[str]:
    return [name for names in parts.values() for name in names]


def _word(name: str) -> tuple[str | None, frozenset[str]]:
    """The part that a folder's name says, or None, and its other words: "seg_train" -> ("train", {"seg"}).

    Numbers say nothing (train2017), nor do fillers (test_set).
    """
    words = [word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+|[^\W\d_a-zA-Z]+", name)]
    parts = [word for word in words if word in PARTS]
    return (PARTS[parts[0]] if len(parts) == 1 else None), frozenset(words) - FILLERS - set(parts)


def _without_masks(tree: Tree) -> dict[str, Tree]:
    return _Finding(tree).without_masks(tree)


def _key(name: str) -> str:
    """A folder's name without case, spaces and dashes."""
    return re.sub(r"[\W_]+", "", name).lower()


def _names(part: Part) -> set[str]:
    return {name for name in part.names if name is not None}


def _below(root: Tree, tree: Tree) -> str:
    return f"{printable(tree.path.relative_to(root.path))}/"
