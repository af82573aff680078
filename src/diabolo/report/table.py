"""Runs as a table: the settings in which they differ beside the yardstick, in the terminal, as CSV and as Markdown."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table as RichTable
from rich.text import Text

from diabolo.errors import UserError
from diabolo.report.collect import Run
from diabolo.report.fold import Folded, differing, fold, order_key
from diabolo.report.select import check_key, ranked
from diabolo.report.words import figure
from diabolo.runs.identity import plain

MEASURED = ("test/mse", "test/mae", "test/psnr", "test/ssim", "test/pca_mse", "test/accuracy")


@dataclass
class Table:
    """Rows of runs folded over seeds. `settings` are config keys and `metrics` numbers, the columns in their order."""

    settings: list[str]
    metrics: list[str]
    rows: list[Folded]
    states: bool  # whether the runs are in different states
    seeds: bool  # whether any row stands for several runs

    def heads(self) -> list[str]:
        return [*(self.settings or ["run"]), *["state"] * self.states, *["n"] * self.seeds, *self.metrics]

    def words(self, row: Folded) -> list[str]:
        """The cells left of the metrics."""
        missing = {key for key in self.settings if row.get(key) is None and not row.first.knows(key)}
        cells = ["" if key in missing else plain(row.get(key)) for key in self.settings] or [row.first.name]
        return [*cells, *[row.first.state] * self.states, *[str(row.n)] * self.seeds]

    def cells(self, row: Folded) -> list[str]:
        """A row for people: four digits, mean ± standard deviation."""
        figures = [(row.mean(key), row.deviation(key)) for key in self.metrics]
        return [*self.words(row), *("" if mean is None else figure(mean, deviation) for mean, deviation in figures)]


def tabulate(runs: Sequence[Run], sort: str | None = None, top: int | None = None) -> Table:
    """The table of the runs, by its settings or by the key `sort`, the first `top` rows of it.

    Raises:
        UserError: `sort` is a key that no run has.
    """
    settings, rows = differing(runs), fold(runs)
    if sort:
        check_key("--sort", sort, runs)
        rows = ranked(rows, sort, runs)
    else:
        rows = sorted(rows, key=lambda row: [order_key(row.get(key)) for key in settings])
    metrics = [key for key in MEASURED if any(row.values(key) for row in rows)]
    if sort and sort not in (*metrics, *settings) and any(row.values(sort) for row in rows):
        metrics.append(sort)
    states = len({run.state for run in runs}) > 1 or any(run.state != "done" for run in runs)
    return Table(settings, metrics, rows[:top], states, any(row.n > 1 for row in rows))


def for_terminal(table: Table) -> RichTable:
    """The table as rich prints it."""
    shown = RichTable(box=None, pad_edge=False, header_style="bold")
    for head in table.heads():
        shown.add_column(head, justify="right" if head in (*table.metrics, "n") else "left", overflow="fold")
    for row in table.rows:
        shown.add_row(*map(Text, table.cells(row)))  # as text: [relu] is a list here, not rich's markup
    return shown


def to_markdown(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


def write_csv(table: Table, file: str | Path) -> None:
    """The table in full precision: of each metric the mean and the standard deviation, and the folders behind each row.

    Raises:
        UserError: the file cannot be written.
    """
    deviations = [f"{key} std" for key in table.metrics] if table.seeds else []
    lines = [[*table.heads(), *deviations, "folders"]]
    for row in table.rows:
        figures = [row.mean(key) for key in table.metrics]
        if table.seeds:
            figures += [row.deviation(key) for key in table.metrics]
        numbers = ["" if figure is None else repr(figure) for figure in figures]
        lines.append([*table.words(row), *numbers, ";".join(str(run.path) for run in row.runs)])
    try:
        with Path(file).open("w", newline="") as out:
            csv.writer(out).writerows(lines)
    except OSError as failure:
        raise unwritable_file(file, failure) from failure


def write_text(file: str | Path, text: str) -> None:
    """Writes `text`.

    Raises:
        UserError: the file cannot be written.
    """
    try:
        Path(file).write_text(text)
    except OSError as failure:
        raise unwritable_file(file, failure) from failure


def unwritable_file(file: str | Path, failure: OSError) -> UserError:
    """The sentence for a file that cannot be written."""
    return UserError(f"{str(file)!r} cannot be written ({failure.strerror or failure}); choose another place.")
