"""Figures that others published of a setting, beside those of a run: what a config has below `published`."""

from __future__ import annotations

from collections.abc import Mapping
from math import floor, log10
from typing import Any

DIGITS = 4  # that count


def beside_published(published: Mapping[str, Any] | None, metrics: Mapping[str, Any]) -> list[list[str]]:
    """The published figures of codes of the run's size, each as what it measures, the run's and the published one, both
    in the published scale.

    Args:
        published: its `figures` are mappings: `what` is measured, the run's `metric` that measures the same, the number
            of `times` to take it, and the published `values`, pairs of a code's size and a figure.
        metrics: the run's, with its `code_size`.
    """
    lines = []
    for figure in (published or {}).get("figures") or ():
        there = dict(figure["values"]).get(metrics.get("code_size"))
        here = metrics.get(figure["metric"])
        if there is not None and here is not None:
            lines.append([figure["what"], *(_shown(value, there) for value in (here * figure["times"], there))])
    return lines


def _shown(value: float, like: float) -> str:
    """`value` with as many decimals as give `like` its digits."""
    return f"{value:.{max(0, DIGITS - 1 - (floor(log10(abs(like))) if like else 0))}f}"
