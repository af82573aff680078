"""Numbers for people: four digits, with the standard deviation and the unit."""

from __future__ import annotations

from diabolo.measures.metric_names import metric_of


def figure(value: float, deviation: float | None = None) -> str:
    """Four digits, with the standard deviation where there is one and it is not 0."""
    return f"{value:.4g}" + (f" ± {deviation:.2g}" if deviation else "")


def unit(key: str) -> str:
    """The unit in which a metric is shown, "" for none."""
    metric = metric_of(key)
    return metric.unit if metric else ""


def scale(key: str) -> int:
    """What a metric is multiplied by to be shown in its unit; 1 for what is no metric."""
    metric = metric_of(key)
    return metric.scale if metric else 1


def in_unit(key: str, value: float, deviation: float | None = None) -> str:
    """A metric's figure in its unit, without the unit's name: for a cell below `head`."""
    return figure(scale(key) * value, deviation and scale(key) * deviation)


def with_unit(key: str, value: float, deviation: float | None = None) -> str:
    """A metric's figure with its unit behind it: 32.9 ± 1.2 %."""
    return f"{in_unit(key, value, deviation)} {unit(key)}".rstrip()


def head(key: str) -> str:
    """The head of a metric's column: its key, with the unit in brackets."""
    return key + (f" ({unit(key)})" if unit(key) else "")
