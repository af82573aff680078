"""Losses compared on every metric: rows trained with, columns measured by, and paired differences."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, combinations
from statistics import median_low

from diabolo.measures.metric_names import known, shown_in
from diabolo.report.collect import Run
from diabolo.report.evidence import SAME, Difference, Figures, Pair, common, to_decide
from diabolo.report.fold import Folded, fold, grouped
from diabolo.report.names import Names
from diabolo.report.numbers import in_unit
from diabolo.report.settings import Words

MATRIX = (
    "Losses on every metric (* better than all others of its setting beyond chance, (*) the same by two seeds: weak)"
)
PAIRS = (
    "Losses pair by pair (95 % intervals over seeds and images, with one seed over the images of these two networks;"
    " corrected for all pairs of the table)"
)
MOST_SAID = 12  # sentences
FIGURES = ("first - second", "low", "high", "p", "p corrected")
NUMBERS = ("first", "second", "metric", *FIGURES, "seeds", "images", "better")  # of the CSV file


@dataclass
class Comparison:
    """Runs that differ only in loss and seed: `rows` by the name of the loss, each folded over its seeds, and the
    `differences` of each pair of losses; `apart` are pairs that cannot be compared."""

    setting: Words
    rows: dict[str, Folded]
    differences: list[Difference]
    apart: list[Pair]


def compare_losses(runs: Sequence[Run], figures: Figures | None = None) -> list[Comparison]:
    """A comparison for each setting in which at least two losses were trained, in the order of the settings."""
    names, figures = Names(runs), figures or Figures()
    done = sorted((run for run in runs if run.state == "done"), key=names.place)
    found, groups = [], []
    for alike in grouped(done, lambda run: frozenset(_without_loss(run).items())):
        rows = dict(sorted((names.loss(row), row) for row in fold(alike)))
        pairs = list(combinations(rows, 2))
        if pairs:
            differences = [figures.differences(rows[one], rows[other], (one, other)) for one, other in pairs]
            apart = [pair for pair, found_ones in zip(pairs, differences, strict=True) if not found_ones]
            found.append(Comparison(_without_loss(alike[0]), rows, list(chain.from_iterable(differences)), apart))
            groups += differences
    figures.decide(groups)
    return sorted(found, key=lambda one: names.place(next(iter(one.rows.values()))))


def summary(comparisons: Sequence[Comparison]) -> list[str]:
    """One sentence a pair of losses and metric, over all settings; of many, only those with a verdict."""
    alike = grouped(
        (one for comparison in comparisons for one in comparison.differences),
        lambda one: (one.first, one.second, one.metric),
    )
    found = alike if len(alike) <= MOST_SAID else [group for group in alike if any(one.better for one in group)]
    said = [_over_settings(group) if len(group) > 1 else _verdict(group[0]) for group in found[:MOST_SAID]]
    if len(said) < len(alike):
        noise = f"{len(alike) - len(found)} without a verdict" if len(found) < len(alike) else ""
        more = f"{len(found) - len(said)} with one" if len(said) < len(found) else ""
        left = " and ".join(filter(None, (noise, more)))
        single = [one for group in alike for one in group if one.mean.seeds == 1]
        seeds = f" One seed gives no verdict: if seeds differ as usual, {_half(single)}." if single else ""
        said.append(f"Of {len(alike)} pairs of losses and metrics, {left} are in the table only.{seeds}")
    apart = {pair: comparison for comparison in reversed(comparisons) for pair in comparison.apart}
    return said + [
        f"{first} and {second} are not compared: {_why(one, first, second)}." for (first, second), one in apart.items()
    ]


def _why(one: Comparison, first: str, second: str) -> str:
    """Why two losses cannot be compared."""
    if not common(one.rows[first], one.rows[second]):
        return "they have no seed in common; train both with the same seeds"
    return "they were measured on other images, or lack a figure in common"


def _verdict(one: Difference) -> str:
    """A difference in one setting."""
    by, pair = f"Measured by {_title(one.metric)}", f"{one.first} and {one.second}"
    better, ahead = one.better, one.ahead
    if one.mean.seeds == 1:
        ahead = f"{ahead} is ahead" if ahead else "neither is ahead"
        shares = f", {_share(one, one.ahead)}" if one.share is not None and one.ahead else ""
        return (
            f"{by}, one seed gives no verdict on {pair}: on these two networks {ahead} ({one.figures()}{shares})."
            f" If seeds differ as usual, {to_decide(one)}."
        )
    if better is None:
        if one.equal:
            return f"{by}, {pair} are equal."
        if one.frozen:
            return f"{by}, {pair} differ by the same in each seed, which is chance ({one.figures()}): train more seeds."
        few = f"{one.mean.images} images are too few for a verdict"
        needed = f"if the difference is as it looks, {to_decide(one)}"
        return f"{by}, {pair} are within the noise ({one.figures()}): {few if one.few_images else needed}."
    other = one.second if better == one.first else one.first
    shares = f", {_share(one, better)}" if one.share is not None else ""
    seeds = f", in {one.agreeing} of {one.mean.seeds} seeds"
    weak = " Two seeds are weak evidence: train a third." if one.weak else ""
    return f"{by}, {better} is better than {other} ({one.figures()}{shares}{seeds}).{weak}"


def _over_settings(differences: Sequence[Difference]) -> str:
    """A pair of losses in several settings."""
    first, second = differences[0].first, differences[0].second
    by, number = f"Measured by {_title(differences[0].metric)}", len(differences)
    means = [one.mean.mean for one in differences]
    reach = f"mean {first} - {second}: {differences[0].shown(min(means))} to {differences[0].shown(max(means))}"
    if all(one.mean.seeds == 1 for one in differences):
        ahead = {name: sum(one.ahead == name for one in differences) for name in (first, second)}
        return (
            f"{by}, one seed gives no verdict on {first} and {second}: on these networks {first} is ahead in"
            f" {ahead[first]} and {second} in {ahead[second]} of {number} settings ({reach}). If seeds differ as usual,"
            f" {_half(differences)}."
        )
    wins = {name: sum(one.better == name for one in differences) for name in (first, second)}
    single = sum(one.mean.seeds == 1 for one in differences)
    weak = sum(one.weak and one.better is not None for one in differences)
    open_ones = number - sum(wins.values()) - single
    left = [f"{open_ones} equal or within the noise"] * bool(open_ones) + [f"{single} with one seed"] * bool(single)
    return (
        f"{by}, {first} is better in {wins[first]} and {second} in {wins[second]} of {number} settings"
        + (f", {' and '.join(left)}" if left else "")
        + f" ({reach}; by corrected 95 % intervals over seeds and images)."
        + (f" {weak} of these verdicts are weak, with two seeds." if weak else "")
    )


def _half(differences: Sequence[Difference]) -> str:
    """The seeds that would decide every second of them."""
    needed = median_low(one.seeds_needed or math.inf for one in differences)
    seeds = f"{math.ceil(needed)} seeds would" if needed < math.inf else "even 100 seeds would not"
    return f"{seeds} decide half of them, probably"


def matrix(comparisons: Sequence[Comparison], columns: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    """Heads and rows of "trained with" against "measured by"; a star marks what is better than all the others of its
    setting beyond chance. `columns` are the settings' keys to show."""
    shown = [key for key in columns if any(key in one.setting for one in comparisons)]
    rows = [row for one in comparisons for row in one.rows.values()]
    metrics = [metric for metric in shown_in("losses") if any(row.values(metric.key) for row in rows)]
    heads = [*shown, "trained with", *(metric.head for metric in metrics)]
    lines = []
    for one in comparisons:
        for name, row in one.rows.items():
            cells = [_cell(row, metric.key, _star(one, name, metric.name)) for metric in metrics]
            lines.append([*(one.setting.get(key, "") for key in shown), name, *cells])
    return heads, lines


def pairs(comparisons: Sequence[Comparison], columns: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    """Heads and rows of the paired differences."""
    shown = [key for key in columns if any(key in one.setting for one in comparisons)]
    heads = [*shown, "losses", "measured by", "mean difference", "95 % interval", "seeds", "better", "to decide"]
    lines = [
        [
            *(one.setting.get(key, "") for key in shown),
            f"{difference.first} - {difference.second}",
            _title(difference.metric),
            difference.shown(difference.mean.mean),
            _interval(difference),
            str(difference.mean.seeds),
            _better(difference),
            _to_decide(difference),
        ]
        for one in comparisons
        for difference in one.differences
    ]
    return heads, lines


def numbers(comparisons: Sequence[Comparison], columns: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    """The paired differences in full precision: heads and rows of a CSV file."""
    shown = [key for key in columns if any(key in one.setting for one in comparisons)]
    heads = [*shown, *NUMBERS]
    lines = []
    for one in comparisons:
        for found in one.differences:
            low, high = found.interval if found.mean.known else (math.nan, math.nan)
            p = found.mean.p if found.decides else math.nan
            figures = (found.mean.mean, low, high, p, p if math.isnan(p) else min(1.0, p * found.correction))
            cells = ["" if math.isnan(value) else repr(float(value)) for value in figures]
            settings = [one.setting.get(key, "") for key in shown]
            counts = [str(found.mean.seeds), str(found.mean.images)]
            lines.append([*settings, found.first, found.second, found.metric, *cells, *counts, _better(found)])
    return heads, lines


def _without_loss(run: Run) -> Words:
    return {key: value for key, value in run.settings.items() if key.partition(".")[0] != "loss"}


def _title(metric: str) -> str:
    return next((one.title for one in known() if one.name == metric), metric)


def _share(one: Difference, name: str | None) -> str:
    part = (one.share or 0.0) if name == one.first else 1 - (one.share or 0.0)
    return f"better on {100 * part:.0f} % of the images"


def _interval(one: Difference) -> str:
    if not one.mean.known:
        return ""
    low, high = one.interval
    return f"{one.shown(low)} to {one.shown(high)}"


def _better(one: Difference) -> str:
    if one.mean.seeds == 1:
        return "one seed: no verdict"
    if one.equal:
        return "equal"
    return (one.better or "within the noise") + (" (weak)" if one.better and one.weak else "")


def _to_decide(one: Difference) -> str:
    if one.better or one.equal:
        return ""
    if one.few_images:
        return "more images"
    if one.frozen:
        return "more seeds"
    return f"{one.seeds_needed} seeds" if one.seeds_needed else "over 100 seeds"


def _star(one: Comparison, name: str, metric: str) -> str:
    """The mark of a loss that is better than every other of its setting, beyond chance."""
    measured = [each for each in one.differences if each.metric == SAME.get(metric, metric)]
    mine = [each for each in measured if name in (each.first, each.second)]
    if len(mine) < len(one.rows) - 1 or any(each.better != name for each in mine):
        return ""
    return " (*)" if any(each.weak for each in mine) else " *"


def _cell(row: Folded, key: str, star: str) -> str:
    mean = row.mean(key)
    return "" if mean is None else in_unit(key, mean, row.deviation(key)) + star
