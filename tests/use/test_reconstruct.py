"""`diabolo reconstruct`: files under their own names, with the pixels of the model's reconstructions."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from diabolo.runs.loading import load
from support import TINY, pixels

QUIET = (*TINY, "callbacks=none", "logger=none")


def reconstructed(run, stored: np.ndarray) -> np.ndarray:
    """Of an image, H x W bytes, by plain code, in bytes."""
    with torch.no_grad():
        made = load(run.path).reconstruct(torch.from_numpy(stored.copy())[None, None])
    return (made[0, 0].clamp(0, 1) * 255).numpy()


def test_each_reconstruction_has_the_name_and_the_place_of_its_image(diabolo, run, images):
    ended = diabolo("reconstruct", str(run.path), str(images), "--out", "made")
    assert ended.code == 0, ended.err
    assert ended.out.startswith("30 reconstructions -> made (mean MSE 0.")
    found = {str(path.relative_to("made")) for path in Path("made").rglob("*") if path.is_file()}
    assert found == {str(path.relative_to(images)) for path in images.rglob("*.png")}
    for name in ("bar/00.png", "dot/29.png"):
        assert np.abs(pixels(Path("made") / name) - reconstructed(run, pixels(images / name))).max() <= 0.51


def test_files_of_one_name_keep_their_folders_and_endings(diabolo, run, images, tmp_path):
    for folder, ending in (("a", "png"), ("b", "png"), ("b", "bmp")):
        (tmp_path / "in" / folder).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels(images / "bar/00.png")).save(tmp_path / "in" / folder / f"x.{ending}")
    ended = diabolo("reconstruct", str(run.path), "in/a/x.png", "in/b", "--out", "made")
    assert ended.code == 0, ended.err
    found = sorted(str(path.relative_to(tmp_path / "made")) for path in (tmp_path / "made").rglob("*.*"))
    assert found == ["a/x.png", "b/x.bmp.png", "b/x.png.png"]


def test_a_file_that_is_there_is_not_written_over(diabolo, run, images, tmp_path):
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "00.png").write_text("mine")
    command = ("reconstruct", str(run.path), str(images / "bar"), "--out", "made")
    ended = diabolo(*command)
    assert ended.code == 2
    assert ended.err == "diabolo: 'made/00.png' is there already: name another --out, or say --overwrite.\n"
    assert [path.name for path in (tmp_path / "made").iterdir()] == ["00.png"]
    assert (tmp_path / "made" / "00.png").read_text() == "mine"
    assert diabolo(*command, "--overwrite").code == 0
    assert pixels(tmp_path / "made" / "00.png").shape == (8, 8)


def test_a_run_with_a_corruption_restores_what_it_is_given(diabolo, trained, images, tmp_path):
    run = trained(*QUIET, "data=folder", f"data.root={images}", "data.image_shape=[1,8,8]", "corruption=gaussian")
    for out, more in (("given", ()), ("first", ("--corrupt",))):
        ended = diabolo("reconstruct", str(run.path), str(images / "bar"), "--out", out, *more)
        assert ended.code == 0, ended.err
    stored, model = pixels(images / "bar" / "00.png"), load(run.path)
    given = torch.from_numpy(stored.copy())[None, None]
    with torch.no_grad():
        for out, seen in (("given", given), ("first", model.corrupted(given))):
            made = (model.reconstruct(seen)[0, 0].clamp(0, 1) * 255).numpy()
            assert np.abs(pixels(tmp_path / out / "00.png") - made).max() <= 0.51


def test_side_by_side_shows_image_corrupted_restored_and_error(diabolo, trained, images, tmp_path):
    run = trained(*QUIET, "data=folder", f"data.root={images}", "data.image_shape=[1,8,8]", "corruption=gaussian")
    shown = ("--side-by-side", "--corrupt")
    assert diabolo("reconstruct", str(run.path), str(images / "bar" / "00.png"), "--out", "side", *shown).code == 0
    picture = pixels(
        tmp_path / "side" / "00.png"
    )  # four tiles of 8x8, 14 times as large, 2 apart, under a line of text
    assert picture.shape == (18 + 112, 4 * 112 + 3 * 2, 3)
    stored = pixels(images / "bar" / "00.png")
    assert np.array_equal(picture[18::14, 0:112:14, 0], stored)
    with torch.no_grad():
        corrupted = load(run.path).corrupted(torch.from_numpy(stored.copy())[None, None])[0, 0]
    assert np.abs(picture[18::14, 114:226:14, 0] - corrupted.numpy() * 255).max() <= 0.51


@pytest.mark.parametrize(
    ("depth", "value_range", "made", "mode"),
    [
        ("uint16", None, "01.png", "I;16"),
        ("uint16", "[0,4095]", "01.png", "I;16"),
        ("float32", "[-1,1]", "01.tif", "F"),
    ],
)
def test_deep_images_are_written_in_their_own_units(diabolo, trained, tmp_path, depth, value_range, made, mode):
    draw = np.random.default_rng(0)
    for i in range(20):
        values = draw.uniform(-1, 1, (8, 8)).astype(np.float32)
        picture = Image.fromarray(values if mode == "F" else (values * 2000 + 2000).astype(np.uint16))
        (tmp_path / "in").mkdir(exist_ok=True)
        picture.save(tmp_path / "in" / f"{i:02}.tif")
    own = ("data=folder", f"data.root={tmp_path / 'in'}", "data.image_shape=[1,8,8]", f"data.depth={depth}")
    run = trained(*QUIET, *own, *([f"data.value_range={value_range}"] if value_range else []))
    ended = diabolo("reconstruct", str(run.path), "in", "--out", "made")
    assert (ended.code, ended.err) == (0, ""), "they are of the run's own size and kind"
    with Image.open(tmp_path / "made" / made) as written:
        assert written.mode == mode
    low, high = {None: (0, 65535), "[0,4095]": (0, 4095), "[-1,1]": (-1, 1)}[value_range]
    stored = (pixels(tmp_path / "in" / "01.tif").astype(float) - low) / (high - low)
    with torch.no_grad():
        expected = load(run.path).reconstruct(torch.from_numpy(stored)[None, None].float())[0, 0].clamp(0, 1)
    found = (pixels(tmp_path / "made" / made).astype(float) - low) / (high - low)
    assert np.abs(found - expected.numpy()).max() <= 1e-3
