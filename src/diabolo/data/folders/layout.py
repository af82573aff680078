"""What a folder of images was understood as: parts and classes, and what was left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from diabolo.data.conventions import by_number
from diabolo.data.folders.tree import Tree, number
from diabolo.errors import printable

SHOWN_CLASSES = 8


@dataclass
class Part:
    """The images of one part with the name of each one's class, None for an image without."""

    paths: list[Path] = field(default_factory=list)
    names: list[str | None] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)  # where they lie, below the root

    def add(self, top: Tree, classes: Mapping[str, Tree]) -> None:
        """Adds the images of a folder, in the order of their paths, and those of its folders that are classes."""
        for name in sorted([*top.images, *classes]):
            paths = list(classes[name].paths()) if name in classes else [top.path / name]
            self.paths += paths
            self.names += [name if name in classes else None] * len(paths)


@dataclass
class Layout:
    """What a folder was understood as.

    Args:
        root: the folder.
        parts: by name, train always, val and test where the set has them.
        left_out: what is no data of the set, in a few words each with its count.
        notes: what else one has to know.
    """

    root: Path
    parts: dict[str, Part]
    left_out: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes of all parts, in the order of their labels; none if there is only one."""
        names = {name for part in self.parts.values() for name in part.names if name is not None}
        return tuple(by_number(names)) if len(names) > 1 else ()

    def labels(self, part: str) -> list[int]:
        """The label of each image of a part, -1 for one without."""
        numbers = {name: label for label, name in enumerate(self.classes)}
        return [-1 if name is None else numbers.get(name, -1) for name in self.parts[part].names]

    def short(self, path: Path) -> str:
        """A path from the root."""
        return printable(path.relative_to(self.root) if path.is_relative_to(self.root) else path)

    def said(self) -> tuple[str, ...]:
        """In two lines: parts and classes with their counts; what was left out, and why."""
        if len(self.parts) == 1:
            counts = number(len(self.parts["train"].paths), "image") + _within(self.parts["train"].folders, " in ")
        else:
            parts = self.parts.items()
            counts = ", ".join(f"{name} {len(part.paths):,}{_within(part.folders, ' from ')}" for name, part in parts)
        left_out = "; ".join(self.left_out) or "nothing"
        return (
            f"{printable(self.root)}: {counts}; {self._said_classes()}{''.join(f'; {note}' for note in self.notes)}",
            f"left out: {left_out}",
        )

    def _said_classes(self) -> str:
        if not self.classes:
            return "no classes"
        counts = Counter(name for part in self.parts.values() for name in part.names)
        each = [f"{name} {counts[name]:,}" for name in self.classes]
        if len(each) > SHOWN_CLASSES:
            each = [*each[:3], "...", each[-1]]
        return f"{len(self.classes):,} classes: {', '.join(each)}"


def _within(folders: Sequence[str], word: str) -> str:
    return f"{word}{', '.join(folders)}" if folders and folders != ["./"] else ""
