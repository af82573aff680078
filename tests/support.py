"""What tests ask for by name: places, the overrides of a tiny run, data written on the spot, pictures read back."""

import io
import json
import pickle
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from omegaconf import DictConfig
from PIL import Image
from sklearn.datasets import load_sample_images

from diabolo.data.datamodule import ImageData
from diabolo.runs.build import build_data

ROOT = Path(__file__).parent.parent
CONF = ROOT / "conf"


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


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


def photograph_parts(count: int, side: int = 32) -> np.ndarray:
    """Parts of the two photographs of scikit-learn, first of one, then of the other: N x H x W x 3 bytes."""
    photographs = load_sample_images().images  # 427 x 640 x 3 each
    draw = np.random.default_rng(0)
    parts = []
    for i in range(count):
        top, left = draw.integers(0, 427 - side), draw.integers(0, 640 - side)
        parts.append(photographs[2 * i // count][top : top + side, left : left + side])
    return np.stack(parts)


def write_cifar10(root: Path, images: np.ndarray, test: int, labels: Sequence[int] | None = None) -> Path:
    """Writes images, N x 32 x 32 x 3 bytes, in the layout of torchvision's CIFAR10 below `root` and returns it; the
    last `test` are for the test. torchvision asks for the checksums of the true files: see `any_cifar10`."""
    folder = root / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    labels = [i % 10 for i in range(len(images))] if labels is None else list(labels)
    rows = images.transpose(0, 3, 1, 2).reshape(len(images), -1)
    train = len(images) - test
    ends = [train * i // 5 for i in range(6)] + [len(images)]
    names = [*(f"data_batch_{i + 1}" for i in range(5)), "test_batch"]
    for name, start, end in zip(names, ends[:-1], ends[1:], strict=True):
        (folder / name).write_bytes(pickle.dumps({"data": rows[start:end], "labels": labels[start:end]}))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": [f"class {i}" for i in range(10)]}))
    return root


def write_photographs(folder: Path, count: int) -> Path:
    """Writes parts of the two photographs that come with scikit-learn, of 60 to 400 pixels, as JPEGs in two classes
    below `folder` and returns it."""
    photographs = load_sample_images().images  # 427 x 640 x 3 each
    draw = np.random.default_rng(0)
    for i in range(count):
        photograph, (height, width) = photographs[i % 2], draw.integers(60, 400, 2)
        top, left = draw.integers(0, 427 - height), draw.integers(0, 640 - width)
        path = folder / ("temple", "flower")[i % 2] / f"{i:03}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(photograph[top : top + height, left : left + width]).save(path, quality=95)
    return folder


def opened_data(config: DictConfig) -> ImageData:
    """The data of a config, set up."""
    data = build_data(config)
    data.setup()
    return data


def drawn(folder: Path, tag: str) -> dict[int, np.ndarray]:
    """The pictures below a tag of TensorBoard's images, H x W x 3 bytes, by step."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder), size_guidance={"images": 0}).Reload()
    pictures = {e.step: Image.open(io.BytesIO(e.encoded_image_string)) for e in events.Images(tag)}
    return {step: np.asarray(picture.convert("RGB")) for step, picture in pictures.items()}


def pixels(path: Path) -> np.ndarray:
    """A picture's numbers as they are stored: H x W, or H x W x channels."""
    with Image.open(path) as picture:
        return np.asarray(picture)


def tiles(picture: np.ndarray, row: int, count: int) -> np.ndarray:
    """The first `count` images of a row of a picture of 8x8 images, which are drawn 7 times as large and 2 pixels
    apart: N x 3 x 8 x 8 bytes."""
    places = [(slice(58 * row, 58 * row + 56, 7), slice(58 * column, 58 * column + 56, 7)) for column in range(count)]
    return np.stack([picture[place] for place in places]).transpose(0, 3, 1, 2)


def unnamed(picture: np.ndarray, columns: int) -> np.ndarray:
    """A picture of so many 8x8 images in a row without what stands on its left, the names of its rows."""
    names, images = np.split(picture, [picture.shape[1] - 58 * columns + 2], 1)
    for top in range(0, len(picture), 58):
        assert names[top : top + 56].min() < 99, f"row {top // 58} has no name"
    return images


def stamps(folder: Path) -> dict[str, tuple[str, int]]:
    """For each finished run when it was finished."""
    return {
        path.parent.name: (json.loads(path.read_text())["finished"], path.stat().st_mtime_ns)
        for path in folder.glob("*/metrics.json")
    }
