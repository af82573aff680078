"""The curve of a nested run against plain loops."""

import json

import pytest
import torch
from sklearn.decomposition import PCA

from diabolo.runs.loading import load
from support import TINY, drawn, opened_data

NESTED = (*TINY, "bottleneck=nested", "trainer.max_epochs=3", "data.test_limit=40", "data.eval_batch_size=16")


@pytest.fixture(scope="module")
def run(trained):
    return trained(*NESTED, "callbacks=truncation")


@pytest.fixture(scope="module")
def data(run):
    return opened_data(run.config())


def test_the_error_at_k_is_that_of_a_plain_loop(run, data):
    module, images = load(run.path), data.images("test").float() / 255
    for k in range(1, 5):
        with torch.no_grad():
            codes, known = module.encode(data.images("test")), torch.arange(4).expand(40, 4) < k
            guess = module.autoencoder.bottleneck.estimate(torch.cat([codes * known, known.float()], 1))
            codes[:, k:] = guess[:, k:]
            expected = float((module.decode(codes) - images).double().square().mean())
        assert run.metrics()[f"test/mse_at/{k}"] == pytest.approx(expected, rel=1e-5)
    assert run.metrics()["test/mse_at/4"] == pytest.approx(run.metrics()["test/mse"], rel=1e-5)


def test_pca_at_k_is_fitted_on_the_training_images(run, data):
    train, test = ((data.images(split).flatten(1).float() / 255).numpy() for split in ("train", "test"))
    for k in range(1, 5):
        pca = PCA(k, svd_solver="covariance_eigh").fit(train)
        expected = ((pca.inverse_transform(pca.transform(test)) - test) ** 2).mean()
        assert run.metrics()[f"test/pca_mse_at/{k}"] == pytest.approx(expected, rel=1e-4)


def test_the_curve_and_the_truncations_are_drawn_once(run):
    for name in ("mse_at", "truncations"):
        assert [path.name for path in (run.pictures / name).iterdir()] == ["final.png"]
        ((_, picture),) = drawn(run.path, f"{name}/final").items()
        assert picture.std() > 5
    assert picture.shape[0] == 5 * 58 - 2  # the images, then 1, 2, 3 and 4 numbers


def test_an_evaluation_measures_it_again_and_leaves_the_pictures(run, diabolo):
    files = {path: path.stat().st_mtime_ns for path in run.pictures.rglob("*.png")}
    ended = diabolo("evaluate", str(run.path))
    assert ended.code == 0, ended.err
    line = next(line for line in ended.out.splitlines() if "test/mse_at/2" in line)
    assert line.split()[-1] == line.split()[-2]
    assert files == {path: path.stat().st_mtime_ns for path in run.pictures.rglob("*.png")}


@pytest.mark.parametrize("where", ["callbacks.truncation.sizes=[4,1]", "bottleneck.sizes=[4,1]"])
def test_only_the_sizes_that_are_named_are_measured(trained, where):
    run = trained(*NESTED, "callbacks=truncation", where, "logger=none")
    measured = [name for name in json.loads((run.path / "metrics.json").read_text()) if name.startswith("test/mse_at")]
    assert sorted(measured) == ["test/mse_at/1", "test/mse_at/4"]


@pytest.mark.parametrize(("override", "words"), {
    "bottleneck=vector": "the first numbers of a code are no code of their own with Vector: choose bottleneck=nested",
    "callbacks.truncation.sizes=[9]": "`callbacks.truncation.sizes` (= [9]) names 9, but `bottleneck.size` is 4",
}.items())  # fmt: skip
def test_what_cannot_be_truncated_is_refused(diabolo, override, words):
    ended = diabolo("train", *NESTED, "callbacks=truncation", "logger=none", override)
    assert ended.code == 2
    assert words in ended.err
