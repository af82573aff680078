"""Runs beside undisturbed ones: the same to the bit, nothing torn, nothing left."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

OF_THE_CLOCK = ("seconds", "finished", "train/images_per_second")


def is_whole(path: Path) -> bool:
    import torch

    try:
        torch.load(path, weights_only=True, map_location="cpu")
    except Exception:
        return False
    return True


def torn(place: Path) -> list[str]:
    return [f"torn: {path.parent.parent.name}/{path.name}" for path in place.rglob("*.ckpt") if not is_whole(path)]


def drafts(place: Path) -> list[str]:
    """Hidden files, but for locks and Hydra's: what was being written when a process was killed."""
    return [f"a draft: {path.name}" for path in place.rglob(".*") if path.name not in (".lock", ".hydra")]


def differences(folder: Path, whole: Path) -> list[str]:
    """In what the runs below `folder` are not those below `whole`, but for the time that things took."""
    wrong = drafts(folder)
    expected = {path.parent.relative_to(whole) for path in whole.rglob("state.json")}
    there = {path.parent.relative_to(folder) for path in folder.rglob("state.json")}
    wrong += [f"too many: {name}" for name in sorted(there - expected)]
    for name in sorted(expected):
        try:
            wrong += _differences(folder / name, whole / name)
        except OSError as failure:
            wrong.append(f"missing: {failure}")
    return wrong


def _differences(ours: Path, theirs: Path) -> list[str]:
    import torch

    if json.loads((ours / "state.json").read_text())["state"] != "done":
        return [f"not done: {ours.name}"]
    wrong = []
    for name in ("best", "last"):
        a, b = (
            torch.load(run / "checkpoints" / f"{name}.ckpt", weights_only=True)["state_dict"] for run in (ours, theirs)
        )
        if a.keys() != b.keys() or any(not torch.equal(a[key], b[key]) for key in b):
            wrong.append(f"other weights: {ours.name}, {name}")
    wrong += [
        f"other figures: {ours.name}, {name}"
        for name in ("metrics.json", "history.jsonl")
        if figures(ours / name) != figures(theirs / name)
    ]
    return wrong


def figures(path: Path) -> list[dict[str, Any]]:
    text = path.read_text()
    rows = [json.loads(line) for line in text.splitlines()] if path.suffix == ".jsonl" else [json.loads(text)]
    return [{key: value for key, value in row.items() if key not in OF_THE_CLOCK} for row in rows]


def finished(folder: Path) -> dict[str, str]:
    """The runs that are done, and what they say of themselves: issued again, they stay as they are."""
    texts = {path.parent.name: path.read_text() for path in folder.rglob("state.json")}
    return {name: text for name, text in texts.items() if json.loads(text)["state"] == "done"}
