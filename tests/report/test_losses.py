"""Losses on every metric and pair by pair, against figures worked out by hand and by scipy."""

import math

import numpy as np
import pytest
from scipy import stats

from diabolo.measures.crossed import crossed_mean
from diabolo.report.collect import collect
from diabolo.report.evidence import Figures
from diabolo.report.losses import compare_losses, matrix, numbers, pairs, summary
from made_runs import write_per_image, write_run

DRAW = np.random.default_rng(0)
MINE, THEIRS = DRAW.random(400) + 0.1, DRAW.random(400)
SHIFTS = np.array([0.05, 0.1, 0.12, 0.08])  # of mae's seeds above mse's


def write(
    folder, loss: str, size: int = 4, seed: int = 0, images: str = "the same", figures=None, mse: float = 0.5
) -> None:
    run = write_run(folder / f"{loss}{size}-{seed}", size, loss, seed, metrics={"test/mse": mse, "test/ssim": 1 - mse})
    if figures is not None:
        write_per_image(run, images, **figures)


def write_seeds(folder, count: int = 4, size: int = 4) -> np.ndarray:
    """mae beside mse, with `count` seeds each: seeds x images of mae - mse."""
    rest = DRAW.normal(size=(count, 400)) / 100
    for seed in range(count):
        shown = THEIRS + SHIFTS[seed] + rest[seed]
        write(folder, "mae", size, seed, figures={"mse": shown, "ssim": shown}, mse=shown.mean())
        write(folder, "mse", size, seed, figures={"mse": THEIRS, "ssim": THEIRS}, mse=THEIRS.mean())
    return SHIFTS[:count, None] + rest


def test_with_several_seeds_the_interval_is_that_over_seeds_and_images(tmp_path):
    wanted = crossed_mean(write_seeds(tmp_path))
    (comparison,) = compare_losses(collect([tmp_path])[0])
    by_metric = {one.metric: one for one in comparison.differences}
    assert list(by_metric) == ["mse", "mae", "ssim"]
    one = by_metric["mse"]
    assert (one.first, one.second, one.mean.seeds, one.mean.images) == ("mae", "mse", 4, 400)
    assert (one.mean.mean, one.mean.error) == pytest.approx((wanted.mean, wanted.error), rel=1e-5)
    assert one.interval == pytest.approx(wanted.interval(), rel=1e-5), "MSE and SSIM agree"
    assert (one.agreeing, one.share) == (4, 0.0)
    assert one.better == "mse", "a higher error is worse"
    assert by_metric["ssim"].better == "mae", "a higher SSIM is better"
    assert by_metric["ssim"].share == 1.0
    assert by_metric["mae"].better is None, "both are 0"
    low, high = one.interval
    said = summary([comparison])
    assert said[0] == (
        f"Measured by MSE, mse is better than mae (mae - mse: {one.mean.mean:+.3g}, 95 % interval {low:+.3g} to"
        f" {high:+.3g} over 4 seeds and 400 images, better on 100 % of the images, in 4 of 4 seeds)."
    )
    assert said[1] == "Measured by MAE, mae and mse are equal."


def test_one_seed_gives_no_verdict_however_sure_the_images_are(tmp_path):
    write(tmp_path, "mae", figures={"mse": MINE + 1}, mse=1.6)
    write(tmp_path, "mse", figures={"mse": THEIRS}, mse=0.5)
    compared = compare_losses(collect([tmp_path])[0])
    difference = (MINE + 1).astype(np.float32).astype(float) - THEIRS.astype(np.float32)
    low, high = stats.t.interval(0.95, 399, difference.mean(), stats.sem(difference))
    one = compared[0].differences[0]
    assert (one.mean.mean, *one.interval) == pytest.approx((difference.mean(), low, high), rel=1e-6)
    assert all(each.better is None for each in compared[0].differences)
    assert summary(compared)[0] == (
        f"Measured by MSE, one seed gives no verdict on mae and mse: on these two networks mse is ahead (mae - mse:"
        f" {difference.mean():+.3g}, 95 % interval {low:+.3g} to {high:+.3g} over 400 images, better on"
        f" {100 * (difference >= 0).mean():.0f} % of the images). If seeds differ as usual, 3 seeds would probably"
        " decide it."
    )
    assert "*" not in str(matrix(compared, [])), "no star either"
    assert next(line[-2:] for line in pairs(compared, [])[1]) == ["one seed: no verdict", "3 seeds"]


def test_two_seeds_are_weak(tmp_path):
    for seed in (0, 1):
        write(tmp_path, "mae", seed=seed, figures={"mse": MINE + 1 + seed / 1000}, mse=1.6)
        write(tmp_path, "mse", seed=seed, figures={"mse": MINE}, mse=0.6)
    compared = compare_losses(collect([tmp_path])[0])
    assert compared[0].differences[0].better == "mse"
    assert summary(compared)[0].endswith("in 2 of 2 seeds). Two seeds are weak evidence: train a third.")
    assert pairs(compared, [])[1][0][-2:] == ["mse (weak)", ""]


def test_only_common_seeds_count(tmp_path):
    for seed, shift in enumerate((0.0, 0.4)):
        write(tmp_path, "mae", seed=seed, figures={"mse": MINE + shift})
        write(tmp_path, "mse", seed=seed, figures={"mse": MINE + 0.1 + shift * 1.5})
    write(tmp_path, "mse", seed=2, figures={"mse": MINE + 9})
    write(tmp_path, "huber", seed=7, figures={"mse": MINE})
    (comparison,) = compare_losses(collect([tmp_path])[0])
    (one,) = (each for each in comparison.differences if each.metric == "mse")
    assert one.mean.mean == pytest.approx(-(0.1 + 0.3) / 2, rel=1e-5)
    assert (one.mean.seeds, one.agreeing) == (2, 2)
    assert summary([comparison])[-2:] == [
        f"huber and {loss} are not compared: they have no seed in common; train both with the same seeds."
        for loss in ("mae", "mse")
    ]


def test_without_figures_of_images_the_seeds_decide(tmp_path):
    errors = {"mae": (0.30, 0.31, 0.33), "mse": (0.20, 0.22, 0.21)}
    for loss, of_seeds in errors.items():
        for seed, mse in enumerate(of_seeds):
            write(tmp_path, loss, seed=seed, mse=mse)
    (comparison,) = compare_losses(collect([tmp_path])[0])
    one = comparison.differences[0]
    low, high = stats.ttest_rel(*errors.values()).confidence_interval()
    assert (one.better, one.mean.images, one.share) == ("mse", 1, None)
    assert one.interval == pytest.approx((low, high)), "MSE and SSIM agree to the digit: nothing to correct"
    assert "over 3 seeds, in 3 of 3 seeds)." in summary([comparison])[0]


def test_runs_measured_on_other_images_are_not_paired(tmp_path):
    write(tmp_path, "mae", figures={"mse": MINE})
    write(tmp_path, "mse", images="others", figures={"mse": THEIRS})
    (comparison,) = compare_losses(collect([tmp_path])[0])
    assert list(comparison.rows) == ["mae", "mse"]
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
    for seed in range(3):
        write(tmp_path, "mae", seed=seed, figures={"mse": np.linspace(0.1, 0.2, 29)})
        write(tmp_path, "mse", seed=seed, figures={"mse": np.linspace(0.5, 0.6, 29)})
    compared = compare_losses(collect([tmp_path])[0])
    assert [one.better for one in compared[0].differences] == [None] * 3
    assert summary(compared)[0].endswith(": 29 images are too few for a verdict.")


def test_more_pairs_in_the_table_widen_every_interval(tmp_path):
    write_seeds(tmp_path / "one")
    write_seeds(tmp_path / "three")
    for seed in range(4):
        for size in (8, 16):
            for loss in ("mae", "mse"):
                write(tmp_path / "three", loss, size, seed, figures={"mse": THEIRS + DRAW.normal(size=400)})
    (alone,), several = (compare_losses(collect([tmp_path / name])[0]) for name in ("one", "three"))
    assert several[0].differences[0].correction == 3 * alone.differences[0].correction
    assert several[0].differences[0].interval[0] < alone.differences[0].interval[0]


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


def test_the_matrix_stars_what_is_better_beyond_chance(tmp_path):
    for seed in range(4):
        noise = DRAW.normal(size=400) / 1000
        for size, loss, mse in ((2, "mse", 0.3), (2, "mae", 0.4 + seed / 100), (16, "mse", 0.25), (16, "mae", 0.25)):
            write(tmp_path, loss, size, seed, mse=mse, figures={"mse": mse + noise, "ssim": 1 - mse - noise})
    compared = compare_losses(collect([tmp_path])[0])
    heads, lines = matrix(compared, ["loss", "bottleneck.size"])
    assert heads == ["bottleneck.size", "trained with", "MSE", "SSIM"]
    assert lines == [
        ["2", "mae", "0.415 ± 0.013", "0.585 ± 0.013"],
        ["2", "mse", "0.3 *", "0.7 *"],
        ["16", "mae", "0.25", "0.75"],
        ["16", "mse", "0.25", "0.75"],
    ]
    heads, lines = pairs(compared, ["loss", "bottleneck.size"])
    assert heads[-3:] == ["seeds", "better", "to decide"]
    assert [line[:3] + line[-3:] for line in lines if line[2] == "MSE"] == [
        ["2", "mae - mse", "MSE", "4", "mse", ""],
        ["16", "mae - mse", "MSE", "4", "equal", ""],
    ]
    assert summary(compared)[0].startswith(
        "Measured by MSE, mae is better in 0 and mse in 1 of 2 settings, 1 equal or within the noise (mean mae - mse: "
    )


def test_of_many_pairs_only_verdicts_are_said(tmp_path):
    for place, loss in enumerate(("bce", "huber", "mae", "mse", "ssim")):
        for seed in range(3):
            noise = DRAW.normal(size=400) / 1000
            errors = 0.5 * (loss == "mse") + 0.2 + noise
            write(tmp_path, loss, seed=seed, figures={"mse": errors, "mae": errors * place}, mse=errors.mean())
    compared = compare_losses(collect([tmp_path])[0])
    pairs_of_mse = [one for one in compared[0].differences if "mse" in (one.first, one.second) and one.metric == "mse"]
    assert len(compared[0].differences) == 30
    assert all(one.better not in (None, "mse") for one in pairs_of_mse)
    *said, rest = summary(compared)
    decided = [one for one in compared[0].differences if one.better]
    assert len(said) == min(12, len(decided))
    assert all(" is better than " in one for one in said)
    open_ones = 30 - len(decided)
    more = f" and {len(decided) - 12} with one" if len(decided) > 12 else ""
    assert rest == f"Of 30 pairs of losses and metrics, {open_ones} without a verdict{more} are in the table only."


def test_of_many_pairs_with_one_seed_the_seeds_are_said(tmp_path):
    for place, loss in enumerate(("bce", "huber", "mae", "mse", "ssim")):
        write(tmp_path, loss, mse=0.5 + place, figures={"mse": THEIRS + place, "mae": MINE, "ssim": MINE})
    assert summary(compare_losses(collect([tmp_path])[0])) == [
        "Of 30 pairs of losses and metrics, 30 without a verdict are in the table only. One seed gives no verdict: if"
        " seeds differ as usual, even 100 seeds would not decide half of them, probably."
    ]


def test_with_one_seed_each_the_settings_are_counted_without_a_verdict(tmp_path):
    for size in (2, 4, 8):
        write(tmp_path, "mae", size, figures={"mse": THEIRS + 0.1}, mse=0.6)
        write(tmp_path, "mse", size, figures={"mse": THEIRS}, mse=0.5)
    said = summary(compare_losses(collect([tmp_path])[0]))
    assert said[0] == (
        "Measured by MSE, one seed gives no verdict on mae and mse: on these networks mae is ahead in 0 and mse in 3 of"
        " 3 settings (mean mae - mse: +0.1 to +0.1). If seeds differ as usual, 4 seeds would decide half of them,"
        " probably."
    )


def test_the_numbers_have_all_digits_and_say_the_same(tmp_path):
    wanted = crossed_mean(write_seeds(tmp_path))
    compared = compare_losses(collect([tmp_path])[0])
    heads, lines = numbers(compared, [])
    rows = [dict(zip(heads, line, strict=True)) for line in lines]
    assert [row["metric"] for row in rows] == ["mse", "mae", "ssim"]
    found = {key: float(rows[0][key]) for key in ("first - second", "low", "high", "p", "p corrected")}
    assert found == pytest.approx(
        {
            "first - second": wanted.mean,
            "low": wanted.interval()[0],
            "high": wanted.interval()[1],
            "p": wanted.p,
            "p corrected": wanted.p,
        },
        rel=1e-4,
    )
    assert [row["better"] for row in rows] == ["mse", "equal", "mae"]
    assert (rows[0]["seeds"], rows[0]["images"]) == ("4", "400")
    write(tmp_path / "single", "huber")
    write(tmp_path / "single", "mse")
    heads, (first, *_) = numbers(compare_losses(collect([tmp_path / "single"])[0]), [])
    row = dict(zip(heads, first, strict=True))
    assert (row["low"], row["p"], row["better"]) == ("", "", "one seed: no verdict")
    assert math.isfinite(float(row["first - second"]))


def test_an_answer_that_was_given_once_stays(tmp_path):
    write_seeds(tmp_path)
    rows, figures = compare_losses(collect([tmp_path])[0])[0].rows, Figures()
    first = figures.differences(rows["mae"], rows["mse"], ("mae", "mse"))
    many = [first, *([one] for one in first for _ in range(9))]
    figures.decide(many)
    again = figures.differences(rows["mse"], rows["mae"], ("mse", "mae"))
    figures.decide([again])
    assert [one.correction for one in again] == [one.correction for one in first]
    assert again[0].correction > 1


def test_two_seeds_have_a_star_in_brackets_and_few_images_ask_for_more(tmp_path):
    for seed in (0, 1):
        write(tmp_path, "mae", seed=seed, figures={"mse": MINE + 1 + seed / 1000}, mse=1.6)
        write(tmp_path, "mse", seed=seed, figures={"mse": MINE}, mse=0.6)
    assert matrix(compare_losses(collect([tmp_path])[0]), [])[1][1][1].endswith("0.6 (*)")
    for seed in range(3):
        write(tmp_path / "few", "mae", seed=seed, figures={"mse": THEIRS[:20] + seed / 9})
        write(tmp_path / "few", "mse", seed=seed, figures={"mse": MINE[:20]})
    compared = compare_losses(collect([tmp_path / "few"])[0])
    assert pairs(compared, [])[1][0][-2:] == ["within the noise", "more images"]


def test_where_images_are_too_few_for_any_number_of_seeds_that_is_said(tmp_path):
    write(tmp_path, "mae", figures={"mse": DRAW.normal(size=40) + 0.05})
    write(tmp_path, "mse", figures={"mse": np.zeros(40)})
    assert (
        "even 100 seeds would probably not decide it on so few images."
        in summary(compare_losses(collect([tmp_path])[0]))[0]
    )
