"""diabolo: config-driven experiments with autoencoders on images."""

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from diabolo.runs.loading import load

__all__ = ["load"]

os.environ.setdefault("PYTORCH_ENABLE_MPS_FALLBACK", "1")  # for torch: what Apple's GPU lacks, the CPU computes


def __getattr__(name: str) -> Any:
    """The public functions, imported when they are asked for: `import diabolo` costs nothing (PEP 562)."""
    if name == "load":
        from diabolo.runs.loading import load

        return load
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
