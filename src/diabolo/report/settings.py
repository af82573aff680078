"""The settings of a run: what makes it the run it is, in the words of the command line."""

from __future__ import annotations

import json
import re
from typing import Any

Flat = dict[str, Any]  # dotted keys -> values
Words = dict[str, str]  # ... in the words of the command line

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
ELSEWHERE = (  # where and how fast a run runs, not what it is
    "data.root",
    "data.num_workers",
    "data.eval_batch_size",
    "trainer._target_",
    "trainer.accelerator",
    "trainer.devices",
    "trainer.strategy",
    "trainer.threads",
    "trainer.compile",
    "logger",
)
START = "encoder.init_from"  # the folder of a run, often that of the same seed
BELOW = tuple(f"{key}." for key in ELSEWHERE)
WATCHING = "diabolo.callbacks."  # diabolo's own callbacks look and draw and change nothing


def settings(choices: Words, config: Flat) -> Words:
    """Choices and config without the seed, also that of the run an encoder starts from, the place and what only
    watches."""
    chosen = {group: choices[group] for group in GROUPS if group in choices}
    return chosen | {
        key: re.sub(r"seed=\d+", "seed=*", plain(value)) if key == START else plain(value)
        for key, value in config.items()
        if key != "seed"
        and key not in ELSEWHERE
        and not key.startswith(BELOW)
        and not (key.startswith("callbacks.") and _watches(key, config))
    }


def plain(value: Any) -> str:
    """A config value in the words of the command line: 25, [16,32], true, null. A whole number is one however it is
    written, so that 1 and 1.0 are the same."""
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        value = int(value)
    return json.dumps(value, separators=(",", ":"), default=str)


def _watches(key: str, config: Flat) -> bool:
    node = ".".join(key.split(".")[:2])
    target = config.get(f"{node}._target_")
    return config[key] is None if target is None else str(target).startswith(WATCHING)
