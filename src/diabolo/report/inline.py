"""Runs and their comparison in Python: rows for pandas, and what a notebook shows."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from rich.console import Console

from diabolo.report.collect import Run, Skipped
from diabolo.report.command import selected
from diabolo.report.evidence import Figures
from diabolo.report.figures import Plot
from diabolo.report.losses import compare_losses, summary
from diabolo.report.plots import plots
from diabolo.report.table import Table, for_terminal, tabulate
from diabolo.report.words import say


def runs(*folders: str | Path, where: Sequence[str] = ()) -> list[dict[str, Any]]:
    """A row for each run below `folders`, for `pandas.DataFrame(diabolo.runs("sweeps"))`: name, state and folder, what
    was chosen of each config group (`model`), its config by dotted keys (`bottleneck.size`) and its metrics
    (`test/mse`).

    Args:
        folders: by default those of `diabolo compare`, runs and sweeps.
        where: conditions as of `diabolo compare --where`, such as "bottleneck.size>=8".

    Raises:
        UserError: a folder that is not there, no run, or a condition that cannot be read or fits none.
    """
    found, _ = selected(list(map(str, folders)), where)
    return [
        {"name": run.name, "state": run.state, "folder": str(run.path), **run.groups, **run.config, **run.metrics}
        for run in found
    ]


@dataclass(frozen=True)
class Comparison:
    """What `diabolo compare` says of runs. A notebook shows it with its plots.

    Args:
        words: sentences.
        table: of runs folded over seeds, as the command prints it.
        plots: each shows itself in a notebook; `plot.figure` is matplotlib's.
        skipped: folders that look like runs and cannot be read, and why.
    """

    runs: list[Run]
    words: list[str]
    table: Table
    plots: list[Plot]
    skipped: list[Skipped]

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The table with whole numbers and floats, for pandas: settings, and the mean of each metric."""
        return [
            {key: row.get(key) for key in self.table.settings}
            | {"n": row.n}
            | {metric: row.mean(metric) for metric in self.table.metrics}
            for row in self.table.rows
        ]

    def __repr__(self) -> str:
        return "\n".join([*(f"- {sentence}" for sentence in self.words), "", self._table().export_text()])

    def _repr_html_(self) -> str:
        words = "".join(f"<li>{escape(sentence)}</li>" for sentence in self.words)
        pictures = "".join(
            f'<img alt="{escape(plot.title)}" src="data:image/png;base64,{_encoded(plot)}">' for plot in self.plots
        )
        table = self._table().export_html(code_format="<pre>{code}</pre>", inline_styles=True)
        return f"<ul>{words}</ul>{table}<div>{pictures}</div>"

    def _table(self) -> Console:
        console = Console(record=True, width=10_000, file=io.StringIO(), force_jupyter=False)
        console.print(for_terminal(self.table))
        return console


def _encoded(plot: Plot) -> str:
    return base64.b64encode(plot._repr_png_()).decode()


def compare(
    *folders: str | Path, where: Sequence[str] = (), sort: str | None = None, top: int | None = None
) -> Comparison:
    """The runs below `folders` in words, as a table and as plots.

    Args:
        folders, where: as in `runs`.
        sort: a metric, best first, or a config key, as of `diabolo compare --sort`.
        top: the first rows of the table only.

    Raises:
        UserError: as in `runs`, or `sort` is a key that no run has.
    """
    found, skipped = selected(list(map(str, folders)), where)
    figures = Figures()
    losses = compare_losses(found, figures)
    words = [*say(found, figures), *summary(losses)]
    return Comparison(found, words, tabulate(found, sort, top), plots(found), skipped)
