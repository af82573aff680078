"""What a linear code can do, against NumPy's singular value decomposition."""

import gc
import weakref

import numpy as np
import pytest
import torch

from diabolo.data.datamodule import ImageData
from diabolo.data.images import MemoryImages, Splits
from diabolo.data.pixels import from_unit
from diabolo.errors import UserError
from diabolo.measures.pca import LinearCode, pca_of


def images(count: int, *shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(0, 256, (count, *shape), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


def flat(data: torch.Tensor) -> np.ndarray:
    return data.flatten(1).double().numpy() / 255


def by_svd(fitted: np.ndarray, shown: np.ndarray, size: int) -> np.ndarray:
    mean = fitted.mean(0)
    axes = np.linalg.svd(fitted - mean, full_matrices=False)[2][:size]
    return mean + (shown - mean) @ axes.T @ axes


@pytest.mark.parametrize("shape", [(1, 6, 7), (3, 6, 6)])
@pytest.mark.parametrize("size", [1, 5, 20])
def test_it_projects_onto_the_first_axes_of_the_training_images(shape, size):
    train, test = images(80, *shape), images(9, *shape, seed=1)
    ours = LinearCode(train, size).reconstruct(test)
    assert (ours.shape, ours.dtype) == (test.shape, torch.float32)
    np.testing.assert_allclose(ours.flatten(1), by_svd(flat(train), flat(test), size), atol=1e-4)


def test_its_first_components_are_those_of_a_smaller_one():
    train, test = images(80, 1, 6, 7), images(9, 1, 6, 7, seed=1)
    large, small = LinearCode(train, 20), LinearCode(train, 5)
    np.testing.assert_allclose(large.reconstruct(test, 5), small.reconstruct(test), atol=1e-5)
    np.testing.assert_array_equal(large.reconstruct(test, 20), large.reconstruct(test))


@pytest.mark.parametrize(("count", "size"), [(100, 42), (100, 1000), (10, 42)])
def test_as_many_components_as_the_images_span_leave_no_error(count, size):
    train = images(count, 1, 6, 7)
    assert LinearCode(train, size).measure([train])["mse"] < 1e-10


def test_its_yardstick_runs_over_uneven_parts():
    train, test = images(80, 1, 8, 8), images(9, 1, 8, 8, seed=1)
    values = LinearCode(train, 6).measure([test[:5], test[5:8], test[8:]])
    difference = by_svd(flat(train), flat(test), 6) - flat(test)
    mse = (difference**2).mean()
    assert values["mse"] == pytest.approx(mse, rel=1e-4)
    assert values["mae"] == pytest.approx(np.abs(difference).mean(), rel=1e-4)
    assert values["psnr"] == pytest.approx(-10 * np.log10(mse), rel=1e-4)
    assert 0 < values["ssim"] < 1


def test_beyond_the_exact_solver_it_comes_as_near():
    draw = np.random.default_rng(0)
    scales = 0.5 ** np.arange(12)  # a spectrum that falls, as that of images does
    data = draw.normal(size=(60, 12)) * scales @ draw.normal(size=(12, 3 * 40 * 40))
    train = torch.from_numpy((data * 20 + 128).clip(0, 255).astype(np.uint8)).view(60, 3, 40, 40)
    wanted = ((by_svd(flat(train), flat(train), 6) - flat(train)) ** 2).mean()
    assert LinearCode(train, 6).measure([train])["mse"] == pytest.approx(wanted, rel=0.02)


def test_the_mean_image_is_that_of_the_images_it_is_fitted_on():
    train = images(80, 3, 6, 7)
    np.testing.assert_allclose(LinearCode(train, 2).mean_image, train.double().mean(0) / 255, atol=1e-6)


BRIGHT = {  # standard deviations along eight axes, and along all the others
    "noise": ([0] * 8, 5),
    "equal axes": ([40] * 8, 1.3),
    "falling axes": (130 * 0.5 ** np.arange(8), 0.3),
}


@pytest.mark.parametrize("deviations", BRIGHT)
@pytest.mark.parametrize("depth", ["uint8", "float32"])
def test_bright_images_of_little_contrast_are_measured_to_four_digits(deviations, depth):
    """Squares of 230 and what is left of them after the mean's: float32 has too few digits for both."""
    draw, (axes, others) = np.random.default_rng(0), BRIGHT[deviations]
    directions = np.linalg.qr(draw.normal(size=(144, 8)))[0].T
    data = 230 + draw.normal(size=(20_000, 8)) * axes @ directions + others * draw.normal(size=(20_000, 144))
    train = from_unit(torch.from_numpy(data.clip(0, 255) / 255), depth).view(-1, 1, 12, 12)
    unit = train.flatten(1).double().numpy() / (255 if depth == "uint8" else 1)
    values = np.linalg.svd(unit - unit.mean(0), compute_uv=False) ** 2
    code, parts = LinearCode(train, 8), train.split(1500)
    assert code.measure(parts)["mse"] == pytest.approx(values[8:].sum() / unit.size, rel=1e-4)
    by_size = [values[k:].sum() / unit.size for k in range(1, 9)]
    np.testing.assert_allclose(code.mse_by_size(parts).numpy(), by_size, rtol=1e-4)


def forty_images() -> ImageData:
    sets = MemoryImages(images(40, 1, 8, 8), torch.zeros(40, dtype=torch.long))
    data = ImageData(lambda **_: Splits(sets, sets), (1, 8, 8), val_fraction=0)
    data.setup()
    return data


def test_it_is_fitted_once_for_the_same_data_size_and_number_of_images():
    data = forty_images()
    one, other, few, larger = pca_of(data, 3), pca_of(forty_images(), 3), pca_of(data, 3, 20), pca_of(data, 4)
    assert one is pca_of(data, 3)
    assert few is pca_of(data, 3, 20)
    assert len({id(code) for code in (one, other, few, larger)}) == 4
    train, test = data.images("train"), data.images("test")
    spread = train[np.floor(np.linspace(0, 39, 20) + 0.5).astype(int)]
    for code, chosen, size in ((one, train, 3), (few, spread, 3), (larger, train, 4)):
        assert torch.equal(code.reconstruct(test), LinearCode(chosen, size).reconstruct(test))


def test_what_is_fitted_goes_with_the_data():
    data = forty_images()
    code = weakref.ref(pca_of(data, 3))
    assert code() is not None
    del data
    gc.collect()
    assert code() is None


def test_one_training_image_is_one_sentence():
    """Its components would be divided by 0, and every figure NaN."""
    few = MemoryImages(images(2, 1, 8, 8), torch.zeros(2, dtype=torch.int64))
    data = ImageData(lambda **_: Splits(few, few), (1, 8, 8), val_fraction=0.5)
    data.setup()
    with pytest.raises(UserError, match="PCA beside the run needs two training images, and there is one: raise"):
        pca_of(data, 3)


@pytest.mark.parametrize(("depth", "white"), [("uint8", 255), ("uint16", 65535), ("float32", 1)])
def test_deep_images_of_any_channels_have_the_same_components(depth, white):
    unit = torch.rand(60, 5, 9, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    stored = from_unit(unit, depth)
    before = stored.clone()
    code = LinearCode(stored, 7)
    data = before.numpy().astype(np.float64).reshape(60, -1) / white
    mean = data.mean(0)
    np.testing.assert_allclose(code.mean_image.numpy().reshape(-1), mean, rtol=1e-5)
    axes = np.linalg.svd(data - mean, full_matrices=False)[2][:7]
    wanted = (data - mean) @ axes.T @ axes + mean
    np.testing.assert_allclose(code.reconstruct(stored).numpy().reshape(60, -1), wanted, atol=1e-4)
    errors = [((data - mean - (data - mean) @ axes[:k].T @ axes[:k]) ** 2).mean() for k in range(1, 8)]
    np.testing.assert_allclose(code.mse_by_size([stored]).numpy(), errors, rtol=1e-4)
    assert torch.equal(stored, before), "the images themselves are left as they are"
