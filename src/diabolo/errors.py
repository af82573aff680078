"""Errors that a user can mend, and the checks that raise them."""

import difflib
import re
from collections.abc import Collection, Iterable
from typing import Any


class UserError(Exception):
    """What a user can mend; the command line prints it as one sentence and exits with 2."""


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
        return f"`{self.key}` (= {self.value!r}) {self.rule}."

    def within(self, group: str) -> "ConfigError":
        """The same about an argument of the class that `group` names: its key is the whole one."""
        return self if "." in self.key else type(self)(f"{group}.{self.key}", self.value, self.rule)


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
    return OutOfMemory(
        f"there is not enough memory {'on the GPU' if 'CUDA' in said else 'on this machine'} for the run{size}: lower"
        " data.batch_size or the size of the network, or let fewer runs share it (hydra.launcher.workers)."
    )


SHORT = re.compile("can't allocate memory|not enough memory|out of memory|_ALLOC_FAILED")
ASKED = re.compile(r"(?:[Tt]ried|Unable) to allocate ([\d.]+) (bytes|[KMGTPE]iB)")
UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")


def _readable(size: float, unit: str) -> str:
    """E.g. 2.3 PiB for 2560000000000000 bytes."""
    exponent = UNITS.index(unit)
    while size >= 1024 and exponent < len(UNITS) - 1:
        size, exponent = size / 1024, exponent + 1
    return f"{size:.4g} {UNITS[exponent]}"


def check_bool(name: str, value: Any) -> bool:
    """`value` if it is true or false, else a `ConfigError`: Hydra reads yes and no as texts."""
    if not isinstance(value, bool):
        raise ConfigError(name, value, "must be true or false")
    return value


def check_int(name: str, value: Any, minimum: int = 1) -> int:
    """`value` as an int of at least `minimum`, else a `ConfigError` that names the argument."""
    if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
        raise ConfigError(name, value, f"must be a whole number of at least {minimum}")
    return value


def check_ints(name: str, values: Any, empty: bool = False) -> list[int]:
    """`values` as a list of ints of at least 1, else a `ConfigError` that names the argument."""
    if isinstance(values, str) or not hasattr(values, "__iter__") or not (empty or len(values)):
        raise ConfigError(name, values, "must be a list of whole numbers, such as [16,32]")
    return [check_int(f"{name}[{i}]", value) for i, value in enumerate(values)]


def check_positive(name: str, value: Any) -> float:
    """`value` if it is a number above 0, else a `ConfigError` that names the argument."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        raise ConfigError(name, value, "must be a number above 0")
    return value


def check_not_negative(name: str, value: Any) -> float:
    """`value` if it is a number of at least 0, else a `ConfigError` that names the argument."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
        raise ConfigError(name, value, "must be a number of at least 0")
    return value


def check_choice(name: str, value: Any, options: Collection[str]) -> str:
    """`value` if it is one of `options`, else a `ConfigError` that lists them."""
    if value not in options:
        raise ConfigError(name, value, f"must be one of {', '.join(options)}")
    return value


def did_you_mean(word: str, words: Iterable[str]) -> str:
    """ " (did you mean 'bottleneck.size'?)" for the nearest of `words` or of their last parts; "" for none."""
    words = list(words)
    near = difflib.get_close_matches(word, words, 1, 0.6)
    if not near:  # the last part alone: `size` for `bottleneck.size`
        last = {w.rpartition(".")[2]: w for w in words}
        near = [last[w] for w in difflib.get_close_matches(word.rpartition(".")[2], last, 1, 0.8)]
    return f" (did you mean {near[0]!r}?)" if near else ""
