"""Checkpoints that are whole or not there, whenever the process is killed and wherever TMPDIR lies."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO

from diabolo.training.files import whole


class WholeCheckpoints(TorchCheckpointIO):
    """Writes a checkpoint beside its place and then puts it there; the one before stays until then.

    Lightning writes to TMPDIR first and moves the file, which on another file system is a copy that can be cut short.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Raises OSError where the disk is full, which torch calls a RuntimeError."""
        place = Path(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        with whole(place) as draft:
            try:
                torch.save(checkpoint, draft)
            except RuntimeError as failure:
                if "PytorchStreamWriter" not in str(failure) and "write" not in str(failure):
                    raise
                raise OSError(errno.ENOSPC, "the checkpoint could not be written whole", str(place)) from failure
