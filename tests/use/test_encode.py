"""`diabolo encode`: codes and errors are those of the model, whatever the file and however the images come."""

import csv
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
import torch
from PIL import Image

from diabolo.runs.loading import load


def pixels(files) -> torch.Tensor:
    return torch.stack([torch.from_numpy(np.array(Image.open(file)))[None] for file in files])


@pytest.fixture
def expected(run, images):
    """Names, labels, codes and errors of all images, by plain code."""
    files = sorted(images.rglob("*.png"))
    stored = pixels(files)
    model = load(run.path)
    with torch.no_grad():
        codes, made = model.encode(stored), model.reconstruct(stored)
    errors = (made - stored / 255).square().mean((1, 2, 3))
    return [str(f.relative_to(images)) for f in files], [f.parent.name for f in files], codes.numpy(), errors.numpy()


def test_a_folder_becomes_codes_with_names_labels_and_errors(diabolo, run, images, expected):
    ended = diabolo("encode", str(run.path), str(images), "--out", "codes.npz")
    assert ended.code == 0, ended.err
    assert ended.out == f"30 codes of 4 numbers -> codes.npz (mean MSE {expected[3].mean():.5f})\n"
    with np.load("codes.npz") as found:
        assert found["name"].tolist() == expected[0]
        assert found["label"].tolist() == expected[1]
        np.testing.assert_allclose(found["codes"], expected[2], atol=1e-6)
        np.testing.assert_allclose(found["mse"], expected[3], atol=1e-7)


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_table_has_a_row_an_image_and_a_column_a_number(diabolo, run, images, expected, ending):
    assert diabolo("encode", str(run.path), str(images), "--out", f"codes.{ending}").code == 0
    if ending == "csv":
        with Path("codes.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
    else:
        rows = pyarrow.parquet.read_table("codes.parquet").to_pylist()
    assert list(rows[0]) == ["name", "label", "mse", "unit_1", "unit_2", "unit_3", "unit_4"]
    assert [row["name"] for row in rows] == expected[0]
    found = np.array([[float(row[f"unit_{unit}"]) for unit in range(1, 5)] for row in rows])
    np.testing.assert_allclose(found, expected[2], atol=1e-6)
