"""Reading run folders: every run below some folders, and the names of what is no run."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from diabolo.errors import UserError
from diabolo.report.settings import LOADER, Words, all_choices, settings
from diabolo.runs.folder import RunFolder
from diabolo.runs.identity import Flat, flat
from diabolo.runs.old_names import with_current_names

STATES = ("running", "done", "stopped", "failed")
CUT_OFF = "cut off"  # running by its own account, but its process is gone
FIELDS = ("name", "state", "reason", "started")


@dataclass
class Run:
    """One run as its folder tells it. `config` is flat: dotted keys to values; lists stay lists."""

    path: Path
    name: str  # relative to the folder that was asked for
    state: str
    reason: str
    config: Flat
    metrics: Flat
    started: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    choices: Words = field(default_factory=dict)  # what was chosen of each config group, as the run recorded it

    @cached_property
    def groups(self) -> Words:
        """What was chosen of each config group: as recorded, and else as the config tells."""
        return all_choices(self.choices, self.config)

    @cached_property
    def history(self) -> list[Flat]:
        """The metrics of each epoch; lines cut short by a kill are left out."""
        path = self.path / "history.jsonl"
        rows = []
        for line in path.read_text(errors="replace").splitlines() if path.is_file() else ():
            try:
                row = json.loads(line)
            except json.JSONDecodeError:
                continue
            rows += [row] if isinstance(row, dict) else []
        return rows

    @cached_property
    def settings(self) -> Words:
        """What makes the run what it is, without its seed; see `diabolo.report.settings`."""
        return settings(self.groups, self.config)

    @cached_property
    def code_size(self) -> int | None:
        """How many numbers the code has, as measured or else as configured; None where neither is known."""
        measured = self.number("code_size")
        size = self.number("bottleneck.size") if measured is None else measured
        return None if size is None else int(size)

    def get(self, key: str) -> Any:
        """A metric, a config value or the name chosen of a config group; None where the run has none of them."""
        if key in FIELDS:
            return getattr(self, key)
        return self.groups.get(key, self.metrics.get(key, self.config.get(key)))

    def number(self, key: str) -> float | None:
        """What `get` gives, if it is a finite number."""
        value = self.get(key)
        ordinary = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        return float(value) if ordinary else None

    def keys(self) -> set[str]:
        """All that `get` knows."""
        return {*FIELDS, *self.metrics, *self.config, *self.groups}

    def knows(self, key: str) -> bool:
        """Whether the run has the key, be its value null."""
        return key in FIELDS or any(key in mapping for mapping in (self.metrics, self.config, self.groups))


@dataclass
class Skipped:
    """A folder that looks like a run but cannot be read, and why."""

    path: Path
    why: str


def collect(folders: Sequence[str | Path]) -> tuple[list[Run], list[Skipped]]:
    """All runs below `folders`, by name, and what had to be skipped.

    A folder with a config.yaml or a state.json of its own counts as a run; nothing below it is searched. Skipped are
    runs that cannot be read and folders in which there is none; hidden ones are passed over.

    Raises:
        UserError: a folder that does not exist.
    """
    runs: list[Run] = []
    skipped: list[Skipped] = []
    seen: set[Path] = set()
    for folder in map(Path, folders):
        if not folder.is_dir():
            raise UserError(f"{str(folder)!r} is not a folder; give folders of runs, such as runs or sweeps.")
        for found in _search(folder, seen):
            if isinstance(found, Skipped):
                skipped += [found] if found.why != SEEN else []
                continue
            name = found.name if found == folder else str(found.relative_to(folder))
            try:
                runs.append(read(found, name))
            except UNREADABLE as failure:
                skipped.append(Skipped(found, _why(found, failure)))
    return sorted(runs, key=lambda run: run.name), skipped


def read(path: Path, name: str) -> Run:
    """The run in the folder `path`.

    Raises:
        OSError, ValueError, TypeError, RecursionError, yaml.YAMLError: its files are not what a run writes.
    """
    state = json.loads((path / "state.json").read_text())
    if not isinstance(state, dict) or state.get("state") not in STATES:
        raise ValueError("state.json names no state")
    config = yaml.load((path / "config.yaml").read_text(), Loader=LOADER)
    if not isinstance(config, dict):
        raise ValueError("config.yaml is no mapping")
    metrics_file = path / "metrics.json"
    metrics = json.loads(metrics_file.read_text()) if metrics_file.is_file() else {}
    if not isinstance(metrics, dict):
        raise ValueError("metrics.json is no mapping")
    cut_off = state["state"] == "running" and not RunFolder(path).is_held()
    return Run(
        path,
        name,
        CUT_OFF if cut_off else state["state"],
        str(state.get("reason", "")),
        flat(with_current_names(config)),
        metrics,
        str(state.get("started", "")),
        dict(state.get("versions", {})),
        dict(state.get("choices", {})),
    )


def _search(folder: Path, seen: set[Path]) -> list[Path | Skipped]:
    """Run folders below `folder`, itself included, in order; in their stead, the topmost folders that hold none.

    Each place is visited once, whatever links lead to it.
    """
    if (real := folder.resolve()) in seen:
        return [Skipped(folder, SEEN)]
    seen.add(real)
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as failure:
        return [Skipped(folder, f"cannot be read: {failure.strerror}")]
    if {"state.json", "config.yaml"} & {entry.name for entry in entries}:
        return [folder]
    if entries and all(entry.name.startswith("events.out.tfevents") for entry in entries):
        return []  # TensorBoard's figures of an earlier comparison
    found: list[Path | Skipped] = []
    for entry in entries:
        if entry.is_dir() and not entry.name.startswith("."):
            found += _search(folder / entry.name, seen)
    if any(isinstance(one, Path) or one.why not in (NO_RUN, EMPTY) for one in found):
        return found
    return [Skipped(folder, NO_RUN if entries else EMPTY)]


def _why(path: Path, failure: Exception) -> str:
    """What is wrong with the run folder, in words."""
    if missing := [name for name in ("config.yaml", "state.json") if not (path / name).is_file()]:
        return f"it has no {missing[0]}"
    return f"{type(failure).__name__}: {' '.join(str(failure).split())[:120]}"


NO_RUN, EMPTY, SEEN = "there is no run in it", "it is empty", "it was searched already"
UNREADABLE = (OSError, ValueError, KeyError, TypeError, RecursionError, yaml.YAMLError)
