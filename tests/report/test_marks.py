"""What the page knows of a plot's parts is what matplotlib drew."""

import math
import re

import numpy as np
import pytest

from diabolo.report.figures import frame, inline_svg, svg
from diabolo.report.marks import described
from diabolo.report.plots import plots
from made_runs import made, sweep


def groups(plot) -> dict[tuple[str, int], list[str]]:
    """The parts of the marks in the page's SVG, each by its kind and the place of its mark."""
    text = inline_svg(plot)
    found = list(re.finditer(r'<g data-part="([a-z]+)" data-mark="(\d+)">', text))
    together = {}
    for one in found:
        inside, depth = "", 0
        for tag in re.finditer(r"<(/?)g\b[^>]*>", text[one.start() :]):
            depth += -1 if tag[1] else 1
            if not depth:
                inside = text[one.start() : one.start() + tag.end()]
                break
        together.setdefault((one[1], int(one[2])), []).append(inside)
    return together


def used(part: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r'<use [^>]*x="([-\d.]+)" y="([-\d.]+)"', part)]


def at(about, x, y) -> tuple[float, float]:
    """Where a point lies in the SVG, as the page's script finds it."""
    left, top, width, height = about["box"]
    shares = []
    for side, value in (("x", x), ("y", y)):
        (low, high), scale = about[side]["ends"], math.log if about[side]["log"] else float
        shares.append((scale(value) - scale(low)) / (scale(high) - scale(low)))
    return left + shares[0] * width, top + (1 - shares[1]) * height


def test_points_lie_where_they_are_drawn():
    found = {plot.name: plot for plot in plots(sweep())}
    checked = 0
    for plot in found.values():
        parts, about = groups(plot), frame(plot)
        for place, mark in enumerate(plot.marks):
            if mark.kind != "line":
                continue
            means = [(np.mean([v.x for v in point]), np.mean([v.y for v in point])) for point in mark.points]
            drawn = used(parts["mean", place][0])
            np.testing.assert_allclose(drawn, [at(about, *mean) for mean in means], atol=0.01)
            if ("dots", place) in parts:
                values = [(v.x, v.y) for point in mark.points for v in point]
                np.testing.assert_allclose(used(parts["dots", place][0]), [at(about, *v) for v in values], atol=0.01)
                assert ("band", place) in parts
            checked += 1
    assert checked == 2 * 4
    assert {key for key in groups(found["error_by_size"]) if key[0] == "dots"} == {("dots", 0), ("dots", 1)}


def test_a_file_names_each_part_once():
    for plot in plots(sweep()):
        ids = re.findall(r' id="([^"]*)"', svg(plot))
        assert len(ids) == len(set(ids)), plot.name


def test_curves_and_rows_are_each_a_runs_own(tmp_path):
    runs = [made(seed=0), made(loss="MAE", mse=0.02)]
    for place, run in enumerate(runs):
        run.path, run.history = tmp_path / run.name, [{"epoch": epoch, "val/mse": 1 / epoch} for epoch in (1, 2)]
        run.path.mkdir()
        zeros, labels = np.zeros(3), np.array([0, 0, 4])
        np.savez(
            run.path / "per_image.npz", images="", labels=labels, mse=np.full(3, 0.1 + place), mae=zeros, ssim=zeros
        )
    found = {plot.name: plot for plot in plots(runs)}
    curves, rows = found["learning_curves"], found["error_by_class"]
    assert {mark.points[0][0].run.name for mark in curves.marks} == {run.name for run in runs}
    assert set(groups(curves)) == {("curve", 0), ("curve", 1)}
    assert {key: len(value) for key, value in groups(rows).items()} == {("row", 0): 1, ("row", 1): 1}, "their labels"
    assert [mark.points[0][0].run for mark in rows.marks] == runs
    assert rows.marks[1].said == ["class 0: 1.1", "class 4: 1.1"]
    about = frame(rows)
    left, top, width, height = about["box"]
    for place, mark in enumerate(rows.marks):
        wanted = left + 0.75 * width, top + (0.25 + 0.5 * place) * height
        assert at(about, mark.points[1][0].x, mark.points[1][0].y) == pytest.approx(wanted)


def test_the_page_gets_places_of_runs_and_whole_numbers():
    runs = [made(seed=seed, mse=0.1 / 3 + seed) for seed in (1, 0)]
    (plot,) = plots(runs)
    line, pca = plot.marks
    places = {id(run): place for place, run in enumerate(runs)}
    assert described(line, places)["points"] == [[[0, 8.0, 1 + 0.1 / 3], [1, 8.0, 0.1 / 3]][::-1]]
    assert described(line, places)["colour"] == "var(--series-0)"
    assert described(pca, places)["points"] == [[[-1, 8.0, 0.01]]], "PCA is no run"
