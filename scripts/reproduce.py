"""Runs every published experiment on MNIST and writes the published figures beside ours, as Markdown and as CSV.

    uv run python scripts/reproduce.py --data-root FOLDER [--seeds 0,1,2] [--only NAME,...] [KEY=VALUE ...]

Each experiment is a sweep over the seeds in reproduction/NAME, so that the same command again skips what is done; the
tables are reproduction/table.md and table.csv. --limit, --epochs and overrides such as trainer=cpu go to every run.
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from diabolo.report.collect import Run, collect
from diabolo.report.numbers import figure
from diabolo.report.table import to_markdown, write_text
from diabolo.runs.config import quoted


@dataclass(frozen=True)
class Row:
    """One line of the table: the runs of an experiment with certain settings, and what was published of them."""

    title: str
    experiment: str
    where: dict[str, object] = field(default_factory=dict)
    quantity: str = ""
    metric: str = ""  # which is that quantity
    over: str = ""  # a config key by which the metric is to be divided
    published: float | None = None
    note: str = ""

    def runs(self, runs: Iterable[Run]) -> list[Run]:
        """Its finished runs, the latest of each seed."""
        mine = [run for run in runs if run.state == "done" and run.get("experiment") == self.experiment]
        mine = [run for run in mine if all(run.get(key) == value for key, value in self.where.items())]
        return list({run.get("seed"): run for run in sorted(mine, key=lambda run: run.started)}.values())


SIZES = (5, 25, 125, 784)
ACCURACY: dict[str, Any] = {"quantity": "test accuracy", "metric": "test/accuracy"}
MAE: dict[str, Any] = {"quantity": "test MAE of normalised pixels", "metric": "test/mae", "over": "data.std"}
TANH = "tanh cannot reach normalised pixels above 1, and the ReLU on the code kills units"
DEAD = "the ReLU on the code kills one or two of its four maps with some seeds"
RELU = "a ReLU cannot reach the normalised background, which lies below 0"
ANNEALED = "batches of 128 and a cosine schedule; with batches of 256 at a constant rate the published error is missed"
ROWS = [
    Row("R1", "transpose_conv", {}, "loss of the last batch", "train/last_batch_loss", published=0.0077),
    Row("R2", "upsample_conv", {}, "loss of the last epoch", "train/loss", published=0.00809, note=DEAD),
    *(Row(f"R3, {size}", "fc_hidden_sizes", {"bottleneck.size": size}, note=TANH) for size in SIZES),
    *(Row(f"R3 corrected, {size}", "fc_hidden_sizes_corrected", {"bottleneck.size": size}) for size in SIZES),
    Row("R3b", "transpose_conv_relu", note=RELU),
    Row("R3b corrected", "transpose_conv_relu_corrected"),
    Row("R4a", "lenet_classifier", **ACCURACY, published=0.987),
    Row("R4a small", "lenet_classifier_small", **ACCURACY, published=0.970),
    Row("R4b, MSE", "lenet_autoencoder", {"loss": "mse"}, **MAE),
    Row("R4b, MAE", "lenet_autoencoder", {"loss": "mae"}, **MAE, published=0.1560),
    Row("R4b, MAE, annealed", "lenet_autoencoder_annealed", {}, **MAE, published=0.1560, note=ANNEALED),
    Row("R4c, MSE", "lenet_wide", {"loss": "mse"}, **MAE),
    Row("R4c, MAE", "lenet_wide", {"loss": "mae"}, **MAE, published=0.0623),
    Row("R4c, MAE, annealed", "lenet_wide_annealed", {}, **MAE, published=0.0623, note=ANNEALED),
]
EXPERIMENTS = list(dict.fromkeys(row.experiment for row in ROWS))
STARTS_FROM = dict.fromkeys(
    ("lenet_autoencoder", "lenet_autoencoder_annealed"), "lenet_classifier"
)  # whose encoder begins as that of the same seed's
HEADS = (
    *("", "experiment", "quantity", "published", "code", "parameters", "seeds"),
    *("ours", "test MSE", "PCA's", "seconds"),
)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="of every run")
    parser.add_argument("--data-root", default="data", help="the folder of torchvision's MNIST/raw")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--only", default=",".join(EXPERIMENTS), help="experiments to run; the table has all there are")
    parser.add_argument("--out", type=Path, default=Path("reproduction"))
    parser.add_argument("--limit", type=int, help="use so many training images, and as many for the test")
    parser.add_argument("--epochs", type=int)
    given = parser.parse_intermixed_args(arguments)
    only = given.only.split(",")
    if strange := set(only) - set(EXPERIMENTS):
        parser.error(f"there is no {', '.join(sorted(strange))}; there are {', '.join(EXPERIMENTS)}")
    overrides = [f"data.root={quoted(given.data_root)}", *given.overrides]
    overrides += [f"data.limit={given.limit}", f"data.test_limit={given.limit}"] if given.limit else []
    overrides += [f"trainer.max_epochs={given.epochs}"] if given.epochs else []
    given.out.mkdir(parents=True, exist_ok=True)
    failed = [name for name in EXPERIMENTS if name in only and not train(name, given.seeds, given.out, overrides)]
    table = lines(collect([given.out])[0])
    write_text(given.out / "table.md", markdown(table))
    write_csv(table, given.out / "table.csv")
    print((given.out / "table.md").read_text())
    if failed:
        print(f"not every run is done of {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def train(name: str, seeds: str, out: Path, overrides: Sequence[str]) -> bool:
    """Runs what is not done of an experiment; whether all of it is now."""
    if name not in STARTS_FROM:
        return sweep(name, out, [*overrides, f"seed={seeds}"])
    (source,) = (row for row in ROWS if row.experiment == STARTS_FROM[name])
    begun = {str(run.get("seed")): quoted(str(run.path)) for run in source.runs(collect([out])[0])}
    if missing := [seed for seed in seeds.split(",") if seed not in begun]:
        print(f"{name} starts from {source.experiment}, of which seed {missing[0]} is not done", file=sys.stderr)
        return False
    each = [[*overrides, f"seed={seed}", f"encoder.init_from={begun[seed]}"] for seed in seeds.split(",")]
    return all([sweep(name, out, one) for one in each])  # noqa: C419  a failing seed stops no other


def sweep(name: str, out: Path, overrides: Sequence[str]) -> bool:
    folder = f"hydra.sweep.dir={quoted(str(out / name))}"
    command = [sys.executable, "-m", "diabolo", "train", "-m", f"experiment={name}", folder, *overrides]
    return subprocess.run(command).returncode == 0


def lines(runs: Sequence[Run]) -> list[list[Any]]:
    """The table below `HEADS`; figures over seeds are pairs of mean and standard deviation."""
    table = []
    for row in ROWS:
        mine = row.runs(runs)
        one = mine[0] if mine else None
        code = one.number("code_size") if one and not row.metric.endswith("accuracy") else None
        parameters = one.number("parameters") if one else None
        figures = [spread(mine, *of) for of in ((row.metric, row.over), ("test/mse",), ("test/pca_mse",), ("seconds",))]
        known = [row.title, row.experiment, row.quantity, row.published, code, parameters, len(mine)]
        table.append([*known, *figures])
    return table


def spread(runs: Iterable[Run], metric: str, over: str = "") -> tuple[float | None, float | None]:
    """Mean and standard deviation (None for a single run) of a metric, divided by a config value where one is named."""
    found = [(run.number(metric), run.number(over) if over else 1.0) for run in runs]
    values = [value / by for value, by in found if value is not None and by]
    return (fmean(values) if values else None, stdev(values) if len(values) > 1 else None)


def markdown(table: Sequence[Sequence[Any]]) -> str:
    """The table for people, and what is to be known of its rows."""
    notes = dict.fromkeys((row.experiment, row.note) for row in ROWS if row.note)
    said = "".join(f"- `{experiment}`: {note}.\n" for experiment, note in notes)
    return f"{to_markdown(HEADS, [[cell(value) for value in line] for line in table])}\n{said}"


def cell(value: Any) -> str:
    if isinstance(value, tuple):
        mean, deviation = value
        return "" if mean is None else figure(mean, deviation)
    return "" if value is None else f"{value:,}".removesuffix(".0") if isinstance(value, float) else str(value)


def write_csv(table: Sequence[Sequence[Any]], path: Path) -> None:
    """The table in full precision, with a column for each deviation."""
    pairs = {place for place, value in enumerate(table[0]) if isinstance(value, tuple)}
    heads = [[head, f"{head} deviation"] if place in pairs else [head] for place, head in enumerate(HEADS)]
    with path.open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow([word for words in heads for word in words])
        for line in table:
            out.writerow([word for value in line for word in (value if isinstance(value, tuple) else [value])])


if __name__ == "__main__":
    sys.exit(main())
