"""One HTML page on many runs that needs no other file and no network."""

from __future__ import annotations

import base64
import io
import json
import math
import shlex
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup
from PIL import Image

from diabolo.measures.metric_names import shown_in
from diabolo.plotting import COLOURS, ON_BLACK
from diabolo.report.collect import Run, Skipped
from diabolo.report.figures import inline_svg
from diabolo.report.lines import ERROR
from diabolo.report.names import Names
from diabolo.report.numbers import head, scale
from diabolo.report.page_data import Places
from diabolo.report.plots import plots
from diabolo.report.sheet import Row, Sheet, png
from diabolo.report.table import unwritable_file, write_text
from diabolo.runs.pages import in_script, joined, policy
from diabolo.runs.terminal import visible

MODULES = ("element", "runs", "sort", "filter", "plot", "pair", "start")
START = '\nstart(JSON.parse(document.getElementById("data").textContent));\n'
BESIDE_METRICS = ("val/mse", "compression_ratio", "parameters", "seconds", "epochs")


@dataclass(frozen=True)
class Grid:
    """A table of the page: a header and rows of text and numbers: shown short, with all digits in the data."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[Any]]
    note: str = ""
    runs: Sequence[Run] = ()  # those of the rows, where each row is one


def write_page(
    runs: list[Run],
    skipped: list[Skipped],
    file: Path,
    words: list[str],
    tables: Sequence[tuple[str, Sequence[str], Sequence[Sequence[Any]]]] = (),
    sheets: Sequence[Sheet] = (),
    missing: Sequence[str] = (),
) -> None:
    """Writes the page to `file`: words, plots, sheets of images, `tables`, the table of all runs, what failed, and how
    it was made.

    Args:
        tables: further tables, each a title, a header and rows.
        sheets, missing: what `diabolo.report.sheets.sheets` gives.

    Raises:
        UserError: the file cannot be written.
    """
    environment = Environment(
        autoescape=True, finalize=_shown, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"short": short, "whole": whole, "figures": figures, "image": image, "head": head}
    template = environment.from_string((files("diabolo.report") / "page.html").read_text("utf-8"))
    states = Counter(run.state for run in runs)
    places, drawn, table = Places(runs), plots(runs), run_table(runs)
    elements = [(plot, Markup(inline_svg(plot))) for plot in drawn]
    script = Markup(joined(files("diabolo.report") / "script", MODULES) + START)
    page = template.render(
        title=f"{len(runs)} {'run' if len(runs) == 1 else 'runs'} compared",
        states=", ".join(f"{count} {state}" for state, count in states.most_common()),
        words=words,
        colours=(COLOURS, ON_BLACK),
        plots=elements,
        places=places,
        sheets=sheets,
        missing=missing,
        grids=[*(Grid(*further) for further in tables), table],
        unfinished=[run for run in runs if run.state != "done"],
        skipped=skipped,
        command=shlex.join(["diabolo", *sys.argv[1:]]),
        made=datetime.now().astimezone().isoformat(sep=" ", timespec="minutes"),
        versions=_versions(runs),
        policy=policy(script, images=True),
        data=in_script(places.data([*settings_of(runs), "state"], drawn)),
        script=script,
    )
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as failure:
        raise unwritable_file(file, failure) from failure
    write_text(file, page)


def _shown(value: Any) -> Any:
    """Makes the letters of a text visible, before Jinja escapes it; what is HTML already stays as it is."""
    return value if isinstance(value, Markup) or not isinstance(value, str | Path) else visible(str(value))


def settings_of(runs: Sequence[Run]) -> list[str]:
    """The settings that differ, and code size and seed, where any run has them."""
    keys = dict.fromkeys([*Names(runs).columns, "bottleneck.size", "seed"])
    return [key for key in keys if any(run.get(key) is not None for run in runs)]


def run_table(runs: Sequence[Run]) -> Grid:
    """A row a run, by error: the settings that differ, the metrics that any run has, its name and its folder."""
    names, keys = Names(runs), settings_of(runs)
    measured = [*(metric.key for metric in shown_in("page")), *BESIDE_METRICS]
    keys += [key for key in measured if any(run.number(key) is not None for run in runs)]
    ordered = sorted(runs, key=lambda run: (math.inf if (error := run.number(ERROR)) is None else error, run.name))
    rows = [[*(run.get(key) for key in keys), run.state, names.run(run), run.name] for run in ordered]
    note = "Click on the head of a column to sort by it."
    return Grid("All runs", [*keys, "state", "run", "folder"], rows, note, ordered)


def short(value: Any, key: str = "") -> str:
    """A cell as it is shown in the column of `key`: four digits of a float, thousands of an int apart."""
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    value = scale(key) * value
    if isinstance(value, int) or (math.isfinite(value) and value == round(value) and abs(value) >= 1000):
        return f"{int(value):,}" if abs(value) >= 10_000 else f"{int(value)}"
    return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.4g}"


def whole(value: Any) -> str | None:
    """A number with all its digits; None for what is none."""
    return None if isinstance(value, bool) or not isinstance(value, int | float) else json.dumps(value)


def figures(values: Sequence[float]) -> str:
    """Numbers as JSON, null for one that is not finite."""
    return json.dumps([value if math.isfinite(value) else None for value in values])


def image(row: Row) -> Markup:
    """A row of a sheet as an <img> that holds its own file: exact for grey images, and compressed with a small loss for
    colour images, which would take megabytes."""
    height, width, grey = *row.picture.shape[:2], row.picture.ndim == 2
    content = png(row.picture) if grey else _webp(row.picture)
    tag = '<img class="{}" alt="{}" width="{}" height="{}" loading="lazy" src="data:image/{};base64,{}">'
    return Markup(tag).format(
        "pixels" if row.scale > 1 else "",
        row.caption,
        width * row.scale,
        height * row.scale,
        "png" if grey else "webp",
        base64.b64encode(content).decode(),
    )


def _webp(picture: np.ndarray) -> bytes:
    Image.fromarray(picture).save(file := io.BytesIO(), "WEBP", quality=85)
    return file.getvalue()


def _versions(runs: Sequence[Run]) -> list[tuple[str, str]]:
    """Of each library the versions that the runs recorded, most frequent first."""
    counts: dict[str, Counter[str]] = {}
    for run in runs:
        for name, value in run.versions.items():
            counts.setdefault(name, Counter())[str(value)] += 1
    recorded = [(name, ", ".join(value for value, _ in found.most_common())) for name, found in counts.items()]
    return [*recorded, ("page", f"diabolo {version('diabolo')}, matplotlib {version('matplotlib')}")]
