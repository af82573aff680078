"""What the checks of config values are made of: each takes a key and its value and raises a `ConfigError` that says the
rule. Without torch, so that a slip of the finger is told at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import PurePath
from typing import Any

from diabolo.errors import (
    ConfigError,
    check_choice,
    check_int,
    check_interval,
    check_ints,
    check_not_negative,
    check_number,
    check_positive,
    figure,
)

Check = Callable[[str, Any], Any]
SMALLEST = 1e-37  # nearly float32's: what is smaller becomes 0
LARGEST_SEED = 2**32 - 1  # NumPy's
PRECISIONS = ("auto", "32", "bf16-mixed", "16-mixed")
COMPILE_MODES = ("default", "reduce-overhead", "max-autotune")

# ---- what checks are made of ----


def integer(low: int = 1, high: int = 1_000_000) -> Check:
    return partial(check_int, minimum=low, maximum=high)


def integers(low: int = 1, high: int = 1_000_000, empty: bool = False) -> Check:
    return partial(check_ints, minimum=low, maximum=high, empty=empty)


def number(low: float, high: float) -> Check:
    return partial(check_number, minimum=low, maximum=high)


def interval(low: float, high: float) -> Check:
    return partial(check_interval, minimum=low, maximum=high)


def positive(high: float, low: float = SMALLEST) -> Check:
    """Above 0; a number that is nearly 0 counts as none."""

    def check(key: str, value: Any) -> None:
        check_positive(key, value)
        if value < low:
            raise ConfigError(key, value, f"must be at least {low:g}")
        _at_most(key, value, high)

    return check


def not_negative(high: float) -> Check:
    def check(key: str, value: Any) -> None:
        check_not_negative(key, value)
        _at_most(key, value, high)

    return check


def one_of(*options: str) -> Check:
    return partial(check_choice, options=options)


def optional(check: Check) -> Check:
    """`check`, or null."""
    return lambda key, value: None if value is None else check(key, value)


def either(is_first: Callable[[Any], bool], first: Check, second: Check) -> Check:
    """`first` for values that are of its sort, `second` for others."""
    return lambda key, value: (first if is_first(value) else second)(key, value)


def text(key: str, value: Any) -> None:
    if not isinstance(value, str):
        raise ConfigError(key, value, "must be a text")


def folder(key: str, value: Any) -> None:
    if not isinstance(value, str) or "\0" in value:
        raise ConfigError(key, value, "must be the path of a folder")


def subfolder(key: str, value: Any) -> None:
    """A place within the run's folder, which itself is ""."""
    folder(key, value)
    if PurePath(value).is_absolute() or ".." in PurePath(value).parts:
        raise ConfigError(key, value, "must be a folder below the run's")


def mapping(key: str, value: Any) -> None:
    if not isinstance(value, Mapping):
        raise ConfigError(key, value, "must hold keys of its own, not one value")


def plain(key: str, value: Any) -> None:
    if value is not None and not isinstance(value, str | int | float):
        raise ConfigError(key, value, "must be a number, a text, true, false or null")


def _at_most(key: str, value: float, high: float) -> None:
    if value > high:
        raise ConfigError(key, value, f"must be at most {figure(high)}")


def is_list(value: Any) -> bool:
    return isinstance(value, list)


# ---- checks of single keys ----


def labels(key: str, value: Any) -> None:
    if not isinstance(value, list) or not value:
        raise ConfigError(key, value, "must be a list of labels, such as [3] or [0,1], or null")
    check_ints(key, value, minimum=0, maximum=1_000_000)


def pairs(key: str, value: Any) -> None:
    if not isinstance(value, list):
        raise ConfigError(key, value, "must be a list of pairs, such as [[0,1],[2,3]]")
    for pair in value:
        if not isinstance(pair, list) or len(pair) != 2:
            raise ConfigError(key, value, f"must be a list of pairs, such as [[0,1],[2,3]]; {pair} is no pair")
        check_ints(key, pair, minimum=0, maximum=10**9)


def betas(key: str, value: Any) -> None:
    if not isinstance(value, list) or len(value) != 2:
        raise ConfigError(key, value, "must be a list of two numbers, such as [0.9,0.999]")
    for i, beta in enumerate(value):
        below_one(f"{key}[{i}]", beta)


def below_one(key: str, value: Any) -> None:
    check_not_negative(key, value)
    if value >= 1:
        raise ConfigError(key, value, "must be below 1")


def numbers(key: str, value: Any) -> None:
    if not isinstance(value, list) or not value:
        raise ConfigError(key, value, "must be a list of numbers above 0, such as [0.5,1,2]")
    for place, one in enumerate(value):
        check_positive(f"{key}[{place}]", one)


def share(key: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
        raise ConfigError(key, value, "must be a number of at least 0 and below 1")


def split(key: str, value: Any) -> None:
    """A text, or the folders of the parts: one or several of each."""
    if isinstance(value, str) and value:
        return
    if not isinstance(value, Mapping) or "train" not in value or not set(value) <= {"train", "val", "test"}:
        raise ConfigError(key, value, "must be auto, the name of a CSV file, or {train: FOLDER, val: ..., test: ...}")
    for part, folders in value.items():
        named = [folders] if isinstance(folders, str) else folders
        if not isinstance(named, list) or not named or not all(isinstance(one, str) and one for one in named):
            raise ConfigError(f"{key}.{part}", folders, "must be a folder or a list of folders")


def part_of_pixels(key: str, value: Any) -> None:
    if check_positive(key, value) > 1:
        raise ConfigError(key, value, "must be at most 1: it is the part of the pixels")


def shade(key: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ConfigError(key, value, "must be a number from 0 (black) to 1 (white)")


def pixel_scale(low: float, high: float) -> Check:
    """One number or one a channel; a rule of its own for those that cannot divide."""

    def check(key: str, value: Any) -> None:
        values = value if isinstance(value, list) else [value]
        if not values or any(isinstance(v, bool) or not isinstance(v, int | float) or v != v for v in values):
            raise ConfigError(key, value, "must be a number or a list of numbers")
        if low > 0 and min(values) <= 0:
            raise ConfigError(key, value, "must be above 0")
        for one in values:
            check_number(key, one, low, high)

    return check


def precision(key: str, value: Any) -> None:
    check_choice(key, "32" if value == 32 and not isinstance(value, bool) else value, PRECISIONS)


def devices(key: str, value: Any) -> None:
    if isinstance(value, list) and value:  # of these numbers
        for place, one in enumerate(value):
            check_int(f"{key}[{place}]", one, 0, 1024)
    elif value not in (-1, "auto"):  # -1: all there are
        check_int(key, value, 1, 1024)


def compile_mode(key: str, value: Any) -> None:
    if not isinstance(value, bool) and value not in COMPILE_MODES:
        raise ConfigError(key, value, f"must be true, false or one of {', '.join(COMPILE_MODES)}")


def kernel(key: str, value: Any) -> None:
    """One number, or a list with a number a stage; for LeNet a list of numbers a stage."""
    if not isinstance(value, list):
        check_int(key, value, 1, 255)
    for i, stage in enumerate(value if isinstance(value, list) else ()):
        if isinstance(stage, list):
            check_ints(f"{key}[{i}]", stage, maximum=255)
        else:
            check_int(f"{key}[{i}]", stage, 1, 255)


def by_size(key: str, value: Any) -> None:
    """Pairs of a code's size and a published figure."""
    if not isinstance(value, list) or any(not isinstance(pair, list) or len(pair) != 2 for pair in value):
        raise ConfigError(key, value, "must be a list of pairs, a code's size and a figure, such as [[30, 3.0]]")
    for size, published in value:
        check_int(key, size)
        check_positive(key, published)


PUBLISHED: dict[str, Check] = {"what": text, "metric": text, "times": positive(1e12), "values": by_size}


def published_figures(key: str, value: Any) -> None:
    """A list of mappings with the keys of `PUBLISHED`; see `diabolo.runs.published`."""
    if not isinstance(value, list) or any(not isinstance(one, Mapping) or set(one) != set(PUBLISHED) for one in value):
        raise ConfigError(key, value, f"must be a list of mappings with the keys {', '.join(PUBLISHED)}")
    for i, published in enumerate(value):
        for name, check in PUBLISHED.items():
            check(f"{key}[{i}].{name}", published[name])


def class_name(key: str, value: Any) -> None:
    if not isinstance(value, str) or not value.strip("."):
        raise ConfigError(key, value, "must be the name of a class or a function, such as torch.optim.Adam")
