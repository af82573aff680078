"""A run is called the same wherever the report speaks of it: words, table, CSV, losses, plots, sheets, page, list."""

import csv
import itertools
import json
import re
import shlex
import shutil
from html import unescape
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from diabolo.report.collect import Run, collect
from diabolo.report.losses import compare_losses, matrix
from diabolo.report.names import Names
from diabolo.report.page import write_page
from diabolo.report.plots import plots
from diabolo.report.sheets import sheets
from diabolo.report.table import tabulate, write_csv
from diabolo.report.words import say
from diabolo.runs.config import compose_config
from diabolo.runs.folder import RunFolder
from made_runs import write_per_image, write_run

LOSSES, SIZES, SEEDS = ("mae", "mse"), (2, 4), (0, 1)
RATES = (0.001, 0.005)


@pytest.fixture(scope="module")
def real(compared, tmp_path_factory) -> Path:
    """Two losses at 4 numbers and one at 2, each with two seeds and two learning rates; one more has failed. The models
    are those of three trained runs, so that all can be drawn."""
    folder = tmp_path_factory.mktemp("named")
    for run, seed, rate in itertools.product(compared.iterdir(), SEEDS, RATES):
        changed(run, folder / f"{run.name}_{seed}_{rate}", seed, rate)
    failed = changed(compared / "mse_2", folder / "failed", seed=2)
    (failed / "metrics.json").unlink()
    (failed / "state.json").write_text(json.dumps({"state": "failed", "reason": "no luck"}))
    return folder


def changed(run: Path, copy: Path, seed: int, rate: float = 0.005) -> Path:
    """A copy of a run folder with another seed and learning rate in its config."""
    config = RunFolder(shutil.copytree(run, copy)).config()
    config.seed, config.optimizer.lr = seed, rate
    OmegaConf.save(config, copy / "config.yaml")
    return copy


@pytest.fixture(scope="module")
def sweep(tmp_path_factory) -> Path:
    """Two families, two losses, two sizes and two seeds; one run was repeated, one recorded no choices, one has failed.
    What goes along with the size and what only says where it ran differ too."""
    folder = tmp_path_factory.mktemp("sweep")
    conv = {"model": "conv_transpose", "encoder": "conv", "decoder": "conv_transpose"}
    for family, loss, size, seed in itertools.product(("fc", "conv"), LOSSES, SIZES, SEEDS):
        mse = (0.1 if loss == "mse" else 0.2) / size + seed / 100 + (0.001 if family == "conv" else 0)
        run = write_run(
            folder / f"{family}_{loss}_{size}_{seed}",
            size,
            loss,
            seed,
            metrics={"test/mse": mse, "val/mse": mse, "test/pca_mse": 0.01},
            config={"model.hidden": [10 * size], "trainer.threads": seed + 1}
            | ({"encoder._target_": "diabolo.network.ConvEncoder"} if family == "conv" else {}),
            choices=conv if family == "conv" else {},
            history=[{"epoch": 1, "val/mse": mse}],
        )
        write_per_image(run, mse=[mse] * 40)
    shutil.copytree(folder / "fc_mse_2_0", folder / "again")
    write_run(folder / "lost", 4, "mae", 3, state="failed", reason="no luck", config={"model.hidden": [40]})
    return folder


def said_of(folder: Path, tmp_path: Path) -> tuple[list[Run], dict[str, set[str]]]:
    """The runs, and for each part of the report the names that it uses."""
    runs, _ = collect([folder])
    table = tabulate(runs)
    write_csv(table, tmp_path / "table.csv")
    with (tmp_path / "table.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    drawn = {plot.name: plot.figure for plot in plots(runs)}
    pictures, missing = sheets(runs)
    write_page(runs, [], tmp_path / "page.html", say(runs), (), pictures, missing)
    page = unescape((tmp_path / "page.html").read_text())
    heads, lines = matrix(compare_losses(runs), table.settings)
    keys = ["loss" if head == "trained with" else head for head in heads[: heads.index("MSE")]]
    return runs, {
        "words": {
            one for sentence in say(runs) for one in re.findall(r"(?:\): |^Failed: )(.*?)(?:, with| \()", sentence)
        },
        "table": {joined(table.settings, table.words(row), Names(runs)) for row in table.rows},
        "csv": {row["name"] for row in rows},
        "losses": {joined(keys, line, Names(runs)) for line in lines},
        "legends": {
            text.get_text().replace("\n", " ")
            for name, figure in drawn.items()
            if name != "error_by_class"
            for text in figure.legends[0].get_texts()
            if not text.get_text().startswith("PCA")
        },
        "classes": {label.get_text().replace("\n", " ") for label in drawn["error_by_class"].axes[0].get_yticklabels()},
        "captions": {
            row.caption
            for sheet in pictures
            for row in sheet.rows
            if not re.match("originals|PCA|best|worst", row.caption)
        }
        | {sentence.partition(" (in ")[0] for sentence in missing},
        "page table": set(
            re.findall(
                r"<td>([^<]*)</td><td>[^<]*</td></tr>", page[page.index("<h2>All runs") : page.index("<h2>Not fin")]
            )
        ),
        "page captions": {
            text
            for text in re.findall(r"<figcaption>(.*?)(?: · |</)", page)
            if not re.match("originals|PCA|best|worst", text)
        },
        "page legends": set(re.findall(r"<text [^>]*>((?:model|loss)=[^<]*)</text>", page)),
    }


def joined(keys: list[str], cells: list[str], names: Names) -> str:
    """The name that stands in the cells of a row; a table has further columns."""
    cell = dict(zip(keys, cells, strict=False))
    return " ".join(f"{key}={cell[key]}" for key in names.keys)


def test_a_real_sweep(real, tmp_path, diabolo):
    settings = {
        f"loss={loss} bottleneck.size={size} optimizer.lr={rate}"
        for loss, size in (("mse", 2), ("mse", 4), ("mae", 4))
        for rate in RATES
    }
    names = {f"{one} seed={seed}" for one in settings for seed in SEEDS}
    failed = "loss=mse bottleneck.size=2 optimizer.lr=0.005 seed=2"
    lines = {f"loss={loss} optimizer.lr={rate}" for loss in LOSSES for rate in RATES}
    runs, said = said_of(real, tmp_path)
    assert {Names(runs).run(run) for run in runs} == names | {failed}
    assert said["table"] == said["csv"] == settings
    assert said["losses"] == {one for one in settings if "size=4" in one}, "one loss alone was trained at size 2"
    assert said["words"] - {failed} <= settings
    assert failed in said["words"]
    assert said["legends"] == lines
    assert said["page table"] == names | {failed}
    for part in ("classes", "captions", "page captions"):
        assert said[part] <= names, part
        assert {one.rpartition(" ")[0] for one in said[part]} == settings, "the best seed of each"
    assert said["captions"] == said["page captions"]
    assert lines <= said["page legends"]
    best = diabolo("runs", "best", str(real))
    assert best.err.split(":")[0] in names


def test_a_made_sweep(sweep, tmp_path):
    settings = {
        f"model={model} loss={loss} bottleneck.size={size}"
        for model in ("fc", "conv_transpose")
        for loss in LOSSES
        for size in SIZES
    }
    names = {f"{one} seed={seed}" for one in settings for seed in SEEDS}
    failed = "model=fc loss=mae bottleneck.size=4 seed=3"
    runs, said = said_of(sweep, tmp_path)
    assert said["table"] == said["csv"] == said["losses"] == settings
    assert "model.hidden" in Names(runs).columns, "what goes with the size stands in the table"
    assert said["words"] == {"model=fc loss=mse bottleneck.size=4", failed}
    assert said["legends"] == {one.rpartition(" ")[0] for one in settings}
    assert said["page table"] == names | {failed}
    assert {one.rpartition(" ")[0] for one in said["classes"]} == settings
    assert said["classes"] == said["captions"] <= names, "without models, as what is missing"


def test_a_name_typed_on_the_command_line_gives_the_same_settings(real):
    runs, _ = collect([real])
    for run in runs:
        typed = compose_config(["model=fc", *shlex.split(Names(runs).run(run))])
        assert typed.loss._target_ == run.config["loss._target_"]
        for key, value in (("bottleneck", "size"), ("optimizer", "lr")):
            assert typed[key][value] == run.config[f"{key}.{value}"]
        assert typed.seed == run.get("seed")
