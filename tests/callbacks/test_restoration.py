"""Classical restorations beside the run's own, against plain references."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage
from skimage.metrics import structural_similarity
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from diabolo.callbacks.restoration import SuperResolution, median_filter
from diabolo.data.corruptions import Downsample
from diabolo.errors import UserError
from diabolo.measures.ridge import LinearMap
from diabolo.runs.evaluation import evaluate
from diabolo.runs.folder import RunFolder
from diabolo.runs.loading import load
from support import TINY, opened_data, tiles

QUIET = ("callbacks.projector=null", "callbacks.interpolation=null", "callbacks.codes=null", "callbacks.hparams=null")
USES = {
    "denoising": ("corruption=salt_and_pepper", "data.eval_batch_size=12"),
    "super_resolution": ("corruption=downsample", "logger=none"),
    "inpainting": ("corruption=block", "corruption.side=3", "data.eval_batch_size=12", "logger=none"),
}


@pytest.fixture(scope="module")
def runs(trained) -> dict[str, RunFolder]:
    return {
        name: trained(*TINY, *QUIET, f"callbacks=[default,{name}]", *overrides, "trainer.max_epochs=1")
        for name, overrides in USES.items()
    }


def seen(run: RunFolder) -> tuple[np.ndarray, np.ndarray, np.ndarray, torch.Tensor]:
    """Clean, corrupted and restored test images, N x 8 x 8, and the training images as bytes."""
    data, model = opened_data(run.config()), load(run.path)
    images = data.images("test")
    given = model.corrupted(images)
    with torch.no_grad():
        ours = model.reconstruct(given)
    return (*(strip[:, 0].double().numpy() for strip in (images / 255, given, ours)), data.images("train"))


def assert_measured(run: RunFolder, name: str, ours: np.ndarray, clean: np.ndarray) -> None:
    """The four figures of a method are those of plain code."""
    mse = np.square(ours - clean).mean()
    wang = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1.0, "full": True}
    padded = zip(*(np.pad(strip, [(0, 0), (5, 5), (5, 5)], "reflect") for strip in (ours, clean)), strict=True)
    maps = [structural_similarity(*pair, **wang)[1][5:-5, 5:-5] for pair in padded]  # room for the window of 11
    wanted = {"mse": mse, "mae": np.abs(ours - clean).mean(), "psnr": -10 * np.log10(mse), "ssim": np.mean(maps)}
    for metric, value in wanted.items():
        assert run.metrics()[f"test/{name}_{metric}"] == pytest.approx(value, rel=1e-3), (name, metric)


def assert_linear(run: RunFolder, clean: np.ndarray, given: np.ndarray, train: torch.Tensor) -> None:
    theirs = LinearMap([(load(run.path).corrupted(train), train.float() / 255)])
    assert_measured(run, "linear", theirs(torch.from_numpy(given).float()[:, None])[:, 0].double().numpy(), clean)


def test_denoising_is_measured_beside_the_noisy_images_and_the_better_median(runs):
    run = runs["denoising"]
    clean, noisy, _, train = seen(run)
    assert_measured(run, "noisy", noisy, clean)
    filtered = {side: ndimage.median_filter(noisy, (1, side, side), mode="mirror") for side in (3, 5)}
    for side, images in filtered.items():
        assert_measured(run, f"median_{side}", images, clean)
    best = min(filtered, key=lambda side: np.square(filtered[side] - clean).mean())
    assert_measured(run, "median", filtered[best], clean)
    assert run.metrics()["test/median_side"] == best
    assert_linear(run, clean, noisy, train)


def test_super_resolution_is_measured_beside_interpolations_of_the_small_images(runs):
    run = runs["super_resolution"]
    clean, given, _, train = seen(run)
    small = clean.reshape(-1, 4, 2, 4, 2).mean((2, 4))
    assert_measured(run, "nearest", small.repeat(2, 1).repeat(2, 2), clean)
    for name, kernel in (("bilinear", triangle), ("bicubic", keys)):
        up = matrix(4, kernel)  # 8 x 4
        assert_measured(run, name, np.clip(up @ small @ up.T, 0, 1), clean)
    assert_linear(run, clean, given, train)


def triangle(t: float) -> float:
    return max(0.0, 1 - abs(t))


def keys(t: float, a: float = -0.75) -> float:
    """Keys' cubic kernel (1981)."""
    t = abs(t)
    inner, outer = ((a + 2) * t - (a + 3)) * t * t + 1, ((t - 5) * t + 8) * t * a - 4 * a
    return inner if t <= 1 else outer if t < 2 else 0.0


def matrix(side: int, kernel) -> np.ndarray:
    """Interpolation from `side` samples to twice as many, the border repeated."""
    up = np.zeros((2 * side, side))
    for row in range(2 * side):
        centre = (row + 0.5) / 2 - 0.5
        for place in range(int(np.floor(centre)) - 1, int(np.floor(centre)) + 3):
            up[row, min(max(place, 0), side - 1)] += kernel(centre - place)
    return up


def test_inpainting_is_measured_within_the_block_and_outside(runs):
    run = runs["inpainting"]
    clean, given, ours, train = seen(run)
    mean = train[:, 0].double().numpy().mean(0) / 255
    inside = load(run.path).corruption.mask(torch.from_numpy(clean).float()[:, None])[:, 0].numpy()
    assert inside.sum() == len(clean) * 9
    assert not given[inside].any()
    pasted, filled = np.where(inside, ours, given), np.where(inside, mean, given)
    for name, images in (("filled", given), ("mean_fill", filled), ("pasted", pasted)):
        assert_measured(run, name, images, clean)
    wanted = {
        "inside_mse": np.square(ours - clean)[inside].mean(),
        "outside_mse": np.square(ours - clean)[~inside].mean(),
        "pasted_inside_mse": np.square(ours - clean)[inside].mean(),
        "mean_fill_inside_mse": np.square(mean - clean)[inside].mean(),
        "filled_inside_mse": np.square(clean)[inside].mean(),
        "mean_fill_outside_mse": 0.0,
    }
    assert {name: run.metrics()[f"test/{name}"] for name in wanted} == pytest.approx(wanted, rel=1e-4, abs=1e-9)
    assert_linear(run, clean, given, train)


def test_a_table_and_a_picture_are_kept(runs):
    run = runs["denoising"]
    clean, noisy, ours, _ = seen(run)
    picture = np.asarray(Image.open(run.pictures / "denoising" / "final.png").convert("RGB"))
    written, picture = np.split(picture, [-(10 * 58 - 2)], 1)
    assert picture.shape == (6 * 58 - 2, 10 * 58 - 2, 3)  # clean, noisy, two medians, linear, restored
    for row in range(6):
        assert written[row * 58 : row * 58 + 56].min() < 99, "each row has its name"
    median = ndimage.median_filter(noisy, (1, 3, 3), mode="mirror")
    for row, strip in ((0, clean), (1, noisy), (2, median), (5, ours)):
        wanted = (strip[:10, None].clip(0, 1) * 255).round()
        assert np.abs(tiles(picture, row, 10) - wanted).max() <= 1
    events = EventAccumulator(str(run.path)).Reload()
    (table,) = events.Tensors("denoising/text_summary")
    lines = table.tensor_proto.string_val[0].decode().splitlines()
    cells = {line.split("|")[1].strip(): line.split("|")[2].strip() for line in lines[2:]}
    assert list(cells) == ["noisy", "median_3", "median_5", "linear", "median", "this run"]
    assert cells["this run"] == f"{run.metrics()['test/mse']:.4g}"
    assert events.Scalars("test/noisy_psnr")[0].value == pytest.approx(run.metrics()["test/noisy_psnr"])


@pytest.mark.parametrize("use", USES)
def test_an_evaluation_measures_them_again(runs, use):
    run = runs[use]
    picture = run.pictures / use / "final.png"
    before = picture.stat().st_mtime_ns
    again = evaluate(run.path)
    names = [name for name in run.metrics() if name.startswith("test/") and name != "test/seconds"]
    assert {name: again[name] for name in names} == pytest.approx({name: run.metrics()[name] for name in names})
    assert picture.stat().st_mtime_ns == before


@pytest.mark.parametrize(("shape", "side"), [((1, 8, 8), 3), ((3, 9, 12), 5)])
def test_the_median_filter_is_scipys(shape, side):
    images = torch.rand(4, *shape, generator=torch.Generator().manual_seed(0))
    expected = ndimage.median_filter(images.numpy(), (1, 1, side, side), mode="mirror")
    assert np.array_equal(median_filter(images, side).numpy(), expected)


def test_bicubic_is_clipped():
    edge = torch.zeros(1, 1, 8, 8, dtype=torch.uint8)
    edge[..., 4:] = 255
    module = SimpleNamespace(corruption=Downsample(2))
    bicubic = SuperResolution().methods(module, edge, Downsample(2)(edge), edge)["bicubic"]
    assert (bicubic.min(), bicubic.max()) == (0, 1)


@pytest.mark.parametrize(
    ("use", "corruption", "sentence"),
    [
        ("denoising", "none", "callbacks.denoising measures restorations: choose a corruption=NAME."),
        ("super_resolution", "gaussian", "callbacks.super_resolution measures interpolations: choose corruption=down"),
        ("inpainting", "masking", "callbacks.inpainting measures what is filled in: choose corruption=block."),
    ],
)
def test_a_use_without_its_corruption_is_refused_before_the_training(trained, use, corruption, sentence):
    with pytest.raises(UserError) as failed:
        trained(*TINY, f"corruption={corruption}", f"callbacks=[{use}]", "logger=none")
    assert str(failed.value).startswith(sentence)
