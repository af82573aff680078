"""Figures of single images and the nearest neighbours of codes, against plain loops."""

import hashlib

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity

from diabolo.callbacks.per_image import gathered
from diabolo.data.pixels import unit_interval
from diabolo.measures.pca import LinearCode
from diabolo.runs.evaluation import evaluate
from diabolo.runs.folder import RunFolder
from diabolo.runs.loading import load
from support import TINY, opened_data

MORE = ("data.image_shape=[1,12,13]", "data.eval_batch_size=10", "callbacks.per_image.most_codes=50")
OTHERS_OFF = [f"callbacks.{name}=null" for name in ("reconstructions", "progression", "interpolation", "projector")]


@pytest.fixture(scope="module")
def run(trained) -> RunFolder:
    return trained(*TINY, *MORE, *OTHERS_OFF)


@pytest.fixture(scope="module")
def figures(run) -> dict[str, np.ndarray]:
    with np.load(run.path / "per_image.npz") as file:
        return dict(file)


@pytest.fixture(scope="module")
def data(run):
    return opened_data(run.config())


def test_each_image_of_the_split_has_its_figures(run, figures, data):
    images = data.images("test")
    with torch.no_grad():
        ours = load(run.path).reconstruct(images).numpy()
    for i, (mine, theirs) in enumerate(zip(ours[:, 0], images[:, 0].numpy() / 255.0, strict=True)):
        assert figures["mse"][i] == pytest.approx(((mine - theirs) ** 2).mean(), rel=1e-4)
        assert figures["mae"][i] == pytest.approx(abs(mine - theirs).mean(), rel=1e-4)
        ssim = structural_similarity(
            theirs, mine, data_range=1, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
        )
        assert figures["ssim"][i] == pytest.approx(ssim, abs=1e-4)
    assert {name: figures[name].dtype for name in ("mse", "mae", "ssim")} == dict.fromkeys(
        ("mse", "mae", "ssim"), np.float32
    )
    assert figures["labels"].tolist() == data.labels("test").tolist()


def test_their_means_are_the_test_metrics(run, figures):
    for name in ("mse", "mae", "ssim", "pca_mse"):
        assert figures[name].mean(dtype=float) == pytest.approx(run.metrics()[f"test/{name}"], rel=1e-6)


def test_pca_is_measured_image_by_image_where_it_stands_beside_the_run(figures, data, trained):
    pca = LinearCode(data.images("train"), 4).reconstruct(data.images("test"))
    errors = (pca - unit_interval(data.images("test"))).square().flatten(1).mean(1)
    np.testing.assert_allclose(figures["pca_mse"], errors, rtol=1e-4)
    with np.load(trained(*TINY, *OTHERS_OFF, "callbacks.pca=null").path / "per_image.npz") as file:
        assert "pca_mse" not in file


def test_the_hash_is_that_of_the_images_and_not_of_the_batches(run, figures, data, trained):
    digests = b"".join(hashlib.sha256(image.numpy().tobytes()).digest() for image in data.images("test"))
    assert str(figures["images"]) == hashlib.sha256(digests).hexdigest()
    other = trained(*TINY, *MORE, *OTHERS_OFF, "data.eval_batch_size=32", "seed=1", "loss=mae")
    with np.load(other.path / "per_image.npz") as file:
        assert str(file["images"]) == str(figures["images"])
        assert not np.allclose(file["mse"], figures["mse"])
    fewer = trained(*TINY, *MORE, *OTHERS_OFF, "data.test_limit=31")
    with np.load(fewer.path / "per_image.npz") as file:
        assert str(file["images"]) != str(figures["images"])


def test_the_accuracy_is_that_of_the_five_nearest_training_codes(run, data):
    model = load(run.path)
    count = data.count("train")
    assert count == 86
    chosen = [round(i * (count - 1) / 49) for i in range(50)]
    with torch.no_grad():
        known, asked = model.encode(data.images("train", chosen)).numpy(), model.encode(data.images("test")).numpy()
    labels = data.labels("train")[chosen].numpy()
    right = 0
    for code, label in zip(asked, data.labels("test").tolist(), strict=True):
        nearest = np.argsort(((known - code) ** 2).sum(1), kind="stable")[:5]
        right += np.bincount(labels[nearest], minlength=10).argmax() == label
    assert run.metrics()["test/knn_accuracy"] == pytest.approx(right / 32)
    assert 0 < right < 32


def test_an_evaluation_measures_the_accuracy_and_leaves_the_file(run, figures):
    before = (run.path / "per_image.npz").stat().st_mtime_ns
    assert evaluate(run.path)["test/knn_accuracy"] == run.metrics()["test/knn_accuracy"]
    assert (run.path / "per_image.npz").stat().st_mtime_ns == before


def test_without_labels_or_neighbours_there_is_no_accuracy(trained, monkeypatch):
    assert "test/knn_accuracy" not in trained(*TINY, *OTHERS_OFF, "callbacks.per_image.neighbours=0").metrics()
    monkeypatch.setattr(
        "diabolo.data.datamodule.ImageData.labels", lambda self, split: torch.full((self.count(split),), -1)
    )
    run = trained(*TINY, *OTHERS_OFF)
    assert "test/knn_accuracy" not in run.metrics()
    assert (run.path / "per_image.npz").is_file()


def test_processes_that_share_the_images_put_them_in_the_splits_order(monkeypatch):
    everything = {"mse": torch.arange(7.0), "codes": torch.arange(14.0).view(7, 2)}
    parts = [{name: values[rank::3] for name, values in everything.items()} for rank in range(3)]
    monkeypatch.setattr("torch.distributed.all_gather_object", lambda into, _: into.__setitem__(slice(None), parts))
    for mine in parts:
        together = gathered(mine, 3)
        assert all(torch.equal(together[name], values) for name, values in everything.items())
