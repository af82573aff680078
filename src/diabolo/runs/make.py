"""One node of the config in, one object out: the only file that instantiates."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, wraps
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from diabolo.errors import ConfigError, UserError


def make(config: DictConfig, group: str, **arguments: Any) -> Any:
    """Instantiates `config[group]`, its lists and mappings as plain ones.

    Raises:
        UserError: the node names no class, its class refuses the arguments, or it makes what has no place there; the
            message begins with the group.
    """
    node = OmegaConf.select(config, group)
    if node is None:
        raise UserError(f"{group}: the config has none; choose one by {group}=NAME.")
    if "_target_" not in node:
        raise UserError(f"{group}: the config names no class (_target_); choose one by {group}=NAME.")
    for key, value in arguments.items():
        if key in node and node[key] != value:  # it would go unread
            raise UserError(f"nothing reads the key `{group}.{key}` (= {node[key]}): leave it out.")
    try:
        made = instantiate(node, _convert_="all", **arguments)
    except OmegaConfBaseException as failure:
        raise UserError(f"{group}: {brief(failure)}.") from failure
    except InstantiationException as failure:
        raise _refusal(group, node, failure.__cause__ or failure) from failure
    if isinstance(made, partial):
        return _guarded(group, node, made)
    check_made(group, node, made)
    return made


def make_if_any(config: DictConfig, group: str) -> Any:
    """What `make` makes of a group that may be empty, or None."""
    return make(config, group) if config.get(group) else None


def make_without(config: DictConfig, group: str, *keys: str, **arguments: Any) -> Any:
    """What `make` makes of a group without these keys, which are no matter of its class."""
    node = config[group]
    own = OmegaConf.masked_copy(node, [key for key in node if key not in keys])
    return make(OmegaConf.create({group: own}), group, **arguments)


def check_made(group: str, node: Any, made: Any) -> None:
    """Refuses what a `_target_` has made where it is none of what the others of its group are."""
    fits, what = _is_such(group.partition(".")[0], made)
    if not fits:
        raise ConfigError(f"{group}._target_", target_of(node), f"must make {what}")


def _is_such(group: str, made: Any) -> tuple[bool, str]:
    """Whether something has a place in the group, and what has; what is large is imported where it is needed anyway."""
    if group in ("encoder", "decoder", "bottleneck"):
        from torch import nn

        from diabolo.network.protocols import Bottleneck

        if group == "bottleneck":
            return isinstance(made, nn.Module) and isinstance(made, Bottleneck), "a module with size and in_features"
        return isinstance(made, nn.Module), "a torch.nn.Module"
    if group in ("loss", "augmentation", "corruption", "penalty", "metrics"):
        return callable(made), "something that can be called"
    import lightning
    from lightning.pytorch.loggers import Logger

    from diabolo.training.learner import Learner

    classes: dict[str, tuple[type, str]] = {
        "callbacks": (lightning.Callback, "a Callback"),
        "data": (lightning.LightningDataModule, "a LightningDataModule"),
        "logger": (Logger, "a Logger"),
        "task": (Learner, "a Learner"),
        "trainer": (lightning.Trainer, "a Trainer"),
    }
    wanted, what = classes.get(group, (object, "a part"))
    return isinstance(made, wanted), what


def _guarded(group: str, node: Any, half: partial[Any]) -> Callable[..., Any]:
    """A partial whose class, called later, refuses its arguments in the same words as one called at once."""

    @wraps(half.func, updated=())
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return half(*args, **kwargs)
        except (TypeError, ValueError, AttributeError, UserError) as failure:
            raise _refusal(group, node, failure) from failure

    return call


def _refusal(group: str, node: Any, cause: BaseException) -> BaseException:
    """The error to raise for what a class said about its arguments."""
    if isinstance(cause, ConfigError):
        return cause.within(group)
    if isinstance(cause, UserError):
        return cause
    if isinstance(cause, TypeError | ValueError | ImportError | AttributeError | InstantiationException):
        said = f"{group}: {brief(cause)} ({target_of(node)})"
        elsewhere = "ModuleNotFoundError" in said and not target_of(node).startswith("diabolo.")
        return UserError(f"{said}{'; go into the folder that this module lies in' if elsewhere else ''}.")
    return cause


def brief(failure: BaseException) -> str:
    """The first line of a message, with the next one where the first only announces it."""
    lines = str(failure).strip().splitlines()
    said = " ".join(lines[: 2 if lines[0].endswith(":") else 1]) if lines else type(failure).__name__
    return said.rstrip(".")


def target_of(node: Any) -> str:
    return str(node.get("_target_", "no _target_")) if isinstance(node, DictConfig) else repr(node)
