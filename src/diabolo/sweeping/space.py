"""A search space written in Hydra's override grammar.

loss=mse,mae  model=choice(fc,lenet)     one of these
bottleneck.size=range(2,33,2)            2, 4, ... 32
optimizer.lr=interval(1e-4,1e-2)         a number between
model.hidden=int(interval(8,64))         a whole number between, both ends included
optimizer.lr=tag(log,interval(...))      the same, on a logarithmic scale (range and int(interval()) too)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, IntervalSweep, Override, Transformer
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from diabolo.errors import UserError

Axis = CategoricalDistribution | FloatDistribution | IntDistribution


@dataclass(frozen=True)
class Space:
    """The overrides that all trials share, and the axes that are searched."""

    fixed: list[str]
    axes: dict[str, Axis]

    def point(self, values: Mapping[str, Any]) -> list[str]:
        """The overrides of one point, fractions rounded to 4 digits: a trial trains what its command line says."""
        texts = {key: f"{v:.4g}" if isinstance(v := values[key], float) else str(v) for key in self.axes}
        return [f"{key}={text}" for key, text in texts.items()]

    def corners(self) -> Iterator[list[str]]:
        """Points that together name every choice of every axis, so that each word of the space can be checked."""
        ends = {
            key: list(axis.choices) if isinstance(axis, CategoricalDistribution) else [axis.low, axis.high]
            for key, axis in self.axes.items()
        }
        for i in range(max(map(len, ends.values()))):
            yield self.point({key: values[min(i, len(values) - 1)] for key, values in ends.items()})


def parse_space(overrides: Sequence[str]) -> Space:
    """Sorts overrides into fixed ones and axes.

    Raises:
        OverrideParseException: an override that Hydra cannot read.
        UserError: no axis, an axis twice, one that cannot be drawn from, or an override of Hydra's own.
    """
    fixed: list[str] = []
    axes: dict[str, Axis] = {}
    for override in OverridesParser.create().parse_overrides(list(overrides)):
        key = override.get_key_element()
        if key.lstrip("+~").startswith("hydra"):
            raise UserError(f"{override.input_line!r}: a search runs its trials itself, without Hydra's launchers.")
        if not override.is_sweep_override():
            fixed.append(str(override.input_line))
        elif key in axes:
            raise UserError(f"{override.input_line!r}: {key} is searched twice.")
        else:
            axes[key] = _axis(override)
    if not axes:
        raise UserError(
            "nothing is searched: give at least one key several values, such as loss=mse,mae,"
            " bottleneck.size=range(2,33,2) or optimizer.lr=tag(log,interval(1e-4,1e-2))."
        )
    return Space(fixed, axes)


def _axis(override: Override) -> Axis:
    sweep: Any = override.value()
    log = "log" in getattr(sweep, "tags", ())
    try:
        if isinstance(sweep, Glob):
            raise ValueError("a search takes names, not a glob")
        if isinstance(sweep, IntervalSweep):
            low: Any = sweep.start  # for Hydra it may be None, for its grammar not
            high: Any = sweep.end
            kind = IntDistribution if isinstance(low, int) else FloatDistribution
            return kind(low, high, log=log)
        if override.is_range_sweep():
            values: list[Any] = sorted(override.sweep_iterator())
            if all(isinstance(value, int) for value in values):
                return IntDistribution(values[0], values[-1], log=log, step=abs(sweep.step))
            return FloatDistribution(values[0], values[-1], log=log, step=abs(sweep.step))
        return CategoricalDistribution([str(x) for x in override.sweep_iterator(transformer=Transformer.encode)])
    except (ValueError, IndexError) as failure:
        said = "the range is empty" if isinstance(failure, IndexError) else str(failure).rstrip(".")
        raise UserError(f"{override.input_line!r} cannot be searched: {said}.") from failure
