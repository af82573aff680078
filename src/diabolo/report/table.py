"""Runs as a table: the settings in which they differ beside the yardstick, in the terminal, as CSV and as Markdown."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table as RichTable

from diabolo.errors import UserError
from diabolo.measures.metric_names import shown_in
from diabolo.report.collect import Run
from diabolo.report.fold import Folded, fold
from diabolo.report.names import Names
from diabolo.report.numbers import head, in_unit
from diabolo.report.select import check_key, ranked
from diabolo.runs.identity import plain
from diabolo.runs.terminal import text_table, visible


@dataclass
class Table:
    """Rows of runs folded over seeds. `settings` are config keys and `metrics` numbers, the columns in their order."""

    settings: list[str]
    metrics: list[str]
    rows: list[Folded]
    states: bool  # whether the runs are in different states
    seeds: bool  # whether any row stands for several runs
    names: Names

    def heads(self) -> list[str]:
        """Keys as `--sort` and `--where` take them."""
        return [*self._left(), *self.metrics]

    def titles(self) -> list[str]:
        """The heads for people, with units."""
        return [*self._left(), *map(head, self.metrics)]

    def words(self, row: Folded) -> list[str]:
        """The cells left of the metrics."""
        cells = [plain(row.get(key)) if row.first.knows(key) else "" for key in self.settings]
        return [*(cells or [self.names.setting(row)]), *[row.first.state] * self.states, *[str(row.n)] * self.seeds]

    def cells(self, row: Folded) -> list[str]:
        """A row for people: four digits, mean ± standard deviation, in the units of `titles`."""
        means = [(key, row.mean(key)) for key in self.metrics]
        return [
            *self.words(row),
            *("" if mean is None else in_unit(key, mean, row.deviation(key)) for key, mean in means),
        ]

    def _left(self) -> list[str]:
        return [*(self.settings or ["run"]), *["state"] * self.states, *["n"] * self.seeds]


def tabulate(runs: Sequence[Run], sort: str | None = None, top: int | None = None) -> Table:
    """The table of the runs, by its settings or by the key `sort`, the first `top` rows of it.

    Raises:
        UserError: `sort` is a key that no run has.
    """
    names, rows = Names(runs), fold(runs)
    if sort:
        check_key("--sort", sort, runs)
        rows = ranked(rows, sort, runs)
    else:
        rows = sorted(rows, key=names.place)
    metrics = [metric.key for metric in shown_in("table") if any(row.values(metric.key) for row in rows)]
    if sort and sort not in (*metrics, *names.columns) and any(row.values(sort) for row in rows):
        metrics.append(sort)
    states = len({run.state for run in runs}) > 1 or any(run.state != "done" for run in runs)
    return Table(names.columns, metrics, rows[:top], states, any(row.n > 1 for row in rows), names)


def for_terminal(table: Table) -> RichTable:
    """The table as rich prints it."""
    numbers = {head for head, key in zip(table.titles(), table.heads(), strict=True) if key in (*table.metrics, "n")}
    return text_table(table.titles(), map(table.cells, table.rows), right=numbers)


def to_markdown(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [list(map(markdown, heads)), ["---"] * len(heads), *(map(markdown, row) for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def markdown(text: str) -> str:
    """`text` as Markdown shows it: on one line, no tag, link, code or cell of a table. Signs that mean something only
    at the edge of a word are escaped there alone."""
    return SPECIAL.sub(r"\\\g<0>", " ".join(visible(text).split()))


SPECIAL = re.compile(
    r"[\\`|<>\[\]&]|[*~](?=\S)|(?<=\S)[*~]|(?<!\w)_|_(?!\w)"
    r"|^[#+-](?=\s|$)|(?:(?<=^\d)|(?<=^\d\d)|(?<=^\d\d\d))[.)](?=\s|$)"  # a heading, a list, a list of numbers
)


def csv_cell(text: str) -> str:
    """`text` as a cell of a CSV file, with a quote before what a spreadsheet would take for a formula; a number has
    none."""
    return f"'{visible(text)}" if text.startswith(FORMULA) and not NUMBER.fullmatch(text) else visible(text)


FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|-inf")


def write_csv(table: Table, file: str | Path) -> None:
    """The table in full precision: of each metric the mean and the standard deviation, the name that a row has in the
    rest of the report, and the folders behind it.

    Raises:
        UserError: the file cannot be written.
    """
    deviations = [f"{key} std" for key in table.metrics] if table.seeds else []
    lines = [[*table.heads(), *deviations, "name", "folders"]]
    for row in table.rows:
        figures = [row.mean(key) for key in table.metrics]
        if table.seeds:
            figures += [row.deviation(key) for key in table.metrics]
        numbers = ["" if figure is None else repr(figure) for figure in figures]
        folders = ";".join(str(run.path) for run in row.runs)
        lines.append([*table.words(row), *numbers, table.names.setting(row), folders])
    write_rows(lines, file)


def write_rows(lines: Iterable[Sequence[str]], file: str | Path) -> None:
    """Writes a CSV file.

    Raises:
        UserError: the file cannot be written.
    """
    try:
        with Path(file).open("w", newline="", encoding="utf-8") as out:
            csv.writer(out).writerows(map(csv_cell, line) for line in lines)
    except OSError as failure:
        raise unwritable_file(file, failure) from failure


def write_text(file: str | Path, text: str) -> None:
    """Writes `text`.

    Raises:
        UserError: the file cannot be written.
    """
    try:
        Path(file).write_text(text, encoding="utf-8")
    except OSError as failure:
        raise unwritable_file(file, failure) from failure


def unwritable_file(file: str | Path, failure: OSError) -> UserError:
    """The sentence for a file that cannot be written."""
    return UserError(f"{str(file)!r} cannot be written ({failure.strerror or failure}); choose another place.")
