"""The files below a folder of images: which are images, and which are not, and why."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from diabolo.data.folders.formats import ADVICE, endings
from diabolo.errors import UserError, printable

DEEPEST_LINKS = 3  # folders that are links within each other
SYSTEM = frozenset(
    name.casefold()
    for name in (
        *("__MACOSX", "@eaDir", "#recycle", "@Recycle", "$RECYCLE.BIN", "System Volume Information", "lost+found"),
        *("Thumbs.db", "ehthumbs.db", "desktop.ini", "Icon\r", "__pycache__"),
    )
)
DOUBLE = re.compile(r"\.(?:nii|tar)\.\w+$")  # endings of two parts


@dataclass
class Tree:
    """A folder with the images and the folders in it that count.

    Args:
        path: of the folder.
        images: names of the image files in it.
        folders: by name, those in it, empty ones too.
    """

    path: Path
    images: list[str] = field(default_factory=list)
    folders: dict[str, Tree] = field(default_factory=dict)

    @cached_property
    def count(self) -> int:
        """Images in it and below."""
        return len(self.images) + sum(folder.count for folder in self.folders.values())

    @property
    def filled(self) -> dict[str, Tree]:
        """Its folders with an image in or below them."""
        return {name: folder for name, folder in self.folders.items() if folder.count}

    def paths(self) -> Iterator[Path]:
        """Its images and those below, sorted by name folder by folder, as `sorted` would sort the paths."""
        files = set(self.images)
        for name in sorted([*self.images, *self.folders]):
            if name in files:
                yield self.path / name
            else:
                yield from self.folders[name].paths()

    def below(self, relative: str) -> Tree:
        """The folder at a path relative to this one; KeyError where there is none."""
        found = self
        for name in Path(relative).parts:
            found = found.folders[name]
        return found


@dataclass
class PassedOver:
    """What is no image of the set, counted."""

    hidden: int = 0  # images among hidden and system files, or hidden files as such
    empty: int = 0  # folders with nothing in them
    endings: Counter[str] = field(default_factory=Counter)  # of other files, in lower case

    def said(self) -> list[str]:
        """In a few words each: how many of what, and what can be done."""
        found = [f"{number(self.hidden, 'hidden or system file')}"] if self.hidden else []
        advised: dict[str, Counter[str]] = {}
        for ending, advice in ADVICE.items():
            if ending in self.endings:
                advised.setdefault(advice, Counter())[ending] = self.endings[ending]
        found += [f"{number(sum(of.values()), f'{_listed(of)} file')} ({advice})" for advice, of in advised.items()]
        if others := Counter({ending: n for ending, n in self.endings.items() if ending not in ADVICE}):
            found.append(f"{number(sum(others.values()), 'other file')} ({_listed(others)})")
        if self.empty:
            found.append(number(self.empty, "empty folder"))
        return found


def scan(base: Path) -> tuple[Tree, PassedOver]:
    """The images below a folder, and what lies beside them.

    Folders that are links are entered, as sets of classes are put together without copies; a link to a folder that one
    is already in is not, and no more than `DEEPEST_LINKS` within each other. What is hidden (its name begins with a
    dot) or the system's is never data; the name of `base` itself does not matter.

    Raises:
        UserError: a folder that may not be read.
    """
    passed = PassedOver()
    return _scan(base, passed, (os.path.realpath(base),), 0), passed


def _scan(place: Path, passed: PassedOver, within: tuple[str, ...], links: int) -> Tree:
    tree = Tree(place)
    try:
        entries = sorted(os.scandir(place), key=lambda entry: entry.name)
    except OSError as failure:
        raise UserError(f"the folder {printable(place)!r} cannot be read ({failure.strerror}).") from failure
    passed.empty += not entries
    for entry in entries:
        hidden = is_hidden(entry.name)
        if not _is_folder(entry):
            if hidden:
                passed.hidden += 1
            elif not is_image(entry.name):
                passed.endings[_ending(entry.name)] += 1
            elif entry.is_file():  # no link to what is gone
                tree.images.append(entry.name)
            continue
        if hidden:
            passed.hidden += sum(is_image(name) for _, _, files in os.walk(entry.path) for name in files)
            continue
        linked = entry.is_symlink()
        real = os.path.realpath(entry.path) if linked else os.path.join(within[-1], entry.name)
        if linked and (real in within or links == DEEPEST_LINKS):
            continue
        tree.folders[entry.name] = _scan(place / entry.name, passed, (*within, real), links + linked)
    return tree


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # links in a circle of their own
        return False


def is_hidden(name: str) -> bool:
    """Whether a file or folder of this name is hidden or the system's."""
    return name.startswith(".") or name.casefold() in SYSTEM


def is_image(name: str) -> bool:
    """Whether a file of this name has an ending that Pillow reads."""
    return os.path.splitext(name)[1].lower() in endings()


def _ending(name: str) -> str:
    lower = name.lower()
    double = DOUBLE.search(lower)
    return double[0] if double else os.path.splitext(lower)[1]


def _listed(endings: Counter[str]) -> str:
    """The most frequent endings: ".txt, .csv, ..."."""
    frequent = sorted(endings, key=lambda ending: (-endings[ending], not ending, ending))
    names = [ending or "without an ending" for ending in frequent[:3]]
    return ", ".join([*names, *(["..."] if len(endings) > 3 else [])])


def number(count: int, one: str, several: str | None = None) -> str:
    """E.g. "1 image", "1,200 images"."""
    return f"{count:,} {one if count == 1 else several or f'{one}s'}"
