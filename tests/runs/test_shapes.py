"""The whole default run, with all its callbacks, TensorBoard and the report's page, on images of any shape."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from support import drawn

FAST = (
    "model.channels=[4,8]",
    "data.limit=96",
    "data.test_limit=40",
    "trainer.max_epochs=2",
    "trainer.accelerator=cpu",
)
PICTURES = ("interpolation", "progression", "reconstructions")


def whole_run(diabolo, *overrides: str) -> Path:
    """Trains with all that a run has by default, writes the page, and returns the run folder."""
    trained = diabolo("train", *FAST, *overrides, "hydra.run.dir=runs/one")
    assert trained.code == 0, trained
    log = Path("runs/one/run.log").read_text()
    assert "warning" not in log.lower(), log
    page = diabolo("compare", "runs", "--html", "page.html")
    assert page.code == 0, page
    text = Path("page.html").read_text()
    assert "The same test images" in text, "drawn anew from the model"
    assert "Best and worst reconstructions" in text
    return Path("runs/one").resolve()


def picture(path: Path) -> np.ndarray:
    """A PNG file, H x W x 3 bytes."""
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def check_pictures(run: Path) -> None:
    assert json.loads((run / "state.json").read_text())["state"] == "done"
    for name in PICTURES:
        assert sorted(p.name for p in (run / "pictures" / name).iterdir()) == [
            "epoch_0000.png", "epoch_0002.png", "final.png"
        ]  # fmt: skip
        file = picture(run / "pictures" / name / "final.png")
        assert np.array_equal(file, drawn(run, f"{name}/final")[2])


@pytest.mark.parametrize(
    ("shape", "tile"),
    [
        ((1, 9, 21), (63, 147)),  # wide: enlarged 7 times, to 56 pixels and more
        ((1, 45, 37), (90, 74)),  # tall
        ((3, 17, 14), (68, 56)),  # tall, in colour
        ((3, 16, 16), (64, 64)),
        ((1, 31, 9), (217, 63)),  # tall, odd and narrow
    ],
    ids=lambda value: "x".join(map(str, value)),
)
def test_a_whole_run_ends_well(diabolo, shape, tile):
    channels, height, width = shape
    run = whole_run(diabolo, f"data.image_shape=[{channels},{height},{width}]")
    check_pictures(run)
    rows = picture(run / "pictures" / "reconstructions" / "final.png").shape
    assert rows == (3 * (tile[0] + 2) - 2, 10 * (tile[1] + 2) - 2, 3), "ten images in three rows"
    (sprite,) = run.glob("*/code/sprite.png")
    side = 7 * min(48, max(width, height if height > width else 0))
    assert picture(sprite).shape == (side, side, 3), "40 thumbnails, 7 in a row, on a square sheet"
