"""What of a plot stands for which runs: the page points at it, lights it up and filters it by these marks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from diabolo.report.lines import Value

Part = Literal["mean", "band", "dots", "curve", "row", "verdict"]


@dataclass(frozen=True)
class Mark:
    """A line, curve or row of a plot.

    Args:
        kind: a "line" joins the means of its points; a "curve" and a "row" are a run's own; a "baseline" is no run's.
        name: whose it is.
        colour: as CSS.
        points: of each point the values behind it, one a run.
        said: of each point a sentence, where its x and y are no numbers to tell.
    """

    kind: Literal["line", "curve", "row", "baseline"]
    name: str
    colour: str
    points: Sequence[Sequence[Value]]
    said: Sequence[str] = ()


def part_id(part: Part, place: int, more: int = 0) -> str:
    """The name of an artist in the SVG file: a part of the mark at this place of the plot's marks."""
    return f"mark-{part}-{place}-{more}"


PART = r'<g id="mark-([a-z]+)-([0-9]+)-[0-9]+"'  # the group that holds the artist
ON_PAGE = r'<g data-part="\1" data-mark="\2"'


def described(mark: Mark, places: dict[int, int]) -> dict[str, Any]:
    """A mark for the page's script, each of its values as [place of the run, x, y].

    Args:
        places: the place of each run in the page, by its `id`; -1 stands for none.
    """
    few = mark.kind == "curve"  # whose many values are told by six digits
    runs = {} if mark.kind == "baseline" else places
    points = [[[runs.get(id(v.run), -1), *_digits(few, v.x, v.y)] for v in point] for point in mark.points]
    return {"kind": mark.kind, "name": mark.name, "colour": mark.colour, "points": points, "said": list(mark.said)}


def _digits(few: bool, *numbers: float) -> list[float]:
    digits = [float(f"{number:.6g}") if few else number for number in numbers]
    return [int(number) if number == int(number) else number for number in digits]
