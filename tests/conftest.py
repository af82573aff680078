"""What all tests share: one thread, a command line in this process or in its own, small data written on the spot."""

import logging
import os

os.environ["OMP_NUM_THREADS"] = "1"  # before torch: two threads fall off a cliff beside a busy neighbour
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # processes that compile everything anew take twice as long

import io
import json
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image

torch.set_num_threads(1)

ROOT = Path(__file__).parent.parent
CONF = ROOT / "conf"


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def diabolo(monkeypatch, capsys, tmp_path) -> Callable[..., Ended]:
    """Runs the command line in this process, in an empty folder: `diabolo("train", "model=fc")`."""
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.hydra_config import HydraConfig

    from diabolo.cli import main

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(logging.root, "handlers", logging.root.handlers[:])  # Hydra adds one with this test's stdout
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")

    def run(*arguments: str) -> Ended:
        GlobalHydra.instance().clear()
        HydraConfig.instance().cfg = None
        monkeypatch.setattr(sys, "argv", ["diabolo", *arguments])
        os.environ["HYDRA_FULL_ERROR"] = "0"
        capsys.readouterr()
        code = 0
        try:
            main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
        return Ended(code, *capsys.readouterr())

    return run


@pytest.fixture(scope="session")
def trained(tmp_path_factory) -> Callable:
    """Trains what the overrides describe, without the command line, and returns the run folder."""
    from diabolo.config import compose_config
    from diabolo.runs import RunFolder
    from diabolo.train import train

    def run(*overrides: str) -> RunFolder:
        folder = RunFolder(tmp_path_factory.mktemp("runs") / "run")
        train(compose_config(overrides), folder, list(overrides))
        return folder

    return run


@pytest.fixture
def process(tmp_path) -> Callable[..., subprocess.Popen]:
    """Starts the command line as a process of its own, in an empty folder."""
    started: list[subprocess.Popen] = []

    def start(*arguments: str) -> subprocess.Popen:
        command = [sys.executable, "-m", "diabolo", *arguments]
        pipe = subprocess.PIPE
        started.append(subprocess.Popen(command, cwd=tmp_path, stdout=pipe, stderr=pipe, text=True))
        return started[-1]

    yield start
    for one in started:
        if one.poll() is None:
            one.kill()
        one.communicate()


TINY = (
    "model=fc",
    "model.hidden=[16]",
    "bottleneck.size=4",
    "data.image_shape=[1,8,8]",
    "data.limit=96",
    "data.test_limit=32",
    "data.batch_size=32",
    "trainer.max_epochs=2",
    "trainer.accelerator=cpu",
)
"""Overrides of a run that takes a fraction of a second: 3 steps an epoch of a small network on 8x8 digits."""


@pytest.fixture
def tiny() -> tuple[str, ...]:
    return TINY


@pytest.fixture(scope="session")
def compared(trained, tmp_path_factory) -> Path:
    """A folder with three runs of small networks: two losses at 4 numbers, one at 2."""
    folder = tmp_path_factory.mktemp("compared")
    quiet = ("callbacks.codes=null", "callbacks.projector=null", "callbacks.hparams=null", "logger=none")
    for name, more in (("mse_4", ()), ("mae_4", ("loss=mae",)), ("mse_2", ("bottleneck.size=2",))):
        shutil.copytree(trained(*TINY, *quiet, *more).path, folder / name)
    return folder


def write_idx(path: Path, array: np.ndarray) -> None:
    """Writes bytes in the IDX format of MNIST."""
    path.parent.mkdir(parents=True, exist_ok=True)
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    path.write_bytes(header + array.astype(np.uint8).tobytes())


def write_mnist(root: Path, train: int = 64, test: int = 32, names: Sequence[str] = ("MNIST",)) -> Path:
    """Writes random images in the layout of torchvision's MNIST below `root` and returns it."""
    draw = np.random.default_rng(0)
    for name in names:
        for prefix, count in (("train", train), ("t10k", test)):
            write_idx(root / name / "raw" / f"{prefix}-images-idx3-ubyte", draw.integers(0, 256, (count, 28, 28)))
            write_idx(root / name / "raw" / f"{prefix}-labels-idx1-ubyte", np.arange(count) % 10)
    return root


@pytest.fixture
def mnist_root(tmp_path) -> Path:
    """A folder with a made MNIST of 64 training and 32 test images."""
    return write_mnist(tmp_path / "mnist")


def drawn(folder: Path, tag: str) -> dict[int, np.ndarray]:
    """The pictures below a tag of TensorBoard's images, H x W x 3 bytes, by step."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder), size_guidance={"images": 0}).Reload()
    pictures = {e.step: Image.open(io.BytesIO(e.encoded_image_string)) for e in events.Images(tag)}
    return {step: np.asarray(picture.convert("RGB")) for step, picture in pictures.items()}


def tiles(picture: np.ndarray, row: int, count: int) -> np.ndarray:
    """The first `count` images of a row of a picture of 8x8 images, which are drawn 7 times as large and 2 pixels
    apart: N x 3 x 8 x 8 bytes."""
    places = [(slice(58 * row, 58 * row + 56, 7), slice(58 * column, 58 * column + 56, 7)) for column in range(count)]
    return np.stack([picture[place] for place in places]).transpose(0, 3, 1, 2)


def stamps(folder: Path) -> dict[str, tuple[str, int]]:
    """For each finished run when it was finished."""
    return {
        path.parent.name: (json.loads(path.read_text())["finished"], path.stat().st_mtime_ns)
        for path in folder.glob("*/metrics.json")
    }
