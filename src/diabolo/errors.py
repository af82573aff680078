"""Errors that a user can mend, and the checks that raise them."""

import difflib
import re
from collections.abc import Callable, Collection, Iterable
from typing import Any


class UserError(Exception):
    """What a user can mend; the command line prints it as one sentence and exits with 2."""


class ReconstructsNothing(UserError):
    """A classifier was asked for what needs a decoder."""


class ConfigError(UserError, ValueError):
    """A config value that cannot work.

    Args:
        key: of the value, dotted, or the name of an argument; whoever knows the group puts it before (`within`).
        value: what it is.
        rule: what it must be and what to do, as the end of a sentence that begins with key and value, without a full
            stop: "must be above 0".
    """

    def __init__(self, key: str, value: Any, rule: str) -> None:
        super().__init__(key, value, rule)
        self.key, self.value, self.rule = key, value, rule

    def __str__(self) -> str:
        said = repr(self.value)
        return f"`{self.key}` (= {said if len(said) <= LONGEST else said[: LONGEST - 3] + '...'}) {self.rule}."

    def within(self, group: str) -> "ConfigError":
        """The same about an argument of the class that `group` names: its key is the whole one."""
        return self if "." in self.key else type(self)(f"{group}.{self.key}", self.value, self.rule)


class NotMeasured(ConfigError):
    """The name of a metric that a run does not measure, which is seen when its first epoch has ended."""


LONGEST = 200  # characters of a value in a message


class Diverged(UserError):
    """The loss, the weights or the yardstick stopped being finite numbers during training."""


class OutOfMemory(UserError, MemoryError):
    """There is less memory than the run asks for."""


def out_of_memory(failure: BaseException) -> OutOfMemory | None:
    """`failure` as one sentence where it says that there is not enough memory, on a GPU or for the CPU; else None.

    NumPy raises a MemoryError, torch a RuntimeError, on a GPU its OutOfMemoryError, each in words of its own.
    """
    said = str(failure)
    if not isinstance(failure, MemoryError) and not (isinstance(failure, RuntimeError) and SHORT.search(said)):
        return None
    asked = ASKED.search(said)
    size = f" ({_readable(float(asked[1]), asked[2])} at once)" if asked else ""
    where = "on the GPU" if ON_GPU.search(said) else "on this machine"
    return OutOfMemory(
        f"there is not enough memory {where} for the run{size}: lower"
        " data.batch_size or the size of the network, or let fewer runs share it (hydra.launcher.workers)."
    )


ON_GPU = re.compile("CUDA|MPS")
SHORT = re.compile("can't allocate memory|not enough memory|out of memory|_ALLOC_FAILED")
ASKED = re.compile(r"(?:[Tt]ried|Unable) to allocate ([\d.]+) (bytes|[KMGTPE]i?B)")
UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")


def _readable(size: float, unit: str) -> str:
    """E.g. 2.3 PiB for 2560000000000000 bytes."""
    exponent = UNITS.index(unit if unit == "bytes" or "i" in unit else f"{unit[0]}iB")  # Apple's MB is a MiB
    while size >= 1024 and exponent < len(UNITS) - 1:
        size, exponent = size / 1024, exponent + 1
    return f"{size:.4g} {UNITS[exponent]}"


def printable(path: object) -> str:
    """A path as text that every terminal and file takes: bytes of a name that are not UTF-8 as \\xNN."""
    return str(path).encode("utf-8", "backslashreplace").decode("utf-8")


def check_bool(name: str, value: Any) -> bool:
    """`value` if it is true or false, else a `ConfigError`: Hydra reads yes and no as texts."""
    if not isinstance(value, bool):
        raise ConfigError(name, value, "must be true or false")
    return value


def check_int(name: str, value: Any, minimum: int = 1, maximum: int | None = None) -> int:
    """`value` as an int of at least `minimum` and at most `maximum`, else a `ConfigError` that names the argument."""
    if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
        raise ConfigError(name, value, f"must be a whole number of at least {minimum}")
    if maximum is not None and value > maximum:
        raise ConfigError(name, value, f"must be at most {maximum:,}")
    return value


def check_ints(
    name: str,
    values: Any,
    empty: bool = False,
    minimum: int = 1,
    maximum: int | None = None,
    such_as: str = "[16,32]",
) -> list[int]:
    """`values` as a list of ints from `minimum` to `maximum`, else a `ConfigError` that names the argument."""
    if isinstance(values, str) or not hasattr(values, "__iter__") or not (empty or len(values)):
        raise ConfigError(name, values, f"must be a list of whole numbers, such as {such_as}")
    return [check_int(f"{name}[{i}]", value, minimum, maximum) for i, value in enumerate(values)]


def check_positive(name: str, value: Any) -> float:
    """`value` if it is a finite number above 0, else a `ConfigError` that names the argument."""
    return _number(name, value, "above 0", lambda number: number > 0)


def check_not_negative(name: str, value: Any) -> float:
    """`value` if it is a finite number of at least 0, else a `ConfigError` that names the argument."""
    return _number(name, value, "of at least 0", lambda number: number >= 0)


def check_number(name: str, value: Any, minimum: float, maximum: float) -> float:
    """`value` if it is a number from `minimum` to `maximum`, else a `ConfigError` that names the argument."""
    within = f"from {figure(minimum)} to {figure(maximum)}"
    return _number(name, value, within, lambda number: minimum <= number <= maximum)


def check_interval(name: str, values: Any, minimum: float, maximum: float) -> tuple[float, float]:
    """`values` as two numbers from `minimum` to `maximum`, the smaller one first, else a `ConfigError`."""
    if isinstance(values, str) or not hasattr(values, "__iter__") or len(values) != 2:
        raise ConfigError(name, values, f"must be two numbers, such as [{figure(minimum)},{figure(maximum)}]")
    low, high = (check_number(f"{name}[{i}]", value, minimum, maximum) for i, value in enumerate(values))
    if low > high:
        raise ConfigError(name, values, "must have the smaller number first")
    return low, high


def check_between(name: str, value: Any, low: float = 0, high: float = 1) -> float:
    """`value` if it is a number above `low` and below `high`, else a `ConfigError` that names the argument."""
    _number(name, value, f"above {low:g} and below {high:g}", lambda number: True)
    if not low < value < high:
        raise ConfigError(name, value, f"must lie between {low:g} and {high:g}")
    return value


def figure(value: float) -> str:
    """E.g. 1,000,000 or 1e-12."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:g}"


def _number(name: str, value: Any, rule: str, holds: Callable[[float], bool]) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value or not holds(value):
        raise ConfigError(name, value, f"must be a number {rule}")
    if abs(value) == float("inf"):
        raise ConfigError(name, value, "must be a finite number")
    return value


def check_choice(name: str, value: Any, options: Collection[str]) -> str:
    """`value` if it is one of `options`, else a `ConfigError` that lists them, of many with the nearest."""
    if not isinstance(value, str) or value not in options:
        near = did_you_mean(value, options) if isinstance(value, str) and len(options) > 3 else ""
        raise ConfigError(name, value, f"must be one of {', '.join(options)}{near}")
    return value


def did_you_mean(word: str, words: Iterable[str]) -> str:
    """ " (did you mean 'bottleneck.size'?)" for the nearest of `words` or of their last parts; "" for none."""
    words = list(words)
    near = difflib.get_close_matches(word, words, 1, 0.6)
    if not near:  # the last part alone: `size` for `bottleneck.size`
        last = {w.rpartition(".")[2]: w for w in words}
        near = [last[w] for w in difflib.get_close_matches(word.rpartition(".")[2], last, 1, 0.8)]
    return f" (did you mean {near[0]!r}?)" if near else ""
