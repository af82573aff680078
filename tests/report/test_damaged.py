"""Damaged files of run folders beside whole ones: each command that lists or compares names the file and goes on."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from diabolo.report.evidence import per_image
from diabolo.runs.safe_reading import Unreadable, read_picture
from harm import ANY_FILE, CONFIG_FILE, JSON_FILE, Harm, changed, text
from made_runs import write_per_image, write_run

HARMED: dict[str, dict[str, Harm]] = {
    "state.json": {
        **JSON_FILE,
        "state is a list": changed(state=["done"]),
        "reason is a mapping": changed(reason={}),
        "choices with a mapping": changed(choices={"loss": {"name": "mse"}}),
        "choices is a list": changed(choices=["mse"]),
        "versions with a list": changed(versions={"torch": [2]}),
        "overrides is a mapping": changed(overrides={"a": 1}),
        "started is a number": changed(started=5),
    },
    "metrics.json": {**JSON_FILE, "a list as number": text('{"test/mse": [1]}')},
    "config.yaml": CONFIG_FILE,
    "history.jsonl": {name: ANY_FILE[name] for name in ("fifo", "device", "folder")},
}
LISTING = (
    ("runs", "ls"),
    ("compare", "--csv", "table.csv", "--markdown", "table.md"),
    ("compare", "--html", "page.html"),
)


@pytest.fixture
def three(tmp_path) -> Path:
    """Three run folders with figures; the one called `bad` is to be harmed."""
    for name, size in (("good", 2), ("bad", 4), ("fine", 8)):
        history = [{"epoch": 1, "val/mse": 0.5}, {"epoch": 2, "val/mse": 0.25}]
        write_run(tmp_path / "runs" / name, size, metrics={"test/mse": 1 / size}, history=history)
    return tmp_path / "runs" / "bad"


@pytest.mark.parametrize(("name", "harm"), [(name, harm) for name, harms in HARMED.items() for harm in harms])
def test_a_damaged_file_is_named_and_the_others_are_compared(diabolo, three, name, harm):
    HARMED[name][harm](three / name)
    for command in LISTING:
        ended = diabolo(*command)
        assert ended.code == 0, ended
        assert "Traceback" not in ended.out + ended.err
        (line,) = ended.err.splitlines()
        assert line.startswith(f"skipped runs/bad: {name} cannot be read: "), line
        for size in (2, 8):
            assert f"bottleneck.size={size}" in ended.out or f" {size} " in ended.out
    assert "bottleneck.size=8" in Path("page.html").read_text()
    ended = diabolo("runs", "show", "runs/bad")
    assert ended.code == 2
    assert "Traceback" not in ended.err
    assert f"runs/bad{'' if 'not a run folder' in ended.err else '/' + name}" in ended.err


@pytest.mark.parametrize(
    "metrics",
    [
        '{"test/mse": NaN, "code_size": 4}',
        '{"test/mse": Infinity, "code_size": 1e400}',
        '{"test/mse": 1e308, "code_size": 1e300, "seconds": 1e308}',
        '{"test/mse": 5e-324, "code_size": 4, "seconds": 5e-324, "parameters": 1e-320}',
        '{"test/mse": 0.5, "test/mse_at/x": 0.5, "test/mse_at/": 1, "test/mse_at/2": 0.25, "test/mse_at/\u00b2": 0.5}',
        '{"test/mse": 0.5, "test/mse_at/' + "9" * 5000 + '": 0.5}',
        '{"test/mse": -0.5, "code_size": -1e18, "compression_ratio": "much"}',
        "{}",
    ],
)
def test_figures_that_cannot_be_stop_nothing(diabolo, three, metrics):
    (three / "metrics.json").write_text(metrics)
    (three / "history.jsonl").write_text('{"epoch": 1e308, "val/mse": 1e308}\n{"epoch": [], "val/mse": 5e-324}\n')
    for command in LISTING:
        ended = diabolo(*command)
        assert (ended.code, ended.err) == (0, ""), ended
    assert "bottleneck.size=8" in Path("page.html").read_text()


def zipped(path: Path) -> None:
    """An .npz that unpacks to far more than it has bytes."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file, file.open("mse.npy", "w") as member:
        for _ in range(70):
            member.write(bytes(1 << 20))


def arrays(**changes) -> Harm:
    def write(path: Path) -> None:
        figures = {name: np.ones(40, np.float32) for name in ("mse", "mae", "ssim")}
        figures |= {"labels": np.zeros(40, np.int32), "images": np.array("the same")} | changes
        np.savez(path, **{name: value for name, value in figures.items() if value is not None})

    return write


BROKEN_ARRAYS: dict[str, Harm] = {
    **{name: ANY_FILE[name] for name in ("zeroed", "flipped", "fifo", "device", "folder", "empty")},
    "no zip": text("no zip"),
    "cut short": lambda path: path.write_bytes(path.read_bytes()[:-100]),
    "flipped within": lambda path: path.write_bytes(path.read_bytes()[:200] + b"\xff" * 20 + path.read_bytes()[220:]),
    "other lengths": arrays(mae=np.ones(39, np.float32)),
    "two axes": arrays(**{name: np.ones((4, 10), np.float32) for name in ("mse", "mae", "ssim", "labels")}),
    "no ssim": arrays(ssim=None),
    "no images": arrays(images=None),
    "objects": arrays(mse=np.array([{}] * 40, object)),
    "texts": arrays(mse=np.array(["a"] * 40)),
    "labels as texts": arrays(labels=np.array(["a"] * 40)),
    "not finite": arrays(mae=np.full(40, np.nan, np.float32)),
    "unpacks to too much": zipped,
}


@pytest.mark.parametrize("harm", BROKEN_ARRAYS)
def test_a_run_whose_arrays_are_damaged_is_left_out_of_the_comparison_image_by_image(diabolo, tmp_path, harm):
    for loss in ("mse", "mae", "huber"):
        run = write_run(tmp_path / "runs" / loss, loss=loss, metrics={"test/mse": 0.25})
        write_per_image(run, mse=[{"mse": 0.25, "mae": 0.5, "huber": 1}[loss]] * 40)
    bad = tmp_path / "runs" / "huber" / "per_image.npz"
    BROKEN_ARRAYS[harm](bad)
    why = "its arrays have more than" if harm == "unpacks to too much" else ""
    with pytest.raises(Unreadable, match=rf"per_image\.npz' cannot be read: {why}"):
        per_image(bad.parent)
    ended = diabolo("compare", "--html", "page.html")
    assert (ended.code, ended.err) == (0, ""), ended
    assert "A run is not compared image by image: 'runs/huber/per_image.npz' cannot be read: " in ended.out
    assert "Measured by MSE, loss=mse is better" in ended.out or "mae - mse" in ended.out
    assert "mse - huber" not in ended.out + Path("page.html").read_text()


def bomb(path: Path) -> None:
    """A PNG whose header promises 50,000 x 50,000 pixels."""
    header = (50_000).to_bytes(4, "big") * 2 + bytes([8, 0, 0, 0, 0])
    with path.open("wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n")
        PngImagePlugin.putchunk(file, b"IHDR", header)
        PngImagePlugin.putchunk(file, b"IDAT", b"")
        PngImagePlugin.putchunk(file, b"IEND", b"")


def large(path: Path) -> None:
    Image.new("1", (8_200, 8_200)).save(path)  # fewer than Pillow warns of, more than a run draws


PICTURES = {
    **{name: ANY_FILE[name] for name in ("zeroed", "flipped", "fifo", "device", "folder", "empty")},
    "50,000 x 50,000": bomb,
    "8,200 x 8,200": large,
    "cut short": lambda path: path.write_bytes(path.read_bytes()[:-30]),
    "flipped within": lambda path: path.write_bytes(path.read_bytes()[:45] + b"\xff" * 9 + path.read_bytes()[54:]),
}


@pytest.mark.parametrize("harm", PICTURES)
def test_a_damaged_picture_does_not_stop_the_page(diabolo, three, harm):
    for name in ("bad", "fine"):
        for kind in ("reconstructions", "interpolation"):
            path = three.parent / name / "pictures" / kind / "final.png"
            path.parent.mkdir(parents=True)
            Image.fromarray(np.full((9, 9), 100, np.uint8)).save(path)
    harmed = three / "pictures" / "reconstructions" / "final.png"
    PICTURES[harm](harmed)
    with pytest.raises(Unreadable):
        read_picture(harmed)
    ended = diabolo("compare", "--html", "page.html", "--tensorboard", "board")
    assert (ended.code, ended.err) == (0, ""), ended
    page = Path("page.html").read_text()
    assert page.count("data:image/png") == 3
    assert "bottleneck.size=4 (in bad): no picture, since" in page
    assert "bottleneck.size=8 (in fine): as it was drawn in training, since" in page
