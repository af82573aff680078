"""What a run says on the terminal and in its log, apart from the progress bar."""

from __future__ import annotations

import logging
import os
import shlex
import sys
import threading
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from diabolo.measures.metric_names import Metric, shown_in
from diabolo.runs.published import beside_published

console = Console(
    highlight=False,
    width=None if sys.stdout.isatty() else 120,
    quiet=bool(os.environ.get("DIABOLO_QUIET")),  # one of several runs at a time, which would talk at once
)

log = logging.getLogger("diabolo")


@contextmanager
def logging_to(path: Path, terminal: bool = True) -> Iterator[None]:
    """Everything logged goes to the file at `path`, warnings of Python and Lightning included; diabolo's own messages
    go to the terminal too, unless `terminal` is false. Where the file cannot be written, as in a folder that one may
    only read or on a full disk, there is no log: what a run needs to write says so itself."""
    from diabolo.training.lightning_internals import propagate_logs

    propagate_logs()
    root = logging.getLogger()
    to_file = LogFile(path)
    to_file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    to_terminal = TerminalHandler()
    to_terminal.addFilter(lambda record: record.name.startswith("diabolo") and not hasattr(record, "file_only"))
    before = root.handlers[:], root.level
    root.handlers[:] = [to_file, to_terminal] if terminal else [to_file]
    root.setLevel(logging.INFO)
    logging.captureWarnings(True)
    threading.excepthook, hook = _log_thread, threading.excepthook  # TensorBoard's writer, on a full disk
    try:
        yield
    finally:
        threading.excepthook = hook
        logging.captureWarnings(False)
        root.handlers[:], root.level = before
        to_file.close()


class LogFile(logging.FileHandler):
    """The log of a run, in UTF-8; it ends without a word where it cannot be written."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, encoding="utf-8", errors="backslashreplace", delay=True)
        self.ended = False

    def emit(self, record: logging.LogRecord) -> None:
        if not self.ended:
            try:
                super().emit(record)
            except OSError:  # the file cannot be opened
                self.ended = True

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802, the name is logging's
        if isinstance(sys.exc_info()[1], OSError):
            self.ended = True
        else:
            super().handleError(record)

    def close(self) -> None:
        with suppress(OSError):  # what is left in the buffer is written now, and a full disk is still full
            super().close()


class TerminalHandler(logging.Handler):
    """Prints the message alone, without what a terminal would obey. It breaks no line: a command within is copied."""

    def emit(self, record: logging.LogRecord) -> None:
        console.print(Text(visible(self.format(record))), soft_wrap=True)


def visible(text: str) -> str:
    r"""`text` without what a terminal or a page would obey instead of showing it: control sequences, marks that turn
    the direction of writing, and bytes of a file name that are no UTF-8 become \x1b, \u202e, \xff. Line feeds stay."""
    return text if text.isascii() and text.isprintable() else "".join(map(_visible, text))


def _visible(letter: str) -> str:
    if letter == "\n" or unicodedata.category(letter) not in OBEYED:
        return letter
    code = ord(letter)
    if 0xDC80 <= code <= 0xDCFF:  # how Python keeps a byte of a file name that is no UTF-8
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


OBEYED = ("Cc", "Cf", "Cs", "Zl", "Zp")  # Unicode's categories of controls, formats, surrogates and separators


def _log_thread(failed: threading.ExceptHookArgs) -> None:
    error = (failed.exc_type, failed.exc_value or failed.exc_type(), failed.exc_traceback)
    log.error("a thread failed", exc_info=error, extra={"file_only": True})


def text_table(
    heads: Sequence[str], lines: Iterable[Sequence[str | Text]], right: Collection[str] = (), header: bool = True
) -> Table:
    """A table without frame, for `console.print`. Heads and cells are shown as they are: "[relu]" is no markup, and
    what a terminal would obey is made visible.

    Args:
        heads: a head a column; several may be "".
        lines: rows of as many cells.
        right: heads of the columns of numbers, which stand at the right.
        header: whether the heads are shown.
    """
    table = Table(box=None, pad_edge=False, header_style="bold", show_header=header)
    for head in heads:
        table.add_column(Text(visible(head)), justify="right" if head in right else "left", overflow="fold")
    for line in lines:
        table.add_row(*(cell if isinstance(cell, Text) else Text(visible(cell)) for cell in line))
    return table


COLUMNS = (("val", "val/"), ("test", "test/"), ("test, PCA of the same size", "test/pca_"))
BESIDE = ("here", "published")


def closing_table(metrics: Mapping[str, Any]) -> Table:
    """The yardstick of a finished run beside PCA of the same code size, or the accuracy of a classifier."""
    rows = [metric for metric in shown_in("closing") if metric.key in metrics]
    columns = [(title, prefix) for title, prefix in COLUMNS if any(f"{prefix}{row.name}" in metrics for row in rows)]
    titles = [title for title, _ in columns]
    lines = [[row.head, *(_cell(row, metrics.get(prefix + row.name)) for _, prefix in columns)] for row in rows]
    if "test/mse" in metrics and (values := _values_of_an_image(metrics)):
        errors = [metrics.get(f"{prefix}mse") for _, prefix in columns]
        lines.append(
            [f"sum of {values:,} squared errors", *("" if mse is None else f"{values * mse:.4g}" for mse in errors)]
        )
    return text_table(["per pixel in [0, 1]" if "test/mse" in metrics else "", *titles], lines, right=titles)


def closing_tables(metrics: Mapping[str, Any], published: Mapping[str, Any] | None = None) -> list[Table]:
    """The closing table and, where the config has figures that were published of this setting, those beside ours."""
    lines = beside_published(published, metrics)
    source = str(published.get("source", "")) if published else ""
    beside = text_table([source, *BESIDE], lines, right=BESIDE)
    return [closing_table(metrics), *([beside] if lines else [])]


def _values_of_an_image(metrics: Mapping[str, Any]) -> int:
    """How many pixel values an image has; 0 where the metrics do not tell."""
    return round(metrics.get("code_size", 0) * metrics.get("compression_ratio", 0))


def _cell(metric: Metric, value: float | None) -> str:
    return "" if value is None else f"{metric.scale * value:.{metric.digits}f}"


def short(path: Path) -> str:
    """`path` as one would type it here: relative where it lies below the current folder."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def say(line: str) -> None:
    """Prints a line as it is, on one line however long it is."""
    console.print(visible(line), soft_wrap=True, markup=False)


def say_closing(metrics: Mapping[str, Any], run: Path, published: Mapping[str, Any] | None = None) -> None:
    """Prints the closing tables and where to look next."""
    folder = visible(short(run))
    for table in closing_tables(metrics, published):
        console.print(table)
    console.print(
        f"{metrics['parameters']:,} parameters, {metrics['epochs']} epoch{'s' * (metrics['epochs'] != 1)} in"
        f" {metrics['seconds']:.1f} s ({metrics['train/images_per_second']:,.0f} images/s)"
    )
    for broken, sentence in (
        ("output/constant", "the output is the same for every image"),
        ("code/dead_units", f"{metrics.get('code/dead_units', 0):.0f} code units are dead"),
    ):
        if metrics.get(broken):
            console.print(f"[bold yellow]Warning:[/] {sentence}.")
    console.print(f"run folder: {folder}", soft_wrap=True, markup=False)
    console.print(f"tensorboard --logdir {shlex.quote(folder)}", style="bold", soft_wrap=True, markup=False)
