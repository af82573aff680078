"""The page's JavaScript: modules of their own in this folder, joined into one where a page must need no other file."""

from __future__ import annotations

from importlib.resources import files

from diabolo.runs import pages

MODULES = (
    "network", "blobs", "asking", "models", "pictures", "explorer",
    "choose", "stage", "map", "sliders", "mixing", "start",
)  # fmt: skip


def joined(modules: tuple[str, ...] = MODULES) -> str:
    """The modules as one, without what they say to each other."""
    return pages.joined(files("diabolo.use.explore"), modules)
