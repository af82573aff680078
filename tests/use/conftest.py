"""What the tests of this room share: one small run on made images in two classes, in grey."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from diabolo.runs.folder import RunFolder
from support import TINY

QUIET = (*TINY, "callbacks=none", "logger=none")


@pytest.fixture(scope="session")
def images(tmp_path_factory) -> Path:
    """A folder of 30 grey images of 8x8 in the classes bar and dot, as PNG."""
    folder, draw = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    for i in range(30):
        path = folder / ("bar", "dot")[i % 2] / f"{i:02}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(draw.integers(0, 256, (8, 8), dtype=np.uint8)).save(path)
    return folder


@pytest.fixture(scope="session")
def run(trained, images) -> RunFolder:
    """A run on them."""
    return trained(*QUIET, "data=folder", f"data.root={images}", "data.image_shape=[1,8,8]")
