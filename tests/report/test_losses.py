"""Losses on every metric, and image by image, against figures worked out by hand and by scipy."""

import numpy as np
import pytest
from scipy import stats

from diabolo.report.collect import collect
from diabolo.report.losses import compare_losses, matrix, pairs, summary
from made_runs import write_per_image, write_run

DRAW = np.random.default_rng(0)
MINE, THEIRS = DRAW.random(400) + 0.1, DRAW.random(400)


def write(
    folder, loss: str, size: int = 4, seed: int = 0, images: str = "the same", figures=None, mse: float = 0.5
) -> None:
    run = write_run(folder / f"{loss}{size}-{seed}", size, loss, seed, metrics={"test/mse": mse, "test/ssim": 1 - mse})
    if figures is not None:
        write_per_image(run, images, **figures)


def test_the_paired_difference_is_that_of_each_image_with_its_interval(tmp_path):
    write(tmp_path, "mae", figures={"mse": MINE, "ssim": MINE})
    write(tmp_path, "mse", figures={"mse": THEIRS, "ssim": THEIRS})
    (comparison,) = compare_losses(collect([tmp_path])[0])
    by_metric = {one.metric: one for one in comparison.differences}
    assert list(by_metric) == ["mse", "mae", "ssim"]
    difference = MINE.astype(np.float32).astype(float) - THEIRS.astype(np.float32)
    low, high = stats.norm.interval(0.95, difference.mean(), stats.sem(difference))
    one = by_metric["mse"]
    assert (one.first, one.second, one.images) == ("mae", "mse", 400)
    assert (one.mean, one.low, one.high) == pytest.approx((difference.mean(), low, high), rel=1e-6)
    assert one.share == pytest.approx((difference < 0).mean())
    assert one.better == "mse", "a higher error is worse"
    assert by_metric["ssim"].better == "mae", "a higher SSIM is better"
    assert by_metric["ssim"].share == pytest.approx((difference > 0).mean())
    assert by_metric["mae"].better is None, "both are 0"
    said = summary([comparison])
    interval = f"{difference.mean():+.3g}, 95 % interval {low:+.3g} to {high:+.3g}"
    assert said[0] == (
        f"Measured by MSE, mse is better than mae (mae - mse: {interval}, 400 images, better on"
        f" {100 * (difference >= 0).mean():.0f} % of them)."
    )
    assert said[1].startswith("Measured by MAE, neither mae nor mse is surely better (mae - mse: +0, 95 %")


def test_images_are_averaged_over_seeds_first(tmp_path):
    for seed, shift in enumerate((0.0, 0.4)):
        write(tmp_path, "mae", seed=seed, figures={"mse": MINE + shift})
        write(tmp_path, "mse", seed=seed, figures={"mse": MINE + 0.1 + shift * 1.5})
    write(tmp_path, "mse", seed=2, figures={"mse": MINE + 0.2})
    (comparison,) = compare_losses(collect([tmp_path])[0])
    one = comparison.differences[0]
    assert one.mean == pytest.approx(0.2 - (0.1 + 0.7 + 0.2) / 3, rel=1e-5)  # of every single image
    assert (one.low, one.high) == pytest.approx((one.mean, one.mean), abs=1e-6)
    assert (one.seeds, one.agreeing) == (2, 2)
    assert "in 2 of 2 seeds" in one.verdict()


def test_runs_measured_on_other_images_are_not_paired(tmp_path):
    write(tmp_path, "mae", figures={"mse": MINE})
    write(tmp_path, "mse", images="others", figures={"mse": THEIRS})
    write(tmp_path, "ssim")  # without figures of single images
    write(tmp_path, "huber", figures={"mse": THEIRS})
    (tmp_path / "huber4-0" / "per_image.npz").write_bytes(b"PK\x03\x04 cut short")
    (comparison,) = compare_losses(collect([tmp_path])[0])
    assert list(comparison.rows) == ["huber", "mae", "mse", "ssim"]
    assert comparison.differences == []


@pytest.mark.parametrize("wrong", [np.full(400, np.nan), np.ones(399), np.array(["a"] * 400), np.array([{}] * 400)])
def test_figures_that_make_no_sense_settle_nothing(tmp_path, wrong):
    write(tmp_path, "mae", figures={"mse": MINE})
    write(tmp_path, "mse", figures={"mse": THEIRS})
    nothing = np.zeros(len(wrong))
    np.savez(
        tmp_path / "mse4-0" / "per_image.npz", images="the same", labels=nothing, mse=wrong, mae=nothing, ssim=nothing
    )
    (comparison,) = compare_losses(collect([tmp_path])[0])
    assert all(one.better is None for one in comparison.differences)


def test_few_images_settle_nothing(tmp_path):
    write(tmp_path, "mae", figures={"mse": np.linspace(0.1, 0.2, 29)})
    write(tmp_path, "mse", figures={"mse": np.linspace(0.5, 0.6, 29)})
    (comparison,) = compare_losses(collect([tmp_path])[0])
    assert [one.better for one in comparison.differences] == [None] * 3


def test_only_runs_that_differ_in_nothing_else_are_compared(tmp_path):
    write(tmp_path, "mae", 4)
    write(tmp_path, "mse", 8)
    assert compare_losses(collect([tmp_path])[0]) == []
    write(tmp_path, "mse", 4)
    (comparison,) = compare_losses(collect([tmp_path])[0])
    assert comparison.setting["bottleneck.size"] == "4"
    assert {name: row.first.name for name, row in comparison.rows.items()} == {"mae": "mae4-0", "mse": "mse4-0"}


def test_a_loss_of_several_arguments_is_told_apart_by_them(tmp_path):
    for delta in (0.1, 0.5):
        write_run(tmp_path / str(delta), 4, "huber", metrics={"test/mse": delta}, config={"loss.delta": delta})
    (comparison,) = compare_losses(collect([tmp_path])[0])
    assert list(comparison.rows) == ["huber loss.delta=0.1", "huber loss.delta=0.5"]


def test_the_matrix_stars_the_best_of_each_setting(tmp_path):
    for size, loss, mse in ((2, "mse", 0.3), (2, "mae", 0.4), (16, "mse", 0.25), (16, "mae", 0.125)):
        write(tmp_path, loss, size, mse=mse, figures={"mse": MINE * size if loss == "mse" else MINE})
    compared = compare_losses(collect([tmp_path])[0])
    heads, lines = matrix(compared, ["loss", "bottleneck.size"])
    assert heads == ["bottleneck.size", "trained with", "MSE", "SSIM"]
    assert lines == [
        ["2", "mae", "0.4", "0.6"],
        ["2", "mse", "0.3 *", "0.7 *"],
        ["16", "mae", "0.125 *", "0.875 *"],
        ["16", "mse", "0.25", "0.75"],
    ]
    heads, lines = pairs(compared, ["loss", "bottleneck.size"])
    assert [line[:3] + line[-1:] for line in lines if line[2] == "MSE"] == [
        ["2", "mae - mse", "MSE", "mae"],
        ["16", "mae - mse", "MSE", "mae"],
    ]
    assert summary(compared)[0].startswith(
        "Measured by MSE, mae is better in 2 and mse in 0 of 2 settings (mean mae - mse: "
    )
