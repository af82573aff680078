"""`diabolo decode`: the images of codes, whatever file they come in."""

import csv
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import torch

from diabolo.runs.loading import load
from support import pixels

CODES = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
NAMES = ["a/1.jpg", "a/2.jpg", "b/1.jpg", "b/2.jpg", "x.png"]


def write_npz(path):
    np.savez(path, codes=CODES, name=np.array(NAMES))


def write_csv(path):
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerows(
            [["name", "unit_1", "unit_2", "unit_3", "unit_4"], *([n, *c] for n, c in zip(NAMES, CODES, strict=True))]
        )


def write_parquet(path):
    units = {f"unit_{unit + 1}": CODES[:, unit] for unit in range(4)}
    pyarrow.parquet.write_table(pyarrow.table({"name": NAMES} | units), path)


@pytest.mark.parametrize("write", [write_npz, write_csv, write_parquet])
def test_the_images_are_the_models_under_the_names_of_the_file(diabolo, run, tmp_path, write):
    file = tmp_path / f"codes.{write.__name__.removeprefix('write_')}"
    write(file)
    ended = diabolo("decode", str(run.path), file.name, "--out", "made")
    assert ended.code == 0, ended.err
    assert ended.out == "5 images -> made\n"
    with torch.no_grad():
        expected = (load(run.path).decode(torch.from_numpy(CODES))[:, 0].clamp(0, 1) * 255).numpy()
    for name, image in zip(NAMES, expected, strict=True):
        found = pixels(Path("made") / Path(name).with_suffix(".png"))
        assert np.abs(found - image).max() <= 0.51


def test_codes_without_names_are_numbered(diabolo, run, tmp_path):
    np.savez(tmp_path / "codes.npz", codes=np.zeros((12, 4)))
    assert diabolo("decode", str(run.path), "codes.npz", "--out", "made").code == 0
    assert sorted(path.name for path in Path("made").iterdir()) == [f"code_{i:02}.png" for i in range(1, 13)]


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"codes": np.zeros((2, 3))}, "holds 2x3 numbers, and the codes of this run are N x 4."),
        ({"codes": np.full((2, 4), np.nan)}, "holds codes that are no finite numbers."),
        ({"other": np.zeros((2, 4))}, "cannot be read as a file of codes ('codes')."),
        ({"codes": np.array([{}], dtype=object)}, "cannot be read as a file of codes (Object arrays"),
        ({"codes": np.zeros((1, 4)), "name": ["../x.png"]}, "the name '../x.png' is none of a file below a folder."),
        ({"codes": np.zeros((1, 4)), "name": ["/tmp/x.png"]}, "the name '/tmp/x.png' is none of a file below a folder"),
    ],
)
def test_codes_that_do_not_fit_are_one_sentence(diabolo, run, tmp_path, arrays, words):
    np.savez(tmp_path / "codes.npz", **arrays)
    ended = diabolo("decode", str(run.path), "codes.npz", "--out", "made")
    assert ended.code == 2
    assert words in ended.err
    assert len(ended.err.splitlines()) == 1
    assert not Path("made").exists()


def test_a_place_where_nothing_can_be_written_is_told_before_anything_is_done(diabolo, run, tmp_path):
    np.savez(tmp_path / "codes.npz", codes=CODES)
    ended = diabolo("decode", str(run.path), "codes.npz", "--out", "codes.npz/made")
    assert ended.code == 2
    assert f"nothing can be written in '{tmp_path / 'codes.npz'}': name another --out." in ended.err


def test_files_of_another_kind_or_none_are_one_sentence(diabolo, run, tmp_path):
    (tmp_path / "codes.csv").write_bytes(b"\xff\xfe\x00")
    for file, words in (
        ("codes.txt", "'codes.txt' must end in .npz, .csv, .parquet"),
        ("gone.npz", "there is no file 'gone.npz'."),
        ("codes.csv", "'codes.csv' cannot be read as a file of codes ("),
    ):
        ended = diabolo("decode", str(run.path), file, "--out", "made")
        assert ended.code == 2
        assert words in ended.err
