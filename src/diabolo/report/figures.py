"""Saves the figures of a comparison, as files and as elements of the page. There, what is drawn in `INK` takes the text
colour of the page."""

from __future__ import annotations

import io
import math
import re
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter, LogLocator, NullLocator

from diabolo.plotting import COLOURS, INK, STYLE
from diabolo.report.marks import ON_PAGE, PART, Mark

POINTS = 72  # an inch, the unit of matplotlib's SVG files
NO_METADATA = {"Date": None, "Creator": None, "Format": None, "Type": None}


@dataclass(frozen=True)
class Plot:
    """A figure with a file name, a title, a sentence on how to read it, and what of it stands for which runs."""

    name: str
    title: str
    note: str
    figure: Figure
    marks: tuple[Mark, ...] = ()

    def _repr_png_(self) -> bytes:
        """For notebooks."""
        return png(self, 100)


def png(plot: Plot, dpi: int = 150) -> bytes:
    """The plot with its title, on white."""
    return _saved(plot, True, format="png", dpi=dpi, facecolor="white")


def svg(plot: Plot) -> str:
    """The plot with its title, on white, as a whole SVG file."""
    return _saved(plot, True, format="svg", facecolor="white", metadata=NO_METADATA).decode()


def inline_svg(plot: Plot) -> str:
    """The plot as an element of an HTML page: no title, no background, the page's colours, no external address.

    The page defines `--series-0` and so on: `COLOURS` on white, `ON_BLACK` on black.
    """
    file = _saved(plot, False, format="svg", transparent=True, metadata=NO_METADATA).decode()
    element = file[file.index("<svg") :]
    element = re.sub(r'\s+xmlns(:\w+)?="[^"]*"', "", element).replace(INK, "currentColor")
    element = re.sub(r"^<svg[^>]*>", lambda tag: re.sub(r' (width|height)="[^"]*"', "", tag[0]), element)
    for place, colour in enumerate(COLOURS):
        element = element.replace(colour.lower(), f"var(--series-{place})")  # lighter on black
    element = re.sub(r'<g id="[^"]*"', "<g", re.sub(PART, ON_PAGE, element))
    element = re.sub(r'( id="|href="#|url\(#)', rf"\1{plot.name}-", element)  # several figures share a page
    return element.replace("<svg", f'<svg role="img" aria-label="{plot.title}"', 1).strip()


def frame(plot: Plot) -> dict[str, Any]:
    """Where the axes of a plot that was saved lie in the SVG file, and what they span, so that its points can be found.

    `box` is left, top, width and height; `x` and `y` have a label, the values at both ends and whether they are log.
    """
    (axes,) = plot.figure.axes
    width, height = plot.figure.get_size_inches() * POINTS
    place = axes.get_position()
    box = [place.x0 * width, (1 - place.y1) * height, place.width * width, place.height * height]
    sides = {
        name: {"label": axis.label.get_text(), "ends": list(map(float, ends)), "log": axis.get_scale() == "log"}
        for name, axis, ends in (("x", axes.xaxis, axes.get_xlim()), ("y", axes.yaxis, axes.get_ylim()))
    }
    return {"box": [round(float(side), 4) for side in box], **sides}


def _saved(plot: Plot, titled: bool, **how: Any) -> bytes:
    heading = plot.figure.suptitle(plot.title, fontsize=12)
    heading.set_visible(titled)
    heading.set_in_layout(titled)
    with rc_context(STYLE):
        plot.figure.savefig(file := io.BytesIO(), **how)
    return file.getvalue()


@contextmanager
def empty_axes() -> Iterator[tuple[Figure, Axes]]:
    """A figure with one pair of axes."""
    figure = Figure(figsize=(6.4, 4.6), layout="constrained")
    yield figure, figure.add_subplot()


def decades(axis: Any, low: float, high: float) -> None:
    """Puts ticks at round numbers of a log axis, the closer together the less it spans."""
    span = math.log10(high / low)
    subs = (1, 2, 5) if span > 1.3 else (1, 1.5, 2, 3, 5, 7) if span > 0.3 else (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8)
    axis.set_major_locator(LogLocator(subs=(1,) if span > 3 else subs, numticks=20))
    axis.set_major_formatter(FormatStrFormatter("%g"))
    axis.set_minor_locator(NullLocator())


def legend(figure: Figure, axes: Axes) -> None:
    """Puts the legend below the axes, where it hides nothing, and makes the figure as much taller."""
    handles, labels = axes.get_legend_handles_labels()
    if labels:
        longest = max(len(line) for label in labels for line in label.splitlines())
        columns = max(1, min(3, 78 // (6 + longest)))
        written = -(-sum(label.count("\n") + 1 for label in labels) // columns)
        figure.set_figheight(figure.get_figheight() + 0.18 * max(0, written - 4))
        figure.legend(handles, labels, loc="outside lower center", ncols=columns)


def wrapped(name: str, width: int = 70) -> str:
    """A name in lines of at most `width` letters, broken between words: none is cut, so that all stay different."""
    return textwrap.fill(name, width, break_long_words=False, break_on_hyphens=False)
