"""What configs of older run folders say in other words: in 0.1 a `_target_` named a file, and now names a room; keys
that came later have a value that says what was before."""

from __future__ import annotations

from typing import Any

ROOMS = {  # first part of the path of a file of 0.1 -> today's room
    "bottlenecks": "network",
    "callbacks": "callbacks",
    "classifier": "training",
    "corruptions": "data",
    "data": "data",
    "families": "network",
    "losses": "training",
    "module": "training",
    "penalties": "training",
    "schedulers": "training",
    "trainer": "training",
}
CAME_LATER: dict[str, dict[str, Any]] = {  # keys of a group, with what was before
    "data": {"limit_by": "first", "depth": "uint8", "value_range": None, "shown_channels": None},
    "bottleneck": {"conditional": False, "classes": 10},
    "decoder": {"spectral_norm": False},
}
OF_OWN_CLASSES = ("decoder",)  # whose keys stand in the yamls of diabolo's own classes alone
RENAMED = {"diabolo.data.digits": "diabolo.data.digit_images"}


def current_name(target: str) -> str:
    """Today's name of a `_target_`; one that 0.1 did not have stays as it is.

    "diabolo.families.conv.ConvEncoder" -> "diabolo.network.ConvEncoder"
    """
    package, _, path = target.partition(".")
    first, _, rest = path.partition(".")
    if package != "diabolo" or first not in ROOMS or not rest:
        return target
    if first in ("callbacks", "data") and "." not in rest:  # a room's name already
        return target
    name = f"diabolo.{ROOMS[first]}.{rest.rpartition('.')[2]}"
    return RENAMED.get(name, name)


def of_today(config: dict[str, Any]) -> dict[str, Any]:
    """A run's plain config as it would be written today."""
    config = with_current_names(config)
    for group, keys in CAME_LATER.items():
        own = group not in OF_OWN_CLASSES or str((config.get(group) or {}).get("_target_")).startswith("diabolo.")
        if own and isinstance(node := config.get(group), dict):
            config[group] = keys | node
    return config


def with_current_names(node: Any) -> Any:
    """A plain config with each `_target_` by its current name."""
    if isinstance(node, dict):
        return {
            key: current_name(value) if key == "_target_" and isinstance(value, str) else with_current_names(value)
            for key, value in node.items()
        }
    return [with_current_names(value) for value in node] if isinstance(node, list) else node
