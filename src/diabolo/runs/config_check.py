"""Checks a whole config at once, before anything is made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from omegaconf import DictConfig, OmegaConf

from diabolo.errors import ConfigError, UserError, check_bool
from diabolo.measures.metric_names import DESCRIBED
from diabolo.runs.checks import Check, class_name
from diabolo.runs.schema import SCHEMA
from diabolo.runs.together import together

OF_ANY_CLASS: dict[str, Check] = {"_target_": class_name, "_partial_": check_bool}  # in whichever group

KNOWN = ("diabolo.", "torch.optim.", "lightning.")  # whose arguments the table speaks of
BESIDE_THE_CLASS = (  # in its group, and read by diabolo itself
    "encoder.init_from",
    "encoder.frozen",
    "bottleneck.conditional",
    "bottleneck.classes",
    "decoder.spectral_norm",
)
SHARED = ("model.", "data.")  # other groups take values from there


def check_config(config: DictConfig | Mapping[str, Any]) -> None:
    """Checks the value of each key of a resolved config, but for those of a user's own parts.

    A value that other groups take over (`model.hidden` in encoder and decoder) is told once.

    Raises:
        ConfigError: one value is wrong.
        UserError: several are, a sentence each.
    """
    nodes = OmegaConf.to_container(config) if isinstance(config, DictConfig) else config
    wrong: list[ConfigError] = []
    taken: set[tuple[str, str, str]] = set()
    for key, value in _keys(nodes, ""):
        try:
            if (check := check_of(key)) is not None:
                check(key, value)
        except ConfigError as failure:
            said = (failure.key.rpartition(".")[2], repr(failure.value), failure.rule)
            if said not in taken:
                wrong.append(failure)
            if key.startswith(SHARED):
                taken.add(said)
    if not wrong:
        wrong += together(nodes)  # type: ignore[arg-type]  # a mapping
    if len(wrong) > 1:
        raise UserError(" ".join(map(str, wrong)))
    if wrong:
        raise wrong[0]


@cache
def check_of(key: str) -> Check | None:
    """The check of a dotted key: its own in the table, else that of an entry with a * in the place of a part."""
    parts = key.split(".")
    if parts[-1] in OF_ANY_CLASS:
        return OF_ANY_CLASS[parts[-1]]
    starred = (entry for entry in SCHEMA if "*" in entry and _fits(parts, entry.split(".")))
    return SCHEMA.get(key) or next((SCHEMA[entry] for entry in starred), None)


def _fits(parts: list[str], entry: list[str]) -> bool:
    return len(parts) == len(entry) and all(own in ("*", part) for part, own in zip(parts, entry, strict=True))


def _keys(node: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    """The dotted keys of a plain config with their values, outer ones first, those that others take from before the
    others; without the arguments of a user's own classes."""
    target = node.get("_target_", "diabolo.")
    known = not isinstance(target, str) or target.startswith(KNOWN)
    for name in sorted(node, key=lambda name: f"{prefix}{name}." not in SHARED):
        key, value = f"{prefix}{name}", node[name]
        beside = key in BESIDE_THE_CLASS or (prefix.startswith("metrics.") and name in DESCRIBED)
        if known or beside or name in OF_ANY_CLASS:
            yield key, value
            if isinstance(value, Mapping):
                yield from _keys(value, f"{key}.")
