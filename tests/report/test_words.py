"""The comparison in words: every figure worked out by hand."""

import math

import pytest

from diabolo.report.collect import collect
from diabolo.report.words import say
from made_runs import write_run


@pytest.fixture
def words(tmp_path):
    """What is said of runs given as keyword arguments of `write_run`, by name."""

    def of(**runs: dict) -> list[str]:
        for name, run in runs.items():
            write_run(tmp_path / name, **run)
        return say(collect([tmp_path])[0])

    return of


def measured(mse: float, pca: float = 1.0, **more) -> dict:
    """Metrics of a run; on validation as in test, unless `more` says otherwise."""
    figures = {"mse": mse, "mae": mse / 2, "psnr": -10 * math.log10(mse), "ssim": 1 - mse}
    twice = {f"{split}/{name}": value for split in ("val", "test") for name, value in figures.items()}
    return twice | {"test/pca_mse": pca, "code/dead_units": 0.0, "output/constant": 0.0} | more


def test_the_best_run_of_each_metric_is_named_with_its_figures(words):
    said = words(
        a={"size": 2, "seed": 0, "metrics": measured(0.1)},
        b={"size": 2, "seed": 1, "metrics": measured(0.3)},
        c={"size": 4, "metrics": measured(0.25, **{"val/ssim": 0.95, "test/ssim": 0.9})},
    )
    assert said[0] == "3 runs, 2 settings: 3 done."
    assert said[1] == (  # (.1 + .3) / 2 and sqrt(.01 + .01); PSNR 10 and 5.2288
        "Best MSE, MAE and PSNR (chosen on validation images, measured on test images): bottleneck.size=2, with MSE"
        " 0.2 ± 0.14, MAE 0.1 ± 0.071 and PSNR 7.614 ± 3.4 dB over 2 seeds, best of 2, with one seed in common, which"
        " decides nothing, beside 1 other (bottleneck.size=4)."
    )
    assert said[2].startswith(
        "Best SSIM (chosen on validation images, measured on test images): bottleneck.size=4, with SSIM 0.9, best of 2"
    )


def test_the_best_is_chosen_on_validation_and_in_test_only_where_there_is_none(words):
    said = words(
        a={"size": 2, "metrics": measured(0.1, **{"val/mse": 0.4})},
        b={"size": 4, "metrics": measured(0.2, **{"val/mse": 0.3})},
    )
    assert any(one.startswith("Best MSE (chosen on validation") and "size=4, with MSE 0.2, " in one for one in said)


def test_without_validation_the_test_chooses_and_that_is_said(words):
    said = words(a={"size": 2, "metrics": {"test/mse": 0.1}}, b={"size": 4, "metrics": {"test/mse": 0.2}})
    assert said[1].startswith(
        "Best MSE (chosen and measured on test images): bottleneck.size=2, with MSE 0.1, best of 2"
    )


def test_runs_on_different_images_are_not_compared_with_each_other(words):
    other = {"choices": {"data": "mnist"}, "config": {"data.image_shape": [1, 28, 28]}}
    said = words(
        a={"size": 2, "metrics": measured(0.2)},
        b={"size": 4, "metrics": measured(0.3)},
        c={"size": 2, "metrics": measured(0.01), **other},
        d={"size": 4, "metrics": measured(0.02), **other},
    )
    assert "The runs are measured on 2 different sets of images; only runs on the same compare." in said
    assert any(one.startswith("On digits 1x8x8: Best MSE") and "with MSE 0.2," in one for one in said)
    assert any(one.startswith("On mnist 1x28x28: Best MSE") and "with MSE 0.01," in one for one in said)


def test_runs_that_failed_or_look_broken_are_named(words):
    curve = [{"epoch": 1, "val/mse": 0.1}, {"epoch": 2, "val/mse": 0.3}]
    said = words(
        blown={"state": "failed", "reason": "the loss is not a finite number at step 7: the training diverged."},
        cut={"state": "running"},
        dead={"size": 8, "metrics": measured(0.2, **{"code/dead_units": 3.0})},
        empty={"size": 9},
        flat={"size": 10, "metrics": measured(0.2, **{"output/constant": 1.0})},
        late={"size": 11, "metrics": measured(0.1), "history": curve},
        nan={"size": 12, "metrics": measured(0.2, **{"test/mse": math.nan})},
        steady={"size": 13, "metrics": measured(0.2), "history": [curve[1], curve[0]]},
        stopped={"state": "stopped", "reason": "stopped by SIGINT"},
    )
    assert said[0] == "9 runs: 1 cut off, 6 done, 1 failed, 1 stopped."
    assert "Failed: bottleneck.size=4 (the loss is not a finite number at step 7: the training diverged)." in said
    assert (
        "Cut off or stopped: bottleneck.size=4 (in cut) and bottleneck.size=4 (in stopped). To continue a run, type"
        " diabolo train and its folder."
    ) in said
    assert "bottleneck.size=8 (3 of 8) has dead code units." in said
    assert "bottleneck.size=9 has no metrics although it is done." in said
    assert "bottleneck.size=10 gives the same output for every image." in said
    assert "bottleneck.size=11 and bottleneck.size=12 diverged in training." in said
    assert not any("=13" in one for one in said)


def test_many_failures_are_counted_not_listed(words):
    said = words(**{f"r{i}": {"state": "failed", "seed": i} for i in range(8)})
    assert said[0] == "8 runs, 1 setting: 8 failed."
    assert sum(one.startswith("Failed: model=fc loss=mse bottleneck.size=4 seed=") for one in said) == 5
    assert "3 more failed." in said


def test_a_repeated_run_is_said_not_to_count(words):
    said = words(
        a={"metrics": measured(0.2), "started": "2026-01-01"}, b={"metrics": measured(0.1), "started": "2026-01-02"}
    )
    assert "1 run was repeated later with the same settings and seed; only the latest counts." in said


def test_a_run_that_uses_switches_is_said_to_have_more_than_its_code(words):
    said = words(
        a={"size": 2, "metrics": measured(0.1, **{"switches": 5728, "test/mse_of_code_alone": 0.4})},
        b={"size": 4, "metrics": measured(0.2)},
    )
    assert [one for one in said if "maxima" in one] == [
        "bottleneck.size=2 decodes more than its code: also the positions of 5,728 maxima in the encoder's pooling"
        " layers. From the code alone its test MSE is 0.4, not 0.1."
    ]


def test_accuracies_are_in_percent(words):
    said = words(
        a={"size": 2, "seed": 0, "metrics": {"test/accuracy": 0.32, "val/accuracy": 0.5}},
        b={"size": 2, "seed": 1, "metrics": {"test/accuracy": 0.34, "val/accuracy": 0.5}},
        c={"size": 4, "metrics": {"test/accuracy": 0.9875, "val/accuracy": 0.1}},
    )
    assert said[1] == (  # (34 - 32) / sqrt 2
        "Best accuracy (chosen on validation images, measured on test images): bottleneck.size=2, with accuracy"
        " 33 ± 1.4 % over 2 seeds, best of 2, with one seed in common, which decides nothing, beside 1 other"
        " (bottleneck.size=4)."
    )
