"""What the page's script knows of the runs and plots: data, and nothing that is obeyed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from diabolo.report.collect import Run, is_figure
from diabolo.report.figures import Plot, frame
from diabolo.report.lines import lines
from diabolo.report.looks import OTHER, looks
from diabolo.report.marks import described
from diabolo.report.names import Names
from diabolo.runs.identity import plain


class Places:
    """The place of each run in the page, by which its row, picture and points are known, and its colour."""

    def __init__(self, runs: Sequence[Run]) -> None:
        self._runs = runs
        self._places = {id(run): place for place, run in enumerate(runs)}
        colours = {id(run): look.on_page for line, look in looks(lines(runs)).items() for run in line.runs}
        self._colours = [colours.get(id(run), OTHER) for run in runs]

    def of(self, run: Run | None) -> int | None:
        return self._places.get(id(run))

    def colour(self, run: Run) -> str:
        """As CSS, that of its line in the plots."""
        return self._colours[self._places[id(run)]]

    def data(self, keys: Sequence[str], plots: Sequence[Plot]) -> dict[str, Any]:
        """The runs by their places, with their values of those `keys` in which they differ, and the plots, which have
        been saved."""
        values = {key: [_value(run, key) for run in self._runs] for key in keys}
        values = {key: found for key, found in values.items() if len(set(found)) > 1}
        names = Names(self._runs)
        return {
            "keys": list(values),
            "runs": [
                {"name": names.run(run), "colour": colour, "values": [found[place] for found in values.values()]}
                for place, (run, colour) in enumerate(zip(self._runs, self._colours, strict=True))
            ],
            "plots": [self._plot(plot) for plot in plots],
        }

    def _plot(self, plot: Plot) -> Mapping[str, Any]:
        return {**frame(plot), "marks": [described(mark, self._places) for mark in plot.marks]}


def _value(run: Run, key: str) -> str | int | float:
    """A value to filter by: a number, or else a text; "" where the run has none."""
    value = run.get(key)
    if value is None:
        return ""
    return value if is_figure(value) else plain(value)
