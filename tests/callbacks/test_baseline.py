"""PCA of the same size beside the run's metrics."""

import numpy as np
import pytest
from skimage.metrics import structural_similarity
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from diabolo.runs.evaluation import evaluate
from support import TINY, opened_data


@pytest.fixture(scope="module")
def run(trained):
    return trained(*TINY, "data.image_shape=[1,16,16]")


def plain_pca(run, split, fitted_on=slice(None)):
    """MSE, MAE, PSNR and SSIM of the projection on the first 4 right singular vectors of the centred training set."""
    data = opened_data(run.config())
    train = data.images("train").flatten(1).numpy()[fitted_on] / 255
    images = data.images(split).flatten(1).numpy() / 255
    axes = np.linalg.svd(train - train.mean(0), full_matrices=False)[2][:4]
    ours = (images - train.mean(0)) @ axes.T @ axes + train.mean(0)
    mse = np.square(ours - images).mean()
    pairs = zip(ours.reshape(-1, 16, 16), images.reshape(-1, 16, 16), strict=True)
    wang = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1.0}
    ssim = np.mean([structural_similarity(*pair, **wang) for pair in pairs])
    return {"mse": mse, "mae": np.abs(ours - images).mean(), "psnr": -10 * np.log10(mse), "ssim": ssim}


@pytest.mark.parametrize("split", ["val", "test"])
def test_the_baseline_is_plain_pca_by_the_yardstick(run, split):
    for name, value in plain_pca(run, split).items():
        assert run.metrics()[f"{split}/pca_{name}"] == pytest.approx(value, rel=1e-4)


def test_the_validation_curves_have_it_in_every_epoch(run):
    events = EventAccumulator(str(run.path), size_guidance={"scalars": 0}).Reload()
    for name, value in plain_pca(run, "val").items():
        curve = events.Scalars(f"val/pca_{name}")
        assert [point.value for point in curve] == pytest.approx([value] * 2, rel=1e-4)
        measured = [point for point in events.Scalars(f"val/{name}") if point.step]
        assert [point.step for point in curve] == [point.step for point in measured]


def test_it_is_fitted_on_so_many_images_spread_over_the_training_set(trained):
    few = trained(*TINY, "data.image_shape=[1,16,16]", "callbacks.pca.most_images=18", "data.val_fraction=0")
    spread = np.floor(np.linspace(0, 95, 18) + 0.5).astype(int)
    assert few.metrics()["test/pca_mse"] == pytest.approx(plain_pca(few, "test", spread)["mse"], rel=1e-4)
    assert "PCA is fitted on 18 of the 96 training images" in few.log.read_text()
    assert not any(name.startswith("val/") for name in few.metrics())


def test_an_evaluation_measures_it_again(run):
    again = evaluate(run.path)
    names = [name for name in run.metrics() if "/pca_" in name]
    assert len(names) == 8
    assert {name: again[name] for name in names} == {name: run.metrics()[name] for name in names}


def test_its_errors_of_single_images_are_those_of_its_mean(trained):
    """Of corrupted images, as the run's own are."""
    run = trained(*TINY, "corruption=gaussian")
    with np.load(run.path / "per_image.npz") as figures:
        assert figures["pca_mse"].mean(dtype=float) == pytest.approx(run.metrics()["test/pca_mse"], rel=1e-5)
