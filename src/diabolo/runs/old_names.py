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
    "model": {"strides": None, "stack": 0},
    "bottleneck": {"conditional": False, "classes": 10},
}
SPECTRAL = {"spectral_norm": False}
CAME_LATER_OF: dict[str, dict[str, Any]] = {  # keys of a class
    "diabolo.network.ConvEncoder": {"strides": None, "stack": 0},
    "diabolo.network.ConvTransposeDecoder": {"strides": None, "stack": 0, **SPECTRAL},
    "diabolo.network.UpsampleDecoder": SPECTRAL,
    "diabolo.network.FCDecoder": SPECTRAL,
    "diabolo.network.FCTiedDecoder": SPECTRAL,
    "diabolo.network.LeNetDecoder": SPECTRAL,
    "diabolo.network.ResidualDecoder": SPECTRAL,
    "diabolo.training.plateau": {"lowest": 0.0},
}
MIXED_LATER = {  # terms of the mixed loss, which also know the scale of the images
    "gradient": {"_target_": "diabolo.training.Gradient", "pixel": "mse", "weight": 1.0, "operator": "difference"},
    "focal_frequency": {
        "_target_": "diabolo.training.FocalFrequency",
        "alpha": 1.0,
        "patch_factor": 1,
        "ave_spectrum": False,
        "log_matrix": False,
    },
}
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
    for group, node in config.items():
        if isinstance(node, dict):
            config[group] = CAME_LATER.get(group, {}) | CAME_LATER_OF.get(str(node.get("_target_")), {}) | node
    loss, data = _mapping(config.get("loss")), _mapping(config.get("data"))
    if loss.get("_target_") == "diabolo.training.Mix":
        shape = data.get("image_shape")
        channels = shape[0] if isinstance(shape, list) and shape else 1
        scale = {"mean": data.get("mean"), "std": data.get("std"), "channels": channels}
        terms = {name: term | scale for name, term in MIXED_LATER.items()}
        for key, later in (("terms", terms), ("weights", dict.fromkeys(terms, 0))):
            if isinstance(there := loss.get(key) or {}, dict):
                loss[key] = later | there
    return config


def _mapping(node: Any) -> dict[str, Any]:
    return node if isinstance(node, dict) else {}


def with_current_names(node: Any) -> Any:
    """A plain config with each `_target_` by its current name."""
    if isinstance(node, dict):
        return {
            key: current_name(value) if key == "_target_" and isinstance(value, str) else with_current_names(value)
            for key, value in node.items()
        }
    return [with_current_names(value) for value in node] if isinstance(node, list) else node
