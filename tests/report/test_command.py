"""`diabolo compare` from the command line: made folders by the hundred, and a real sweep."""

import csv
import json
import subprocess
import sys
from types import ModuleType

import numpy as np
import pytest

from diabolo.runs.folder import RunFolder
from diabolo.runs.loading import load
from made_runs import write_per_image, write_run
from support import opened_data


def test_500_runs_are_compared(diabolo, tmp_path):
    """5 sizes x 2 losses x 50 seeds, whose error is 1 / size + seed / 10,000, twice that for mae."""
    for i in range(500):
        size, loss, seed = (2, 4, 8, 16, 32)[i % 5], ("mse", "mae")[i // 5 % 2], i // 10
        mse = (1 / size + seed / 10_000) * (2 if loss == "mae" else 1)
        run = write_run(tmp_path / "all" / f"part{i % 7}" / f"{i}", size, loss, seed, metrics={"test/mse": mse})
        if i < 20:
            write_per_image(run, mse=np.full(50, mse))
    (tmp_path / "all" / "empty").mkdir()
    (tmp_path / "all" / "broken").mkdir()
    (tmp_path / "all" / "broken" / "state.json").write_text("{")
    ended = diabolo("compare", "all", "--csv", "table.csv", "--markdown", "all.md")
    assert ended.code == 0, ended.err
    assert "500 runs, 10 settings: 500 done." in ended.out
    assert "Best MSE (chosen and measured on test images): loss=mse bottleneck.size=32, with MSE 0.0337" in ended.out
    assert ended.err == "skipped all/broken: it has no config.yaml\nskipped all/empty: it is empty\n"
    with open("table.csv", newline="") as file:
        rows = {(row["loss"], int(row["bottleneck.size"])): row for row in csv.DictReader(file)}
    assert len(rows) == 10
    for (loss, size), row in rows.items():
        factor = 2 if loss == "mae" else 1
        assert int(row["n"]) == 50
        assert float(row["test/mse"]) == pytest.approx(factor * (1 / size + 24.5 / 10_000))
        deviation = factor * np.arange(50).std(ddof=1) / 10_000
        assert float(row["test/mse std"]) == pytest.approx(deviation)
    text = (tmp_path / "all.md").read_text()
    assert text.count("| mse |") == 15, "in the table, in the matrix, and as the better one, for each size"
    with open("table.losses.csv", newline="") as file:
        found = [(row["bottleneck.size"], row["metric"], row["better"]) for row in csv.DictReader(file)]
    assert found == [(str(size), "mse", "mse") for size in (2, 4, 8, 16, 32)]

    ended = diabolo("runs", "ls", "all", "--where", "bottleneck.size=32", "--where", "loss=mae", "--sort", "test/mse")
    lines = ended.out.splitlines()
    assert len(lines) == 51
    assert lines[1].split() == ["all/part2/9", "done", "0", "0.0625"]


def test_where_sort_and_top_choose_what_is_shown(diabolo, tmp_path):
    for size in (2, 4, 8):
        write_run(tmp_path / "runs" / f"s{size}", size, metrics={"test/mse": 1 / size})
    ended = diabolo("compare", "--where", "bottleneck.size>2", "--sort", "test/mse", "--top", "1")
    assert ended.code == 0, ended.err
    lines = ended.out.splitlines()
    head = lines.index("bottleneck.size  test/mse")
    assert [line.split() for line in lines[head + 1 :]] == [["8", "0.125"]]


def test_values_in_brackets_are_shown_as_they_are(diabolo, tmp_path):
    for word in ("relu", "bold"):
        write_run(tmp_path / "runs" / word, config={"encoder.layers": [word], "encoder.name": f"[{word}]"})
    for command in (["compare"], ["runs", "ls"]):
        cells = [line.split() for line in diabolo(*command).out.splitlines()]
        assert all(any(line[-2:] == [f'["{word}"]', f"[{word}]"] for line in cells) for word in ("relu", "bold"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    {
        "": "there is neither runs nor sweeps here: name a folder of runs",
        "nowhere": "'nowhere' is not a folder",
        "hollow": "there is no run below hollow",
        "some --where loss=mae": "none of the 1 runs fits --where 'loss=mae'",
        "some --where los=mae": "'los', which no run has (did you mean 'loss'?)",
        "some --sort test/mes": "`--sort` names 'test/mes', which no run has (did you mean 'test/mse'?)",
        "some --csv nowhere/table.csv": "'nowhere/table.csv' cannot be written (No such file or directory)",
    }.items(),
)
def test_a_mistake_is_one_sentence(diabolo, tmp_path, arguments, words):
    (tmp_path / "hollow").mkdir()
    write_run(tmp_path / "some" / "a", metrics={"test/mse": 0.5})
    ended = diabolo("compare", *arguments.split())
    assert ended.code == 2
    assert words in ended.err.splitlines()[-1]
    assert "Traceback" not in ended.err


def test_page_plots_and_board_are_given_the_chosen_runs(diabolo, tmp_path, monkeypatch):
    called, drawn = {}, []
    for module, function in (("page", "write_page"), ("plots", "write_plots"), ("board", "write_board")):
        made = ModuleType(f"diabolo.report.{module}")
        setattr(made, function, lambda *given, name=module: called.update({name: given}))
        monkeypatch.setitem(sys.modules, made.__name__, made)
    monkeypatch.setattr("diabolo.report.sheets.sheets", lambda *given: drawn.append(given) or (["a sheet"], ["a word"]))
    write_run(tmp_path / "runs" / "a", 2, metrics={"test/mse": 0.5})
    write_run(tmp_path / "runs" / "b", 4, metrics={"test/mse": 0.25})
    (tmp_path / "runs" / "empty").mkdir()
    asked = ("--html", "page.html", "--plots", "plots", "--tensorboard", "board", "--where", "bottleneck.size=4")
    assert diabolo("compare", *asked).code == 0
    assert diabolo("compare", "--html", "page.html", "--trust").code == 0
    assert drawn.pop()[1] is True
    assert diabolo("compare", *asked).code == 0
    drawn.pop()
    runs, skipped, file, words, tables, *pictures = called["page"]
    assert drawn == [(runs, False)], "once for both, and nobody is trusted"
    assert pictures == [["a sheet"], ["a word"]]
    assert called["board"][2] == ["a sheet"]
    assert ([run.name for run in runs], [one.path.name for one in skipped]) == (["b"], ["empty"])
    assert (file.name, words[0], tables) == ("page.html", "1 run: done.", [])
    assert (called["plots"][0], called["plots"][1].name) == (runs, "plots")
    assert (called["board"][0], called["board"][1].name) == (runs, "board")


def test_comparing_and_listing_never_load_torch(tmp_path):
    for loss in ("mse", "mae"):
        run = write_run(tmp_path / "runs" / loss, loss=loss, metrics={"test/mse": 0.5, "val/mse": 0.5})
        write_per_image(run, mse=np.ones(40))
    script = (
        "import sys; from diabolo.cli import main\n"
        "for arguments in (['compare'], ['runs', 'ls'], ['runs', 'best'], ['runs', 'show', 'runs/mse']):\n"
        "    sys.argv = ['diabolo', *arguments]; main()\n"
        "print(sorted({'torch', 'lightning', 'sklearn', 'hydra', 'matplotlib'} & set(sys.modules)))"
    )
    ended = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines()[-1] == "[]"


def test_a_real_sweep_is_compared_with_the_figures_of_its_folders(diabolo, tiny, tmp_path):
    axes = ("bottleneck.size=2,6", "loss=mse,mae", "seed=0,1")
    bare = ["logger=none", *(f"callbacks.{name}=null" for name in ("reconstructions", "progression", "interpolation"))]
    assert diabolo("train", "-m", *tiny, *bare, *axes, "hydra.sweep.dir=sweeps/a").code == 0
    ended = diabolo("compare", "sweeps", "--csv", "table.csv")
    assert ended.code == 0, ended.err
    assert "8 runs, 4 settings: 8 done." in ended.out
    assert "Measured by SSIM, mae is better in" in ended.out
    assert "kNN accuracy" in ended.out
    found = {}
    for path in (tmp_path / "sweeps" / "a").glob("*/metrics.json"):
        state, metrics = json.loads((path.parent / "state.json").read_text()), json.loads(path.read_text())
        assert state["choices"]["model"] == "fc"
        assert not any("/" in group for group in state["choices"])
        found.setdefault((state["choices"]["loss"], metrics["code_size"]), []).append(metrics["test/mse"])
    with open("table.csv", newline="") as file:
        rows = {(row["loss"], int(row["bottleneck.size"])): row for row in csv.DictReader(file)}
    assert set(rows) == set(found) == {(loss, size) for loss in ("mse", "mae") for size in (2, 6)}
    for key, row in rows.items():
        assert row["n"] == "2"
        assert float(row["test/mse"]) == pytest.approx(np.mean(found[key]), rel=1e-12)
        assert float(row["test/mse std"]) == pytest.approx(np.std(found[key], ddof=1), rel=1e-9)

    best = diabolo("runs", "best", "sweeps", "--where", "loss=mae").out.strip()
    assert RunFolder(best).config().loss._target_ == "diabolo.training.MAE"
    paths = [path for path in (tmp_path / "sweeps" / "a").glob("*/") if "MAE" in (path / "config.yaml").read_text()]
    assert RunFolder(best).metrics()["val/mse"] == min(RunFolder(path).metrics()["val/mse"] for path in paths)

    data = opened_data(RunFolder(best).config())  # the figures of single images against the loaded model
    images = data.images("test")
    ours = load(best).reconstruct(images).detach()
    with np.load(f"{best}/per_image.npz") as figures:
        expected = (ours - images / 255).square().mean((1, 2, 3))
        assert np.allclose(figures["mse"], expected, atol=1e-6)


def test_differences_of_an_earlier_comparison_do_not_stay_beside_a_table_without_any(diabolo, tmp_path):
    for loss in ("mse", "mae"):
        write_run(tmp_path / "runs" / loss, loss=loss, metrics={"test/mse": 0.5})
    assert diabolo("compare", "runs", "--csv", "table.v1").code == 0
    lines = (tmp_path / "table.v1.losses.csv").read_text().splitlines()
    assert [line.split(",")[:3] for line in lines] == [["first", "second", "metric"], ["mae", "mse", "mse"]]
    assert diabolo("compare", "runs", "--where", "loss=mse", "--csv", "table.v1").code == 0
    assert (tmp_path / "table.v1.losses.csv").read_text().splitlines() == lines[:1]
