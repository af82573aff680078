"""The settings of a run in the report: what it chose of each config group, and what identifies it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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


def settings(choices: Words, config: Mapping[str, Any]) -> Words:
    """The groups' choices and `diabolo.runs.identity.settings`."""
    return {group: choices[group] for group in GROUPS if group in choices} | identity.settings(config)
