"""Reading run folders: every run below some folders, and the names of what is no run."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from diabolo.errors import ConfigError

STATES = ("running", "done", "stopped", "failed")
Flat = dict[str, Any]  # dotted keys -> values


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

    @cached_property
    def history(self) -> list[Flat]:
        """The metrics of each epoch; lines cut short by a kill are left out."""
        path = self.path / "history.jsonl"
        rows = []
        for line in path.read_text().splitlines() if path.is_file() else ():
            try:
                rows.append(json.loads(line))
            except json.JSONDecodeError:
                continue
        return rows

    def get(self, key: str) -> Any:
        """A metric or a config value by its key; None where the run has neither."""
        if key in ("name", "state", "reason", "started"):
            return getattr(self, key)
        return self.metrics.get(key, self.config.get(key))


@dataclass
class Skipped:
    """A folder that looks like a run but cannot be read, and why."""

    path: Path
    why: str


def collect(folders: Sequence[str | Path]) -> tuple[list[Run], list[Skipped]]:
    """All runs below `folders`, by name, and what had to be skipped.

    A folder with a config.yaml or a state.json of its own counts as a run; nothing below it is searched.

    Raises:
        ConfigError: a folder that does not exist.
    """
    runs: list[Run] = []
    skipped: list[Skipped] = []
    seen: set[Path] = set()
    for folder in map(Path, folders):
        if not folder.is_dir():
            raise ConfigError(f"{str(folder)!r} is not a folder; give folders of runs, such as runs or sweeps.")
        for path in _run_folders(folder):
            if (real := path.resolve()) in seen:
                continue
            seen.add(real)
            name = path.name if path == folder else str(path.relative_to(folder))
            try:
                runs.append(read(path, name))
            except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError) as failure:
                skipped.append(Skipped(path, f"{type(failure).__name__}: {' '.join(str(failure).split())[:120]}"))
    return sorted(runs, key=lambda run: run.name), skipped


def read(path: Path, name: str) -> Run:
    """The run in the folder `path`."""
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
    return Run(
        path,
        name,
        state["state"],
        str(state.get("reason", "")),
        flatten(config),
        metrics,
        str(state.get("started", "")),
        dict(state.get("versions", {})),
    )


def flatten(config: dict[Any, Any], prefix: str = "") -> Flat:
    """A nested mapping with dotted keys."""
    flat: Flat = {}
    for key, value in config.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _run_folders(folder: Path) -> Iterator[Path]:
    for place, folders, files in os.walk(folder, followlinks=True):
        if "state.json" in files or "config.yaml" in files:
            folders[:] = []
            yield Path(place)
        else:
            folders[:] = sorted(name for name in folders if not name.startswith("."))


LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
