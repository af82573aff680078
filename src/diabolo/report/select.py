"""Choosing runs by their settings and metrics: `--where bottleneck.size>=25 --sort test/mse --top 3`."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import yaml

from diabolo.errors import UserError, did_you_mean
from diabolo.measures.metric_names import direction
from diabolo.report.collect import Run
from diabolo.report.fold import Folded
from diabolo.report.names import order_key
from diabolo.runs.identity import plain

ORDERS: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
CONDITION = re.compile(r"\s*([^=<>!\s]+)\s*(<=|>=|!=|==|=|<|>)(.*)", re.DOTALL)
Row = TypeVar("Row", Run, Folded)


@dataclass(frozen=True)
class Condition:
    """One `KEY OPERATOR VALUE`; with = and !=, there may be several values: `loss=mse,mae`."""

    key: str
    sign: str
    values: tuple[Any, ...]

    def holds(self, run: Run) -> bool:
        """Whether it is true of the run. A key that the run lacks equals null and nothing else, and is neither less nor
        greater than any number."""
        value = run.get(self.key)
        if self.sign in ORDERS:
            if value is None:
                return False
            if not _number(value):
                raise UserError(f"`{self.key}` (= {plain(value)} in {run.name}) is no number: compare it by = or !=.")
            return ORDERS[self.sign](value, self.values[0])
        return any(plain(value) == plain(wanted) for wanted in self.values) == (self.sign == "=")


def condition(text: str) -> Condition:
    """Reads a condition such as "bottleneck.size>=25".

    Raises:
        UserError: it has no operator or no value, or orders something by what is no number.
    """
    match = CONDITION.fullmatch(text)
    if not match or not match[3].strip():
        raise UserError(f"`--where` (= {text!r}) must be KEY=VALUE, with =, !=, <, <=, > or >=, in quotes.")
    key, sign, written = match[1], match[2].replace("==", "="), match[3].strip()
    several = sign not in ORDERS and not written.startswith("[")
    values = tuple(_value(part) for part in (written.split(",") if several else [written]))
    if sign in ORDERS and not _number(values[0]):
        raise UserError(f"`--where` (= {text!r}) must have a number behind {sign}.")
    return Condition(key, sign, values)


def where(runs: Sequence[Run], conditions: Iterable[str]) -> list[Run]:
    """The runs that fit all conditions.

    Raises:
        UserError: a condition that cannot be read, or a key that none of the runs has.
    """
    read = [condition(text) for text in conditions]
    for one in read:
        check_key("--where", one.key, runs)
    return [run for run in runs if all(one.holds(run) for one in read)]


def ranked(rows: Sequence[Row], key: str, runs: Sequence[Run]) -> list[Row]:
    """Rows sorted by a key: from the highest where it is a metric that grows as a model gets better, else from the
    lowest. Rows without the key come last, and equal ones stay in order.

    Raises:
        UserError: none of the runs has the key.
    """
    check_key("--sort", key, runs)
    falling = -1 if direction(key) == "max" else 1

    def place(row: Row) -> tuple[int, float, str]:
        value = row.mean(key) if isinstance(row, Folded) else None
        kind, number, word = order_key(row.get(key) if value is None else value)
        return kind, falling * number, word

    return sorted(rows, key=place)


def check_key(argument: str, key: str, runs: Sequence[Run]) -> None:
    """Raises a `UserError` where none of the runs has the key."""
    known = set().union(*(run.keys() for run in runs)) if runs else {key}
    if key not in known:
        raise UserError(
            f"`{argument}` names {key!r}, which no run has{did_you_mean(key, sorted(known))}; `diabolo runs show RUN`"
            " lists metrics, and config.yaml in its folder the config."
        )


def _value(written: str) -> Any:
    """Text as the value that it would be in a config; 1e-3, which YAML takes for a word, as a number."""
    try:
        value = yaml.safe_load(written)
    except yaml.YAMLError:
        return written
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
