"""diabolo: config-driven experiments with autoencoders on images."""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from diabolo.report.inline import compare
    from diabolo.runs.loading import load
    from diabolo.use.training import train

__all__ = ["compare", "load", "train"]  # and `diabolo.runs(FOLDER)`: see `diabolo.rooms.called`

os.environ.setdefault("PYTORCH_ENABLE_MPS_FALLBACK", "1")  # for torch: what Apple's GPU lacks, the CPU computes

MODULES = {"compare": "diabolo.report.inline", "load": "diabolo.runs.loading", "train": "diabolo.use.training"}


def __getattr__(name: str) -> Any:
    """The public functions, imported when they are asked for: `import diabolo` costs nothing (PEP 562)."""
    if name == "runs":  # a room, which nobody needs to have imported
        return import_module("diabolo.runs")
    if name in MODULES:
        return getattr(import_module(MODULES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
