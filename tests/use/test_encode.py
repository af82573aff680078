"""`diabolo encode`: codes and errors are those of the model, whatever the file and however the images come."""

import csv
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
import torch

from diabolo.runs.loading import load
from support import TINY, pixels


@pytest.fixture
def expected(run, images):
    """Names, labels, codes and errors of all images, by plain code."""
    files = sorted(images.rglob("*.png"))
    stored = torch.stack([torch.tensor(pixels(file))[None] for file in files])
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


def test_a_run_of_anomaly_detection_scores_by_its_normal_test_images(diabolo, trained, tmp_path):
    run = trained(
        *TINY,
        "data.train_classes=[1,2]",
        "callbacks=anomaly",
        "+callbacks.per_image._target_=diabolo.callbacks.PerImage",
        "logger=none",
    )
    ended = diabolo("encode", str(run.path), "--split", "test", "--out", "codes.npz")
    assert ended.code == 0, ended.err
    with np.load(run.path / "per_image.npz") as own, np.load("codes.npz") as found:
        normal = own["mse"][np.isin(own["labels"], [1, 2])]
        expected = [(normal < error).mean() for error in found["mse"]]
        np.testing.assert_allclose(found["anomaly"], expected, atol=1.01 / len(normal))
        np.testing.assert_allclose(found["mse"], own["mse"], atol=1e-6)
        beyond = int((found["anomaly"] >= 0.95).sum())
    assert (
        f"anomalies: {beyond} of 32 images have a larger error than 95% of the run's {len(normal)} normal" in ended.out
    )


def test_what_is_there_is_not_written_over_and_nothing_half_made_is_left(diabolo, run, images, tmp_path):
    (tmp_path / "codes.csv").write_text("mine")
    ended = diabolo("encode", str(run.path), str(images), "--out", "codes.csv")
    assert ended.err == "diabolo: 'codes.csv' is there already: name another --out, or say --overwrite.\n"
    (tmp_path / "broken.png").write_bytes(b"none")
    ended = diabolo("encode", str(run.path), "broken.png", "--out", "other.npz")
    assert ended.code == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken.png", "codes.csv"]


def test_a_classifier_has_no_codes(diabolo, trained, images):
    run = trained(*TINY, "task=classify", "bottleneck.size=10", "callbacks=none", "logger=none")
    ended = diabolo("encode", str(run.path), str(images), "--out", "codes.npz")
    assert ended.code == 2
    assert "classifier" in ended.err
