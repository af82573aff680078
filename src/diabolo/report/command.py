"""`diabolo compare FOLDER...`: many runs in words, as a table, on a page."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from diabolo.errors import UserError
from diabolo.report.collect import Run, Skipped, collect
from diabolo.report.evidence import Figures
from diabolo.report.losses import MATRIX, PAIRS, compare_losses, matrix, numbers, pairs, summary
from diabolo.report.names import Names
from diabolo.report.select import where
from diabolo.report.table import Table, for_terminal, markdown, tabulate, to_markdown, write_csv, write_rows, write_text
from diabolo.report.words import say
from diabolo.runs.terminal import text_table, visible

if TYPE_CHECKING:
    from diabolo.report.sheet import Sheet

DEFAULT_FOLDERS = ("runs", "sweeps")
MOST_LINES = 40  # of a table of losses in the terminal
MOST_SKIPPED = 20  # skipped folders that are named
Block = tuple[str, list[str], list[list[str]]]  # a further table: title, heads, rows


def compare(arguments: Sequence[str]) -> None:
    """The command `diabolo compare`.

    Raises:
        UserError: no such folder, no run in it, a condition that cannot be read, or a file that cannot be written.
    """
    parser = argparse.ArgumentParser("diabolo compare", description="Compare runs: in words, as a table, on a page.")
    add_selection(parser)
    parser.add_argument("--sort", metavar="KEY", help="a metric, best first, or a config key, such as test/mse")
    parser.add_argument("--top", type=count, metavar="N", help="the first N rows of the table only")
    parser.add_argument("--csv", metavar="FILE", help="write the table in full precision, and beside it the losses")
    parser.add_argument("--markdown", metavar="FILE", help="write words and tables as Markdown")
    parser.add_argument("--html", metavar="FILE", help="write one page with everything, plots and pictures included")
    parser.add_argument("--plots", metavar="DIR", help="write the plots as PNG and SVG")
    parser.add_argument("--tensorboard", metavar="DIR", help="write the plots as a TensorBoard run")
    parser.add_argument(
        "--trust", action="store_true", help="trust the configs: run whatever code they name (--html, --tensorboard)"
    )
    given = parser.parse_intermixed_args(arguments)

    runs, skipped = selected(given.folders, given.where)
    table = tabulate(runs, given.sort, given.top)
    figures, columns = Figures(), Names(runs).columns
    losses = compare_losses(runs, figures)
    words = [*say(runs, figures), *summary(losses)]
    blocks = [(MATRIX, *matrix(losses, columns)), (PAIRS, *pairs(losses, columns))]
    blocks = [block for block in blocks if block[2]]
    _print(words, table, blocks)
    say_skipped(skipped)
    if given.csv:
        write_csv(table, given.csv)
        _write_differences(given.csv, numbers(losses, columns))
    if given.markdown:
        write_text(given.markdown, _markdown(words, table, blocks))
    pictures: tuple[list[Sheet], list[str]] = ([], [])
    if given.html or given.tensorboard:
        from diabolo.report.sheets import sheets

        pictures = sheets(runs, given.trust)  # the one thing that needs torch and the models
    if given.html:
        from diabolo.report.page import write_page

        write_page(runs, skipped, Path(given.html), words, blocks, *pictures)
    if given.plots:
        from diabolo.report.plots import write_plots

        write_plots(runs, Path(given.plots))
    if given.tensorboard:
        from diabolo.report.board import write_board

        write_board(runs, Path(given.tensorboard), pictures[0])


def _write_differences(table: str, differences: tuple[list[str], list[list[str]]]) -> None:
    """Writes the differences of losses beside the table: table.losses.csv beside table.csv. An earlier comparison's
    file does not stay beside a table that it says nothing of."""
    file = Path(table)
    if not file.is_file():  # but a pipe or a terminal
        return
    beside = file.with_name(f"{file.name.removesuffix('.csv')}.losses.csv")
    heads, lines = differences
    if lines or beside.exists():
        write_rows([heads, *lines], beside)


def _print(words: Sequence[str], table: Table, blocks: Sequence[Block]) -> None:
    """Prints words and tables; of long tables the first rows."""
    out = console()
    for sentence in words:
        out.print(f"- {visible(sentence)}", markup=False, soft_wrap=True)
    out.print()
    out.print(for_terminal(table))
    for title, heads, lines in blocks:
        out.print(f"\n{title}", style="bold")
        out.print(text_table(heads, lines[:MOST_LINES]))
        if len(lines) > MOST_LINES:
            out.print(
                f"... and {len(lines) - MOST_LINES} more rows: choose with --where, or see all in --markdown FILE"
            )


def _markdown(words: Sequence[str], table: Table, blocks: Sequence[Block]) -> str:
    parts = [
        "".join(f"- {markdown(sentence)}\n" for sentence in words),
        to_markdown(table.titles(), map(table.cells, table.rows)),
        *(f"**{title}**\n\n{to_markdown(heads, lines)}" for title, heads, lines in blocks),
    ]
    return "\n".join(parts)


def add_selection(parser: argparse.ArgumentParser, folders: str = "*") -> None:
    """The arguments of all commands that choose among runs."""
    which = "folders of runs" + (f" (default: {' and '.join(DEFAULT_FOLDERS)})" if folders == "*" else "")
    parser.add_argument("folders", nargs=folders, metavar="FOLDER", help=which)
    parser.add_argument(
        "--where",
        action="append",
        default=[],
        metavar="CONDITION",
        help='only runs that fit, such as "bottleneck.size>=25" or loss=mse,mae; may be given several times',
    )


def selected(folders: Sequence[str], conditions: Sequence[str]) -> tuple[list[Run], list[Skipped]]:
    """The runs below the folders that fit all conditions, and what was skipped.

    Raises:
        UserError: a folder that does not exist, no run in any, or a condition that cannot be read or fits no run.
    """
    folders = folders or [name for name in DEFAULT_FOLDERS if Path(name).is_dir()]
    if not folders:
        raise UserError(f"there is neither {' nor '.join(DEFAULT_FOLDERS)} here: name a folder of runs.")
    runs, skipped = collect(folders)
    if not runs:
        say_skipped(skipped)
        raise UserError(f"there is no run below {' or '.join(map(str, folders))}.")
    chosen = where(runs, conditions)
    if not chosen:
        raise UserError(f"none of the {len(runs)} runs fits --where {' --where '.join(map(repr, conditions))}.")
    return chosen, skipped


def say_skipped(skipped: Sequence[Skipped]) -> None:
    """Names on stderr what was skipped, and why."""
    for one in skipped[:MOST_SKIPPED]:
        print(visible(f"skipped {one.path}: {one.why}"), file=sys.stderr)
    if len(skipped) > MOST_SKIPPED:
        print(f"skipped {len(skipped) - MOST_SKIPPED} more folders", file=sys.stderr)


def console() -> Console:
    """stdout: as wide as the terminal, or as the longest line where it goes to a file."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else 10_000)


def count(text: str) -> int:
    """A whole number of at least 1, for argparse."""
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number
