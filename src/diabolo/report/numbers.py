"""Numbers for people: four digits, with the standard deviation and the unit."""

from __future__ import annotations


def figure(value: float, deviation: float | None = None) -> str:
    """Four digits, with the standard deviation where there is one and it is not 0."""
    return f"{value:.4g}" + (f" ± {deviation:.2g}" if deviation else "")


def unit(key: str) -> str:
    """The unit in which a metric is shown: % for an accuracy, dB for a PSNR, "" for none."""
    name = key.rpartition("/")[2]
    return "%" if name.endswith("accuracy") else "dB" if name.endswith("psnr") else ""


def in_unit(key: str, value: float, deviation: float | None = None) -> str:
    """A metric's figure in its unit, which is not said: for a cell below `head`."""
    scale = 100 if unit(key) == "%" else 1
    return figure(scale * value, deviation and scale * deviation)


def with_unit(key: str, value: float, deviation: float | None = None) -> str:
    """A metric's figure with its unit behind it: 32.9 ± 1.2 %."""
    return f"{in_unit(key, value, deviation)} {unit(key)}".rstrip()


def head(key: str, title: str | None = None) -> str:
    """The head of a metric's column: its key or `title`, with the unit in brackets."""
    return (title or key) + (f" ({unit(key)})" if unit(key) else "")
