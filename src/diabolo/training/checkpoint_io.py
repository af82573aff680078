"""Checkpoints that are whole or not there, whenever the process is killed and wherever TMPDIR lies."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO

from diabolo.training.whole_files import write_whole


class WholeCheckpoints(TorchCheckpointIO):
    """Writes a checkpoint beside its place and then puts it there; the one before stays until then.

    Lightning writes to TMPDIR first and moves the file, which on another file system is a copy that can be cut short.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Raises OSError where the disk is full; torch, writing to a file itself, would call it a RuntimeError."""
        place = Path(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        torch.save(checkpoint, content := io.BytesIO())
        write_whole(place, content.getbuffer())
