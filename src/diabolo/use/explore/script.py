"""The page's JavaScript: modules of their own in this folder, joined into one where a page must need no other file."""

from __future__ import annotations

import re
from importlib.resources import files

MODULES = (
    "network", "blobs", "asking", "models", "pictures", "explorer",
    "choose", "stage", "map", "sliders", "mixing", "start",
)  # fmt: skip
IMPORT = re.compile(r"^import [^;]+;\n", re.MULTILINE)
EXPORT = re.compile(r"^export (?=(?:async )?(?:function|class|const) )", re.MULTILINE)


def module_text(name: str) -> str:
    """The text of one module."""
    return (files("diabolo.use.explore") / f"{name}.js").read_text("utf-8")


def joined(modules: tuple[str, ...] = MODULES) -> str:
    """The modules as one, without what they say to each other."""
    return "\n".join(EXPORT.sub("", IMPORT.sub("", module_text(name))) for name in modules)
