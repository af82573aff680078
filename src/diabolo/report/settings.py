"""The settings of a run in the report: what it chose of each config group, and what identifies it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from diabolo.runs import identity

Words = dict[str, str]  # dotted keys or groups -> values in the words of the command line

GROUPS = (
    "task",
    "data",
    "corruption",
    "model",
    "encoder",
    "bottleneck",
    "penalty",
    "decoder",
    "loss",
    "optimizer",
    "scheduler",
)


def settings(choices: Mapping[str, str], config: Mapping[str, Any]) -> Words:
    """The groups' choices and `diabolo.runs.identity.settings`."""
    return {group: choices[group] for group in GROUPS if group in choices} | identity.settings(config)


def all_choices(recorded: Mapping[str, str], config: Mapping[str, Any]) -> Words:
    """What a run chose of each group: as it recorded, and else by its flat config, since a run that Python started
    records nothing.

    A choice is then called as in the HParams table, or as the yaml of diabolo that names the same class, or by the
    class itself: `mine.PixelDecoder` is pixel.
    """
    found: Words = dict(recorded)
    for group in (group for group in GROUPS if group != "model" and group not in recorded):
        shown = config.get(f"callbacks.hparams.params.{group}")
        node = "data.source" if group == "data" else group
        cls = config.get(f"{node}.dataset") or config.get(f"{node}._target_")
        target = None if cls is None else str(cls)
        if name := shown or _by_class(group).get(target) or _in_words(target):
            found[group] = str(name)
    if "model" not in found and (pair := _pairs().get((found.get("encoder"), found.get("decoder")))):
        found["model"] = pair
    return found


@cache
def _by_class(group: str) -> dict[str | None, str]:
    """Class, or data set -> name of the yaml that chooses it; None -> name of a yaml without a class."""
    found: dict[str | None, str] = {}
    for name, content in _yamls(group).items():
        node = content.get("source" if group == "data" else group, content)
        found.setdefault(node.get("dataset") or node.get("_target_"), name)
    return found


@cache
def _pairs() -> dict[tuple[str | None, str | None], str]:
    """Encoder and decoder -> the model that pairs them."""
    pairs = {}
    for name, content in _yamls("model").items():
        parts: dict[str, str] = {}
        for entry in content["defaults"]:
            parts |= {key.rpartition("/")[2]: value for key, value in entry.items()}
        pairs[parts.get("encoder"), parts.get("decoder")] = name
    return pairs


def _yamls(group: str) -> dict[str, dict[str, Any]]:
    """Name -> content of each yaml in a group; the group `model` has pairs alone."""
    folder = files("diabolo.conf") / group
    return {
        path.name.removesuffix(".yaml"): yaml.load(path.read_text("utf-8"), Loader=LOADER) or {}
        for path in sorted(folder.iterdir(), key=lambda path: path.name)
        if path.name.endswith(".yaml")
    }


def _in_words(target: str | None) -> str:
    """`mine.PixelDecoder` -> pixel, `mine.SmoothL1` -> smooth_l1."""
    cls = re.sub("(Encoder|Decoder|_images)$", "", (target or "").rpartition(".")[2])
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", cls).lower()


LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
