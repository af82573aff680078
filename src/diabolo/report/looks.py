"""How the lines of the plots are drawn; a run has the colour of its line wherever the page shows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from diabolo.plotting import COLOURS
from diabolo.report.figures import wrapped
from diabolo.report.lines import Line

MARKERS = "osD^vPX*"
OTHER = "#8a8a8a"
MOST_NAMED = len(COLOURS)  # lines with a colour and a name of their own; beyond, the worse ones are grey


@dataclass(frozen=True)
class Look:
    """How a line is drawn."""

    colour: str
    marker: str
    label: str
    front: bool

    @property
    def on_page(self) -> str:
        """The colour as CSS, lighter on black."""
        return f"var(--series-{COLOURS.index(self.colour)})" if self.front else OTHER


Looks = dict[Line, Look]


def looks(found: Sequence[Line]) -> Looks:
    """Colours for the lines; where there are too many, for the best."""
    named = sorted(sorted(found, key=lambda line: line.best)[:MOST_NAMED], key=found.index)
    others = f"{len(found) - len(named)} others"
    return {
        line: Look(COLOURS[named.index(line)], MARKERS[named.index(line)], wrapped(line.name), True)
        if line in named
        else Look(OTHER, ".", others, False)
        for line in found
    }
