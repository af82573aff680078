"""What tells runs apart, and the one name that each has in words, tables, plots, pictures and page."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Callable, Hashable, Iterable, Sequence
from functools import partial
from typing import Any

from diabolo.report.collect import Run
from diabolo.report.fold import Folded, grouped
from diabolo.report.settings import GROUPS
from diabolo.runs.identity import plain

PARTS = ("encoder", "decoder")  # chosen by `model`, unless the command line chooses them
SIZE = "bottleneck.size"
WHO = ("model", "loss", SIZE)  # what names a run where no setting differs


class Names:
    """What each of `runs` is called, in every part of the report that is about the same runs.

    A name is the words of the command line that tell the run from the others, such as "model=fc loss=mae
    bottleneck.size=25": typed behind `diabolo train` they choose it again. Only repeats of a run, and runs of the same
    settings in another state, share a name.

    Attributes:
        columns: the settings in which the runs differ, groups first: what a table shows.
        keys: those of them that stand in a name.
    """

    def __init__(self, runs: Sequence[Run]) -> None:
        self.columns = differing(runs)
        always = [key for key in self.columns if key in GROUPS or key.startswith("data.")]
        self._line = _telling(runs, self.columns, always, lambda run: run.code_size)
        self.keys = _telling(runs, self.columns, [*self._line, SIZE], lambda run: None)
        self._seeds = len({plain(run.get("seed")) for run in runs}) > 1

    def setting(self, run: Run | Folded) -> str:
        """The name of a run's settings, for all of its seeds."""
        return self._named(run, self.keys, WHO)

    def run(self, run: Run) -> str:
        """The name of a single run, with its seed where there are several."""
        return self.setting(run) + (f" {word('seed', run.get('seed'))}" if self._seeds else "")

    def line(self, run: Run | Folded) -> str:
        """The name that runs share which differ in code size and seed alone: a line of the plots."""
        return self._named(run, self._line, WHO[:2])

    def data(self, run: Run | Folded) -> str:
        """The words of a name that choose the data; "" where all runs have the same."""
        return _words(run, [key for key in self.keys if key.partition(".")[0] == "data"])

    def loss(self, run: Run | Folded) -> str:
        """The loss by its name, with those of its arguments that stand in a run's name: huber loss.delta=0.1."""
        arguments = _words(run, [key for key in self.keys if key.startswith("loss.")])
        return f"{_run(run).groups.get('loss', '?')} {arguments}".strip()

    def place(self, run: Run | Folded) -> list[tuple[int, float, str]]:
        """A key by which runs sort by their settings, column after column."""
        return [order_key(run.get(key)) for key in self.columns]

    def _named(self, run: Run | Folded, keys: Iterable[str], otherwise: Iterable[str]) -> str:
        known = [key for key in otherwise if run.get(key) is not None]
        if "model" in otherwise and "model" not in known:
            known = [*(part for part in PARTS if run.get(part) is not None), *known]
        return _words(run, keys) or _words(run, known) or _run(run).name


def differing(runs: Sequence[Run]) -> list[str]:
    """The settings in which the runs differ, groups first; without those that say nothing new.

    Left out are a key that has the values of an earlier column in every run, and a key whose value follows from a
    choice: where `model=fc,lenet` is a column, the kernel that comes with each of them is not.
    """
    flats = [run.settings for run in runs]
    keys = sorted(dict.fromkeys(key for flat in flats for key in flat), key=_place)
    columns: dict[str, list[str]] = {}
    for key in keys:
        values = [flat.get(key, "") for flat in flats]
        if len(set(values)) < 2 or key.endswith("._partial_") or values in columns.values():
            continue
        if not any(_follows(values, columns[group]) for group in _groups_of(key) if group in columns):
            columns[key] = values
    return list(columns)


def word(key: str, value: Any) -> str:
    """`key=value` as the shell and Hydra take it: model.hidden=[32,16], optimizer.lr=null, 'data.root="/my data"'."""
    typed = f"{key}={_typed(value)}"
    return shlex.quote(typed) if SHELL.search(typed) else typed


def order_key(value: Any) -> tuple[int, float, str]:
    """A key by which numbers sort before words and what is missing last."""
    if value is None:
        return 2, 0.0, ""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return (2, 0.0, "") if math.isnan(value) else (0, float(value), "")
    return 1, 0.0, plain(value)


SHELL = re.compile(r"""[\s"'$`\\;&|<>(){}*?!#~]""")  # letters that mean something to a shell
BARE = re.compile(r"[\w./:+@%-]+")  # words that Hydra takes without quotes


def _typed(value: Any) -> str:
    if isinstance(value, list):
        return f"[{','.join(map(_typed, value))}]"
    if isinstance(value, str) and not BARE.fullmatch(value):
        return '"' + re.sub(r'(\\*)("|$)', lambda m: m[1] * 2 + m[2].replace('"', r"\""), value) + '"'
    return plain(value)


def _words(run: Run | Folded, keys: Iterable[str]) -> str:
    one = _run(run)
    said = []
    for key in keys:
        if one.knows(key):
            value = one.get(key)
            said.append(word(key, one.settings.get(key, value) if isinstance(value, str) else value))
    return " ".join(said)


def _setting(key: str, run: Run) -> str | None:
    return run.settings.get(key)


def _run(run: Run | Folded) -> Run:
    return run.first if isinstance(run, Folded) else run


def _telling(
    runs: Sequence[Run], columns: Sequence[str], always: Sequence[str], apart: Callable[[Run], Hashable]
) -> list[str]:
    """The columns that names need so that different runs have different names, in their order: those in `always`, and
    each that tells runs apart which had the same name until then. What `apart` gives need not be told again."""
    groups = grouped(runs, lambda run: (apart(run), *(run.settings.get(key) for key in columns if key in always)))
    found = {key for key in columns if key in always}
    for key in columns:
        split = [part for alike in groups for part in grouped(alike, partial(_setting, key))]
        if len(split) > len(groups):
            groups = split
            found.add(key)
    return [key for key in columns if key in found]


def _groups_of(key: str) -> list[str]:
    """The groups whose choice may decide the value of a key."""
    group = key.partition(".")[0]
    return [group, "model"] if group in (*PARTS, "model") else [group]


def _place(key: str) -> tuple[bool, int]:
    """Groups before single keys, each in the order of `GROUPS`, so that `model.hidden` stands for `encoder.hidden`."""
    group = key.partition(".")[0]
    return key not in GROUPS, GROUPS.index(group) if group in GROUPS else len(GROUPS)


def _follows(values: list[str], deciding: list[str]) -> bool:
    """Whether the values follow from the choices: one value for each choice, none where nothing was chosen."""
    pairs = set(zip(deciding, values, strict=True))
    return len(pairs) == len(set(deciding)) and all(choice or not value for choice, value in pairs)
