"""Reading run folders: every run below some folders, and the names of what is no run."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from diabolo.errors import UserError
from diabolo.measures.metric_names import describe
from diabolo.report.settings import Words, all_choices, settings
from diabolo.runs.folder import RunFolder
from diabolo.runs.identity import Flat, flat
from diabolo.runs.old_names import of_today
from diabolo.runs.safe_reading import Unreadable, check_file, read_metrics, read_rows, read_state, read_yaml
from diabolo.runs.terminal import visible

CUT_OFF = "cut off"  # running by its own account, but its process is gone
FIELDS = ("name", "state", "reason", "started")
LARGEST_CODE = 2**31
MOST = 1e100  # float32 ends at 3e38: a larger figure is damage, and squares, logarithms and axes could not take it


@dataclass
class Run:
    """One run as its folder tells it, in texts that a terminal or a page can show as they are. `config` is flat: dotted
    keys to values; lists stay lists."""

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
        """The metrics of each epoch; lines that are damaged, as one cut short by a kill, are left out."""
        try:
            return read_rows(self.path / "history.jsonl")
        except Unreadable:
            return []

    @cached_property
    def settings(self) -> Words:
        """What makes the run what it is, without its seed; see `diabolo.report.settings`."""
        return settings(self.groups, self.config)

    @cached_property
    def code_size(self) -> int | None:
        """How many numbers the code has, as measured or else as configured; None where neither is known."""
        measured = self.number("code_size")
        size = self.number("bottleneck.size") if measured is None else measured
        return None if size is None or abs(size) > LARGEST_CODE else int(size)

    def get(self, key: str) -> Any:
        """A metric, a config value or the name chosen of a config group; None where the run has none of them."""
        if key in FIELDS:
            return getattr(self, key)
        return self.groups.get(key, self.metrics.get(key, self.config.get(key)))

    def number(self, key: str) -> float | None:
        """What `get` gives, if it is a finite number that a run can measure."""
        value = self.get(key)
        return float(value) if is_figure(value) else None

    def keys(self) -> set[str]:
        """All that `get` knows."""
        return {*FIELDS, *self.metrics, *self.config, *self.groups}

    def knows(self, key: str) -> bool:
        """Whether the run has the key, be its value null."""
        return key in FIELDS or any(key in mapping for mapping in (self.metrics, self.config, self.groups))


def is_figure(value: Any) -> bool:
    """Whether a value from a run's files is a finite number below `MOST`."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < MOST


@dataclass
class Skipped:
    """A folder that looks like a run but cannot be read, and why."""

    path: Path
    why: str


def collect(folders: Sequence[str | Path]) -> tuple[list[Run], list[Skipped]]:
    """All runs below `folders`, by name, and what had to be skipped.

    A folder with a config.yaml or a state.json of its own counts as a run; nothing below it is searched. Runs that
    cannot be read, folders without any run, and files are skipped; hidden folders and the file of a sweep are passed
    over.

    Raises:
        UserError: a folder that does not exist.
    """
    runs: list[Run] = []
    skipped: list[Skipped] = []
    seen: set[Path] = set()
    for folder in map(Path, folders):
        if folder.is_file():  # of `sweeps/NAME/*`
            skipped += [Skipped(folder, NO_FOLDER)] if folder.name != SWEEP_FILE else []
            continue
        if not folder.is_dir():
            raise UserError(f"{str(folder)!r} is not a folder; give folders of runs, such as runs or sweeps.")
        for found in _search(folder, seen):
            if isinstance(found, Skipped):
                skipped += [found] if found.why != SEEN else []
                continue
            name = found.name if found == folder else str(found.relative_to(folder))
            try:
                runs.append(read(found, name))
            except Unreadable as failure:
                skipped.append(Skipped(found, _why(found, failure)))
    return sorted(runs, key=lambda run: run.name), skipped


def read(path: Path, name: str) -> Run:
    """The run in the folder `path`.

    Raises:
        Unreadable: one of its files is not what a run writes.
    """
    folder = RunFolder(path)
    state = _shown(read_state(path / "state.json"))
    config = _shown(of_today(read_yaml(path / "config.yaml")))
    describe(config.get("metrics"))
    metrics = _shown(read_metrics(path / "metrics.json")) if (path / "metrics.json").exists() else {}
    if (path / "history.jsonl").exists():  # whose lines are read when they are asked for
        check_file(path / "history.jsonl")
    cut_off = state["state"] == "running" and not folder.is_held()
    return Run(
        path,
        visible(name),
        CUT_OFF if cut_off else state["state"],
        state.get("reason", ""),
        flat(config),
        metrics,
        state.get("started", ""),
        state.get("versions", {}),
        state.get("choices", {}),
    )


def _shown(value: Any) -> Any:
    """A plain value with all texts in it made visible."""
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, dict):
        return {visible(key): _shown(inner) for key, inner in value.items()}
    return [_shown(inner) for inner in value] if isinstance(value, list) else value


def _search(folder: Path, seen: set[Path]) -> list[Path | Skipped]:
    """The run folders at or below `folder`, in order; of folders without any run the topmost, as skipped.

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


def _why(path: Path, failure: Unreadable) -> str:
    """What is wrong with the run folder, in words."""
    if missing := [name for name in ("config.yaml", "state.json") if not (path / name).exists()]:
        return f"it has no {missing[0]}"
    return f"{failure.path.name} cannot be read: {failure.why}"


NO_RUN, EMPTY, SEEN = "there is no run in it", "it is empty", "it was searched already"
NO_FOLDER = "it is a file"
SWEEP_FILE = "multirun.yaml"  # what Hydra writes beside the runs of a sweep
