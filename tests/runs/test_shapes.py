"""The whole default run, with all its callbacks, TensorBoard and the report's page, on images of any shape."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.metrics import structural_similarity

from diabolo.callbacks.layout import MARGIN, text_width
from diabolo.data.corruptions import Block
from diabolo.runs.build import build_data
from diabolo.runs.folder import RunFolder
from diabolo.runs.loading import load
from support import drawn

FAST = (
    "model.channels=[4,8]",
    "data.limit=96",
    "data.test_limit=40",
    "trainer.max_epochs=2",
    "trainer.accelerator=cpu",
)
PICTURES = ("interpolation", "progression", "reconstructions")


def whole_run(diabolo, *overrides: str) -> Path:
    """Trains with all that a run has by default, writes the page, and returns the run folder."""
    trained = diabolo("train", *FAST, *overrides, "hydra.run.dir=runs/one")
    assert trained.code == 0, trained
    log = Path("runs/one/run.log").read_text()
    assert "warning" not in log.lower(), log
    page = diabolo("compare", "runs", "--html", "page.html")
    assert page.code == 0, page
    text = Path("page.html").read_text()
    assert "The same test images" in text, "drawn anew from the model"
    assert "Best and worst reconstructions" in text
    return Path("runs/one").resolve()


def picture(path: Path) -> np.ndarray:
    """A PNG file, H x W x 3 bytes."""
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def check_pictures(run: Path) -> None:
    assert json.loads((run / "state.json").read_text())["state"] == "done"
    for name in PICTURES:
        assert sorted(p.name for p in (run / "pictures" / name).iterdir()) == [
            "epoch_0000.png", "epoch_0002.png", "final.png"
        ]  # fmt: skip
        file = picture(run / "pictures" / name / "final.png")
        assert np.array_equal(file, drawn(run, f"{name}/final")[2])


@pytest.mark.parametrize(
    ("shape", "tile"),
    [
        ((1, 9, 21), (63, 147)),  # wide: enlarged 7 times, to 56 pixels and more
        ((1, 45, 37), (90, 74)),  # tall
        ((3, 17, 14), (68, 56)),  # tall, in colour
        ((3, 16, 16), (64, 64)),
        ((1, 31, 9), (217, 63)),  # tall, odd and narrow
    ],
    ids=lambda value: "x".join(map(str, value)),
)
def test_a_whole_run_ends_well(diabolo, shape, tile):
    channels, height, width = shape
    run = whole_run(diabolo, f"data.image_shape=[{channels},{height},{width}]")
    check_pictures(run)
    height_drawn, width_drawn, _ = picture(run / "pictures" / "reconstructions" / "final.png").shape
    assert height_drawn == 3 * (tile[0] + 2) - 2, "three rows"
    assert width_drawn - NAMES == 10 * (tile[1] + 2) - 2, "ten images in each"
    (sprite,) = run.glob("*/code/sprite.png")
    side = 7 * min(48, max(width, height if height > width else 0))
    assert picture(sprite).shape == (side, side, 3), "40 thumbnails, 7 in a row, on a square sheet"


NAMES = int(text_width("reconstruction")) + 2 * MARGIN  # pixels on the left of a picture of reconstructions
DEEP = {"uint8": 255, "uint16": 65535, "float32": 1}  # depth -> how white is stored


@pytest.mark.parametrize(
    ("channels", "depth", "shown", "more"),
    [
        (2, "uint8", [0], ()),
        (4, "uint8", [0, 1, 2], ("data.mean=[0.5,0.4,0.3,0.2]", "data.std=[0.5,0.4,0.3,0.2]")),
        (6, "uint16", [5, 0, 3], ("data.shown_channels=[5,0,3]", "corruption=gaussian")),
        (3, "uint16", [0, 1, 2], ("loss=ssim",)),
        (5, "float32", [4], ("data.shown_channels=[4]", "loss=bce")),
        (1, "float32", [0], ()),
    ],
)
def test_a_whole_run_on_any_channels_and_depth_is_measured_by_the_same_yardstick(diabolo, channels, depth, shown, more):
    shape = (channels, 20, 16)
    source = ("data.source._target_=extensions.bands", f"data.image_shape=[{channels},20,16]", f"data.depth={depth}")
    run = whole_run(diabolo, *source, "bottleneck.size=3", *more)
    check_pictures(run)
    data = build_data(RunFolder(run).config())
    data.setup()
    images = data.images("test")
    assert str(images.dtype) == f"torch.{depth}"
    assert images.shape == (40, *shape)
    module = load(run, trust=True)
    with torch.no_grad():
        corrupted = module.corrupted(images)
        reconstructions = module.reconstruct(corrupted).double().numpy()
    metrics = json.loads((run / "metrics.json").read_text())

    def unit(stored: torch.Tensor) -> np.ndarray:
        return stored.numpy().astype(np.float64) / DEEP[depth]

    def check(made: np.ndarray, prefix: str) -> None:
        """The yardstick of N x C x H x W images against plain references."""
        targets = unit(images)
        mse = ((made - targets) ** 2).mean()
        assert metrics[f"test/{prefix}mse"] == pytest.approx(mse, rel=1e-4)
        assert metrics[f"test/{prefix}mae"] == pytest.approx(np.abs(made - targets).mean(), rel=1e-4)
        assert metrics[f"test/{prefix}psnr"] == pytest.approx(10 * np.log10(1 / mse), rel=1e-4)
        ssim = [
            structural_similarity(
                *pair, channel_axis=0, data_range=1.0, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
            )
            for pair in zip(made, targets, strict=True)
        ]
        assert metrics[f"test/{prefix}ssim"] == pytest.approx(np.mean(ssim), abs=1e-4)

    check(reconstructions, "")
    train = unit(data.images("train")).reshape(data.count("train"), -1)
    mean = train.mean(0)
    axes = np.linalg.svd(train - mean, full_matrices=False)[2][: metrics["code_size"]]
    seen = corrupted.double().numpy() if module.corruption is not None else unit(images)
    projected = (seen.reshape(40, -1) - mean) @ axes.T @ axes + mean
    check(projected.reshape(images.shape), "pca_")
    assert module.corruption is not None or metrics["test/knn_accuracy"] > 0.6

    drawn_rows = picture(run / "pictures" / "reconstructions" / "final.png")
    original = np.rint(np.clip(unit(images[:1]), 0, 1) * 255)[0, shown]  # of the first image, 1 or 3 x H x W
    factor = 4  # 16 pixels wide, drawn at least 56 wide
    left = drawn_rows.shape[1] - 10 * (16 * factor + 2) + 2  # what the names take
    first = drawn_rows[: 20 * factor : factor, left : left + 16 * factor : factor].transpose(2, 0, 1)
    assert np.abs(first - np.broadcast_to(original, (3, 20, 16))).max() <= 1
    assert picture(next(run.glob("*/code/sprite.png"))).shape == (7 * 20, 7 * 20, 3)


@pytest.mark.parametrize(
    ("chosen", "more", "made"),
    [
        (
            "default,samples,traversals,latent_map,units,kernels,feature_maps,probe,checkerboard",
            ("callbacks.latent_map.side=3",),
            {"samples", "traversals", "latent_map", "units", "kernels", "feature_maps"},
        ),
        ("truncation", ("bottleneck=nested", "bottleneck.size=4"), {"mse_at", "truncations"}),
        ("anomaly", ("data.exclude_classes=[1]",), {"anomaly_scores", "anomaly_curves", "anomaly_images"}),
        ("denoising", ("corruption=salt_and_pepper",), {"denoising"}),
        ("super_resolution", ("corruption=downsample",), {"super_resolution"}),
        ("inpainting", ("corruption=block",), {"inpainting"}),
        ("classify", ("task=classify", "task.classes=2", "bottleneck.size=2"), {"confusion"}),
    ],
)
def test_every_callback_draws_and_measures_images_of_five_deep_channels(trained, chosen, more, made):
    source = ("data.source._target_=extensions.bands", "data.image_shape=[5,24,16]", "data.depth=uint16")
    run = trained(*FAST, *source, f"callbacks=[{chosen}]", "logger=none", "data.shown_channels=[4,0,2]", *more)
    assert made <= {path.name for path in run.pictures.iterdir()}
    for path in run.pictures.rglob("*.png"):
        assert picture(path).std() > 0, path
    metrics = run.metrics()
    assert all(np.isfinite(value) for name, value in metrics.items() if name.startswith("test/"))
    if chosen == "inpainting":
        data = build_data(run.config())
        data.setup()
        train = data.images("train").numpy().astype(np.float64) / 65535
        images, corrupted = data.images("test"), load(run.path, trust=True).corrupted(data.images("test"))
        filled = torch.where(Block(10).mask(images), torch.from_numpy(train.mean(0)).float(), corrupted).numpy()
        error = ((filled - images.numpy() / 65535) ** 2).mean()
        assert metrics["test/mean_fill_mse"] == pytest.approx(error, rel=1e-4)


def test_a_drawing_that_knows_nothing_of_channels_is_drawn_in_those_that_are_shown(trained):
    source = ("data.source._target_=extensions.bands", "data.image_shape=[5,24,16]", "callbacks=none", "logger=none")
    run = trained(*FAST, *source, "data.shown_channels=[4]", "+callbacks.plain._target_=extensions.AllChannels")
    data = build_data(run.config())
    data.setup()
    drawn_rows = picture(run.pictures / "all_channels" / "final.png")
    assert np.array_equal(drawn_rows[: 24 * 4 : 4, : 16 * 4 : 4, 0], data.images("test")[0, 4])
