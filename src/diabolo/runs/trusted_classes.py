"""Which classes the config of a run folder may name: reading a folder runs only code that its reader trusts.

What stands on one's own command line is one's own word. A config that is read from a folder may have been written by
anyone, and `_target_: shutil.copy` in it would be called. So it may name

- what diabolo's own yaml files name, and a few classes of torch (`LIBRARIES`);
- parts of one's own that one has trained with on this machine, as long as they still come from the same file: each
  training on one's own command line notes them in `~/.config/diabolo/own_parts` (`XDG_CONFIG_HOME`), outside every run
  folder, where no stranger's folder can write;
- anything, where the reader says so: `--trust`, `diabolo.load(run, trust=True)`.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from diabolo.errors import UserError
from diabolo.training.whole_files import write_whole

LIBRARIES = frozenset(
    {f"torch.optim.{name}" for name in ("Adadelta", "Adagrad", "Adam", "Adamax", "AdamW", "ASGD", "NAdam", "RAdam")}
    | {f"torch.optim.{name}" for name in ("RMSprop", "Rprop", "SGD")}
    | {f"torch.nn.{name}" for name in ("MSELoss", "L1Loss", "SmoothL1Loss", "HuberLoss", "BCELoss")}
    | {f"lightning.pytorch.loggers.{name}" for name in ("CSVLogger", "TensorBoardLogger")}
)
TARGET = re.compile(r"^\s*_target_:\s*([\w.]+)", re.MULTILINE)


class Distrusted(UserError):
    """A run folder's config names what its reader has not trusted."""


def check(config: dict[str, Any], folder: Path) -> None:
    """Refuses a plain config, read from `folder`, that names a class which is not trusted.

    Raises:
        Distrusted: with the first such name, and how to trust it.
    """
    for key, value in _texts(config, ""):
        if "${" in value:  # a run writes none, and a resolver could make a `_target_` of it
            raise Distrusted(_sentence(folder, f"has an interpolation at `{key}`, {value[:80]!r}, which no run writes"))
        if key.rpartition(".")[2] == "_target_" and not is_trusted(value):
            raise Distrusted(_sentence(folder, f"names {value[:120]!r} at `{key}`, which is no part of diabolo"))


def is_trusted(target: str) -> bool:
    """Whether a `_target_` that stands in a run folder may be imported and called."""
    return target in own_targets() or target in LIBRARIES or _noted(target) == (_origin(target) or False)


@cache
def own_targets() -> frozenset[str]:
    """All that diabolo's own yaml files name."""
    found: set[str] = set()
    folders = [files("diabolo.conf")]
    while folders:
        for entry in folders.pop().iterdir():
            if entry.is_dir():
                folders.append(entry)
            elif entry.name.endswith(".yaml"):
                found |= set(TARGET.findall(entry.read_text(encoding="utf-8")))
    return frozenset(found)


def note_own_parts(config: Any) -> None:
    """Notes the parts of a config from one's own command line that are neither diabolo's nor an installed library's,
    each with the file that it comes from. Where there is no place to note them, as without a home, nothing is."""
    installed = {Path(path) for path in sys.path if path.endswith(("site-packages", "dist-packages"))}
    installed |= {Path(os.__file__).parent}
    for key, target in _texts(config, ""):
        if key.rpartition(".")[2] != "_target_" or is_trusted(target):
            continue
        origin = _origin(target)
        if origin is None or any(Path(origin).is_relative_to(place) for place in installed):
            continue
        try:
            place = _notes(target)
            place.parent.mkdir(parents=True, exist_ok=True)
            write_whole(place, json.dumps({"target": target, "file": origin}) + "\n")
        except (OSError, RuntimeError):
            return


def _sentence(folder: Path, what: str) -> str:
    return (
        f"the config of {str(folder)!r} {what}: nothing of it was run. If you know who made this run, say --trust (or"
        " trust=True in Python)."
    )


def _texts(node: Any, key: str) -> Iterator[tuple[str, str]]:
    """All texts in a plain config with their dotted keys."""
    if isinstance(node, str):
        yield key, node
    elif isinstance(node, dict):
        for name, value in node.items():
            yield from _texts(value, f"{key}.{name}" if key else str(name))
    elif isinstance(node, list):
        for place, value in enumerate(node):
            yield from _texts(value, f"{key}[{place}]")


def _origin(target: str) -> str | None:
    """The file or folder from which the top package of `target` would be imported now, without importing it."""
    try:
        spec = find_spec(target.partition(".")[0])
    except ValueError:  # a module without a spec, as __main__
        return None
    if spec is None:
        return None
    places = list(spec.submodule_search_locations or ())
    found = places[0] if places else spec.origin
    return os.path.realpath(found) if found else None


def _noted(target: str) -> str | None:
    """The file from which one has trained with `target` oneself."""
    try:
        note = json.loads(_notes(target).read_text(encoding="utf-8"))
        return str(note["file"]) if note["target"] == target else None
    except (OSError, ValueError, KeyError, TypeError, RuntimeError):
        return None


def _notes(target: str) -> Path:
    """Where `target` is noted. Raises RuntimeError where there is no home."""
    base = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(base) / "diabolo" / "own_parts" / f"{re.sub(r'[^A-Za-z0-9_.]', '_', target)[:200]}.json"
