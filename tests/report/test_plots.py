"""What the figures draw, read back from their axes, and the files they are written to."""

import io
import json
import math
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from PIL import Image

from diabolo.plotting import COLOURS
from diabolo.report.figures import inline_svg, svg
from diabolo.report.looks import MOST_NAMED
from diabolo.report.plots import plots, write_plots
from made_runs import made, sweep


def drawn(runs) -> dict:
    return {plot.name: plot for plot in plots(runs)}


def lines(plot) -> dict[str, tuple[list[float], list[float]]]:
    """Label -> x and y of a figure's lines."""
    (axes,) = plot.figure.axes
    found = {line.get_label(): (list(line.get_xdata()), list(line.get_ydata())) for line in axes.lines}
    return {label: xy for label, xy in found.items() if not label.startswith("_")}


def test_error_against_size_has_means_bands_and_pca_and_marks_where_it_wins():
    plot = drawn(sweep())["error_by_size"]
    (axes,) = plot.figure.axes
    found = lines(plot)
    assert found["loss=mse"][0] == [2, 8, 32]
    assert found["loss=mse"][1] == pytest.approx([0.045, 0.0135, 0.006])
    assert found["PCA"][1] == pytest.approx([0.04, 0.01, 0.0025])  # .08 / size
    assert found["PCA lies lower"] == ([2, 8, 32], pytest.approx([0.04, 0.01, 0.0025]))
    assert "PCA lies lower at size 2, 8, 32" in plot.note
    assert axes.get_xscale() == axes.get_yscale() == "log"
    band = axes.collections[1].get_paths()[0].vertices  # MAE first, MSE second
    assert (band[:, 1].min(), band[:, 1].max()) == pytest.approx((0.004, 0.06))
    better = [run for run in sweep() if run.get("seed") == 0]
    assert "PCA lies lower at size 32" in drawn(better)["error_by_size"].note  # .03 < .04, .009 < .01, .004 > .0025


def test_error_against_costs():
    found = drawn(sweep())
    assert lines(found["error_by_compression"])["loss=mse"][0] == pytest.approx([392, 98, 24.5])
    assert lines(found["error_by_compression"])["PCA"] == (
        pytest.approx([392, 98, 24.5]),
        pytest.approx([0.04, 0.01, 0.0025]),
    )
    assert lines(found["error_by_parameters"])["loss=mae"][0] == [2000, 8000, 32000]
    assert lines(found["error_by_seconds"])["loss=mae"] == ([11.0] * 3, pytest.approx([0.075, 0.03, 0.0075]))


def test_pca_that_is_exact_does_not_stretch_the_axis():
    runs = [made(size=size, mse=0.01, metrics={"test/pca_mse": pca}) for size, pca in ((2, 0.05), (784, 1e-14))]
    (axes,) = drawn(runs)["error_by_size"].figure.axes
    assert axes.get_ylim()[0] > 1e-3


def test_learning_curves_take_the_training_loss_where_there_is_no_validation(tmp_path):
    runs = [made(seed=0), made(seed=1, loss="MAE"), made(seed=2)]
    for run, key, scale in zip(runs, ("val/mse", "train/loss", "val/mse"), (1, 2, 1), strict=True):
        run.path = tmp_path / run.name
        run.path.mkdir()
        rows = [{"epoch": epoch, key: scale / epoch} for epoch in (1, 2, 3)]
        run.path.joinpath("history.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows) + '{"epo')
    runs[2].path.joinpath("history.jsonl").write_text('{"epoch": 1, "val/mse": NaN}\n')
    plot = drawn(runs)["learning_curves"]
    curves = [line for line in plot.figure.axes[0].lines if len(line.get_xdata())]
    assert sorted((list(c.get_xdata()), list(c.get_ydata()), c.get_linestyle()) for c in curves) == [
        ([1, 2, 3], [1, 0.5, 1 / 3], "-"),
        ([1, 2, 3], [2, 1, 2 / 3], "--"),
    ]


def test_error_by_class_is_the_mean_over_the_images_of_a_class(tmp_path):
    errors, labels = np.array([0.1, 0.3, 0.45, 0.7]), np.array([0, 0, 1, -1])
    runs = [made(seed=0), made(loss="MAE", mse=0.02), made(loss="BCE", mse=0.03)]
    for run, factor in zip(runs[:2], (1, 2), strict=True):
        run.path = tmp_path / run.name
        run.path.mkdir()
        zeros = np.zeros(4)
        np.savez(run.path / "per_image.npz", images="", labels=labels, mse=errors * factor, mae=zeros, ssim=zeros)
    plot = drawn(runs)["error_by_class"]
    (axes,) = plot.figure.axes
    assert (10 ** axes.images[0].get_array()).tolist() == [pytest.approx([0.2, 0.45]), pytest.approx([0.4, 0.9])]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["loss=mse", "loss=mae"]
    assert [text.get_text() for text in axes.texts] == ["200", "450", "400", "900"]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("errors", "written", "shades"),
    [
        ([0, 0, 0.5], ["0", "500", "0"], [[0.5, 0.5], [0.5, None]]),
        ([0, 0, 0], ["0", "0", "0"], [[1, 1], [1, None]]),
    ],
)
def test_a_class_without_error_is_as_dark_as_the_smallest_error_and_a_missing_one_is_empty(
    tmp_path, errors, written, shades
):
    runs = [made(seed=0), made(loss="MAE", mse=0.02)]
    for run, count in zip(runs, (3, 2), strict=True):
        run.path = tmp_path / run.name
        run.path.mkdir()
        labels, zeros = np.array([0, 0, 1])[:count], np.zeros(count)
        np.savez(
            run.path / "per_image.npz", images="", labels=labels, mse=np.array(errors[:count], float), mae=zeros,
            ssim=zeros,
        )  # fmt: skip
    (axes,) = drawn(runs)["error_by_class"].figure.axes
    assert [text.get_text() for text in axes.texts] == written
    assert (10 ** axes.images[0].get_array()).tolist() == shades


def test_one_run_none_and_runs_without_metrics():
    assert plots([]) == [] == plots([made(mse=None), made(mse=math.inf)])
    found = drawn([made(size=8, mse=0.02)])
    assert list(found) == ["error_by_size"]  # no cost was measured, no history kept
    assert lines(found["error_by_size"])["model=fc loss=mse"] == ([8], [0.02])


def test_of_many_lines_the_best_are_named_and_the_others_grey():
    runs = [made(mse=0.01 * (1 + rate), optimizer__lr=rate) for rate in range(20)]
    runs += [made(mse=0.5, seed=1, optimizer__lr=rate) for rate in range(20)]
    labels = list(lines(drawn(runs)["error_by_size"]))
    assert len([label for label in labels if "lr=" in label]) == MOST_NAMED
    assert {f"optimizer.lr={rate}" for rate in range(MOST_NAMED)} <= set(labels)
    assert labels.count("12 others") == 1


def test_files_can_be_read_and_the_page_gets_its_own_colours(tmp_path):
    runs = [made(size=2), made(size=4)]
    written = write_plots(runs, tmp_path / "new" / "plots")
    assert [path.name for path in written] == ["error_by_size.png", "error_by_size.svg"]
    for path in written:
        if path.suffix == ".png":
            picture = np.asarray(Image.open(io.BytesIO(path.read_bytes())).convert("RGB"))
            assert (picture[0, 0] == 255).all()
            assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 20
        else:
            ElementTree.fromstring(path.read_text())
    (plot,) = plots(runs)
    element = inline_svg(plot)
    ElementTree.fromstring(element.replace("xlink:", ""))
    assert "http" not in element
    assert "currentColor" in element
    assert "var(--series-0)" in element
    assert COLOURS[0].lower() not in element
    assert COLOURS[0].lower() in svg(plot)
