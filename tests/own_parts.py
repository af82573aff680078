"""A run with parts of one's own, which no page can compute."""

import os
import subprocess
import sys
from pathlib import Path

from support import TINY

PARTS = """
import torch
from math import prod
from torch import nn

print("what a part prints is nobody's answer")


class Wave(nn.Module):
    def forward(self, values):
        return torch.sin(3 * values)


class Encoder(nn.Sequential):
    def __init__(self, image_shape, out_features):
        super().__init__(nn.Flatten(), nn.Linear(prod(image_shape), out_features), Wave())


class Decoder(nn.Sequential):
    def __init__(self, in_features, image_shape):
        super().__init__(nn.Linear(in_features, prod(image_shape)), Wave(), nn.Unflatten(1, tuple(image_shape)))

    def forward(self, codes):
        if bool((codes > 100).all()):
            raise ArithmeticError("too\\nfar")
        return super().forward(codes)
"""


def train_own(folder: Path, name: str = "own") -> Path:
    """Trains one with the command line, in `folder`, and notes its parts as trusted; the run folder."""
    (folder / "ownparts.py").write_text(PARTS)
    for group in ("encoder", "decoder"):
        (folder / "ownconf" / group).mkdir(parents=True, exist_ok=True)
        (folder / "ownconf" / group / "own.yaml").write_text(f"_target_: ownparts.{group.title()}\n")
    own = ("--config-dir", "ownconf", *TINY, "encoder=own", "decoder=own", "callbacks=none", "logger=none")
    command = [sys.executable, "-m", "diabolo", "train", *own, f"hydra.run.dir=logs/{name}"]
    ended = subprocess.run(command, cwd=folder, env=os.environ, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    return folder / "logs" / name
