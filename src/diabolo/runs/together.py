"""What several config keys decide together: combinations that torch would refuse in words of its own, and late."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from diabolo.errors import ConfigError


def together(config: Mapping[str, Any]) -> Iterator[ConfigError]:
    """What is wrong with values of a plain config that are right each by itself."""
    optimizer = config.get("optimizer")
    if isinstance(optimizer, Mapping) and str(optimizer.get("_target_")).startswith("torch.optim."):
        yield from _optimizer(optimizer)


def _optimizer(given: Mapping[str, Any]) -> Iterator[ConfigError]:
    if given.get("nesterov"):
        if not given.get("momentum"):
            yield ConfigError("optimizer.momentum", given.get("momentum", 0), f"must be above 0 {WITH_NESTEROV}")
        if given.get("dampening"):
            yield ConfigError("optimizer.dampening", given["dampening"], f"must be 0 {WITH_NESTEROV}")
    if given.get("differentiable"):
        rule = "must be false: it is for steps through which one differentiates, and training takes none"
        yield ConfigError("optimizer.differentiable", True, rule)
    if given.get("foreach") and given.get("fused"):
        yield ConfigError(
            "optimizer.foreach", True, "must be false, or set optimizer.fused=false: both are ways to step"
        )


WITH_NESTEROV = "for Nesterov's momentum, or set optimizer.nesterov=false"
