"""What is said to be best, enough, or better than PCA: beyond chance over seeds and images, or not."""

import math

import numpy as np
import pytest
from scipy import stats

from diabolo.report.collect import collect
from diabolo.report.evidence import Figures
from diabolo.report.fold import fold
from diabolo.report.words import say
from made_runs import write_per_image, write_run

DRAW = np.random.default_rng(0)


@pytest.fixture
def words(tmp_path):
    """What is said of runs: name -> size -> errors by seed and, where given, PCA's."""

    def of(errors: dict[int, list[float]], pca: dict[int, float] | None = None, by: str = "test", **more) -> list[str]:
        for size, values in errors.items():
            for seed, mse in enumerate(values):
                metrics = {"test/mse": mse, "test/pca_mse": (pca or {}).get(size, math.inf), f"{by}/mse": mse}
                write_run(tmp_path / f"{size}-{seed}", size=size, seed=seed, metrics=metrics, **more)
        return say(collect([tmp_path])[0])

    return of


def near(mse: float) -> list[float]:
    """The errors of four seeds, 1 % apart."""
    return [mse * (1 + part / 100) for part in (-1, 0, 1, 0)]


def test_the_best_is_said_to_be_beyond_chance_where_it_is(words):
    said = words({2: near(0.3), 4: near(0.2), 8: near(0.1)})
    assert said[1] == (
        "Best MSE (chosen and measured on test images): bottleneck.size=8, with MSE 0.1 ± 0.00082 over 4 seeds, best of"
        " 3, beyond chance."
    )


def test_others_within_the_noise_are_counted_and_named(words):
    said = words({2: near(0.3), 4: [0.1, 0.12, 0.09, 0.1], 8: [0.11, 0.1, 0.1, 0.09], 16: [0.1, 0.1, 0.12, 0.1]})
    assert "best of 4, within the noise of 2 others (bottleneck.size=4 and bottleneck.size=16)." in said[1]
    assert "bottleneck.size=8, with MSE 0.1 " in said[1]


def test_with_one_seed_each_the_best_is_no_verdict(words):
    said = words({2: [0.3], 4: [0.2], 8: [0.1]})
    assert said[1].endswith(
        "bottleneck.size=8, with MSE 0.1, best of 3 with one seed each: other seeds may give another order (3 seeds"
        " would probably decide it)."
    )


@pytest.mark.parametrize(
    ("errors", "sentence"),
    [
        ((0.2, 0.101, 0.1), "The smallest bottleneck within 5 % of the lowest test MSE (0.1) is 4 (0.101)."),
        ((0.2, 0.12, 0.1), "is 8 (0.1), the largest that was tried: larger ones may still be better."),
        ((0.1, 0.2, 0.3), "The smallest bottleneck within 5 % of the lowest test MSE (0.1) is 2 (0.1)."),
    ],
)
def test_the_smallest_bottleneck_that_is_enough(words, errors, sentence):
    said = words({size: near(mse) for size, mse in zip((2, 4, 8), errors, strict=True)})
    assert sum(sentence in one for one in said) == 1, said


@pytest.mark.parametrize(
    ("errors", "sentence"),
    [
        ((0.2, 0.101, 0.1), "is 4 (0.101); 14 seeds would probably decide it."),
        ((0.1, 0.2, 0.3), "is 2 (0.1)."),
    ],
)
def test_with_one_seed_each_it_is_that_of_these_networks(words, errors, sentence):
    said = words({size: [mse] for size, mse in zip((2, 4, 8), errors, strict=True)})
    begin = "On these networks, one seed each, the smallest bottleneck within 5 % of the lowest test MSE (0.1) "
    assert begin + sentence in said


def test_sizes_that_the_noise_leaves_open_are_named(words):
    wide = {2: near(0.3), 4: [0.1, 0.12, 0.11, 0.1], 8: [0.1, 0.11, 0.1, 0.1], 16: near(0.1)}
    said = [one for one in words(wide) if "smallest" in one]
    assert said == [
        "The smallest bottleneck within 5 % of the lowest test MSE (0.1) is 8 (0.1025); within the noise, 4 may be"
        " enough, too or 8 may be too small."
    ]


def test_where_pca_is_better(words):
    said = words({2: near(0.2), 4: near(0.2), 8: near(0.2), 16: near(0.2)}, pca={2: 0.3, 4: 0.201, 8: 0.05, 16: 0.01})
    assert "At bottleneck sizes 8 and 16, PCA has a lower test MSE than every run." in said
    assert "PCA of the same size is within the noise of bottleneck.size=4 (0.2, PCA 0.201)." in said


def test_of_one_size_it_may_be_better_than_some(tmp_path):
    for loss, mse in (("mae", 0.3), ("mse", 0.1)):
        for seed, error in enumerate(near(mse)):
            write_run(tmp_path / f"{loss}{seed}", 4, loss, seed, metrics={"test/mse": error, "test/pca_mse": 0.2})
    said = say(collect([tmp_path])[0])
    assert "PCA of the same size has a lower test MSE than loss=mae (0.3, PCA 0.2)." in said


def test_where_it_never_is(words):
    said = words({2: near(0.2), 4: near(0.1)}, pca={2: 0.3, 4: 0.3})
    assert "Every network has a lower test MSE than PCA of its own size." in said


def test_with_one_seed_each_pca_is_beside_these_networks(words):
    said = words({2: [0.2], 4: [0.1], 8: [0.2]}, pca={2: 0.3, 4: 0.3, 8: 0.1})
    assert (
        "On these networks, one seed each, at bottleneck size 8, PCA has a lower test MSE than every run; 3 seeds would"
        " probably decide it."
    ) in said


def test_pca_is_measured_on_the_same_images(tmp_path):
    """Images on which PCA and network differ far more than in the mean leave it open."""
    effects = DRAW.normal(size=60)
    for name, pca in (("wide", 0.3 + effects), ("close", 0.25 + 0 * effects)):
        for seed in range(3):
            errors = 0.2 + DRAW.normal(size=60) / 1000
            metrics = {"test/mse": errors.mean(), "test/pca_mse": pca.mean()}
            run = write_run(tmp_path / name / str(seed), seed=seed, metrics=metrics)
            write_per_image(run, mse=errors, pca_mse=pca)
    wide, close = (Figures().beside_pca(fold(collect([tmp_path / name])[0])[0]) for name in ("wide", "close"))
    assert (wide.better, close.better) == (None, "the network")
    assert wide.mean.error == pytest.approx(stats.sem(effects), rel=0.01)
    assert close.mean.mean == pytest.approx(-0.05, abs=0.001)


def written(folder, **errors: dict[int, float]) -> list[str]:
    """What is said of losses by name, each with errors on validation and test by seed."""
    for loss, by_seed in errors.items():
        for seed, (val, test) in by_seed.items():
            metrics = {"val/mse": val, "test/mse": test}
            write_run(folder / f"{loss}{seed}", loss=loss, seed=seed, metrics=metrics)
    return say(collect([folder])[0])


def test_what_validation_chose_may_be_worse_on_test_images(tmp_path):
    near_ones = dict(enumerate(near(1.0)))
    said = written(
        tmp_path,
        mse={seed: (0.009, 0.012 * part) for seed, part in near_ones.items()},
        mae=dict.fromkeys(near_ones, (0.0095, 0.0101)),
    )
    assert said[1].endswith("over 4 seeds, best of 2, not better on test images than 1 other (loss=mae).")


def test_what_cannot_be_compared_is_said(tmp_path):
    said = written(tmp_path, mse={0: (0.1, 0.1), 1: (0.1, 0.1)}, mae={2: (0.2, 0.2), 3: (0.2, 0.2)})
    assert said[1].endswith("over 2 seeds, best of 2, not compared with 1 other (loss=mae).")
    said = written(tmp_path / "partly", mse={0: (0.1, 0.1), 1: (0.1, 0.1)}, mae={1: (0.2, 0.2), 3: (0.2, 0.2)})
    assert said[1].endswith("best of 2, with one seed in common, which decides nothing, beside 1 other (loss=mae).")


def test_a_run_without_the_figure_takes_its_seed_out_of_the_pair(tmp_path):
    errors = {0: (0.1, 0.1), 1: (0.11, 0.11), 2: (0.09, 0.09)}
    others = {0: (0.2, 0.2), 1: (0.22, 0.2101), 2: (1.0, math.nan)}
    said = written(tmp_path, mse=errors, mae=others)
    assert said[1].endswith("over 3 seeds, best of 2, beyond chance; two seeds are weak evidence.")


def test_two_seeds_are_weak_everywhere(tmp_path):
    for size, mse in ((4, 0.2), (8, 0.1)):
        for seed in (0, 1):
            metrics = {"test/mse": mse * (1 + seed / 1e4), "test/pca_mse": 0.5}
            write_run(tmp_path / f"{size}{seed}", size, seed=seed, metrics=metrics)
    said = say(collect([tmp_path])[0])[1:]
    assert len(said) == 3
    assert all(one.endswith("; two seeds are weak evidence.") for one in said), said


def test_counts_that_agree_by_chance_decide_nothing(tmp_path):
    """Accuracies of 1,000 images are whole thousandths, and differences of two seeds are often the same."""
    for loss, gain in (("mse", 0.0), ("mae", 0.001)):
        for seed in (0, 1):
            metrics = {"test/accuracy": 0.91 + seed / 100 + gain}
            write_run(tmp_path / f"{loss}{seed}", loss=loss, seed=seed, metrics=metrics)
    assert "within the noise of 1 other" in say(collect([tmp_path])[0])[1]


def test_networks_with_one_seed_and_with_several_are_told_apart_beside_pca(tmp_path):
    for loss, errors in (("mse", near(0.008)), ("mae", [0.02]), ("huber", [0.03])):
        for seed, mse in enumerate(errors):
            write_run(tmp_path / f"{loss}{seed}", 8, loss, seed, metrics={"test/mse": mse, "test/pca_mse": 0.01})
    said = [one for one in say(collect([tmp_path])[0]) if "PCA" in one]
    assert said == [
        "On these networks, one seed each, PCA of the same size has a lower test MSE than loss=huber (0.03, PCA 0.01)"
        " and loss=mae (0.02, PCA 0.01); 3 seeds would probably decide it.",
        "PCA of the same size has a higher test MSE than loss=mse (0.008, PCA 0.01).",
    ]
