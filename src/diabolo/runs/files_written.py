"""What a run writes into its folder, and how just that is removed: nothing of the user's is ever deleted."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from pathlib import Path, PurePath

from diabolo.runs.safe_reading import Unreadable, read_state

WRITTEN = (  # by path below the run's folder; a * stands for a part of one name
    *("state.json", "config.yaml", "metrics.json", "history.jsonl", "per_image.npz", "run.log", "run.*.log"),
    *("checkpoints/best.ckpt", "checkpoints/last.ckpt", "pictures/*/*.png"),
    *("events.out.tfevents.*", "hparams.yaml", "projector_config.pbtxt"),
    *(f"[0-9][0-9][0-9][0-9][0-9]/*/{name}" for name in ("tensors.tsv", "metadata.tsv", "sprite.png")),
)
BEFORE_IT_BEGINS = ("run.log", ".lock", ".hydra")  # what may lie there already: a worker's output, Hydra's own folder


def is_ours(folder: Path) -> bool:
    """Whether a run of diabolo has begun in the folder: its state.json says which diabolo wrote it."""
    try:
        return "diabolo" in read_state(folder / "state.json").get("versions", {})
    except Unreadable:
        return False


def is_free(folder: Path) -> bool:
    """Whether a new run may begin there: nothing is there, or nothing but what may lie there before a run begins, which
    may have been killed while it wrote its first file."""
    try:
        return all(name in BEFORE_IT_BEGINS or _is_draft_of("state.json", name) for name in os.listdir(folder))
    except FileNotFoundError:
        return True
    except OSError:
        return False


def written(folder: Path) -> Iterator[Path]:
    """The files below `folder` that a run has written; links are neither followed nor counted."""
    for place, folders, names in os.walk(folder):
        here = PurePath(place).relative_to(folder)
        if len(here.parts) == 2:
            folders.clear()  # a run writes no deeper
        for name in names:
            path = here / _without_draft(name)
            known = any(len(path.parts) == pattern.count("/") + 1 and path.match(pattern) for pattern in WRITTEN)
            if known and not (found := Path(place) / name).is_symlink():
                yield found


def remove_drafts(folder: Path) -> None:
    """Removes what a killed process was writing when it died."""
    for path in [path for path in written(folder) if _without_draft(path.name) != path.name]:
        path.unlink(missing_ok=True)


def remove_written(folder: Path, keep: Collection[str] = ()) -> list[Path]:
    """Removes what a run has written below `folder`, but for files called as in `keep`, and the folders that this
    leaves empty, `folder` itself included. Returns what is still there, as it is no run's; the lock is the caller's."""
    places = {folder}
    for path in [path for path in written(folder) if path.name not in keep]:
        path.unlink()
        places |= {parent for parent in path.parents if parent.is_relative_to(folder)}
    places |= {folder / "checkpoints"}
    for place in sorted(places, key=lambda place: len(place.parts), reverse=True):
        if not place.is_symlink() and place.is_dir() and not any(place.iterdir()):
            place.rmdir()
    return sorted(folder.iterdir()) if folder.is_dir() else []


def behind_link(folder: Path) -> Path | None:
    """The link through which the path leads to `folder`, itself or above it, up to what lies above the current folder;
    None where there is none."""
    here = Path.cwd()
    for place in (folder, *folder.parents):
        if here.is_relative_to(place.absolute()):
            return None
        if place.is_symlink():
            return place
    return None


def _is_draft_of(file: str, name: str) -> bool:
    return name != file and _without_draft(name) == file


def _without_draft(name: str) -> str:
    """The name of the file that a draft, ".metrics.json.4711", was to become; any other name as it is."""
    draft, _, process = name.rpartition(".")
    return draft[1:] if name.startswith(".") and process.isdigit() and draft.count(".") > 1 else name
