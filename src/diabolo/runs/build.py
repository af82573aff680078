"""Config in, objects out: the only file that instantiates."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial, wraps
from inspect import signature
from typing import TYPE_CHECKING, Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from diabolo.errors import ConfigError, UserError, check_positive

if TYPE_CHECKING:
    from lightning import Callback, Trainer
    from torch import nn

    from diabolo.data.augmentation import Augmentation
    from diabolo.data.datamodule import ImageData
    from diabolo.network.autoencoder import Autoencoder
    from diabolo.training.learner import Learner


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
        raise UserError(f"{group}: {_brief(failure)}.") from failure
    except InstantiationException as failure:
        raise _refusal(group, node, failure.__cause__ or failure) from failure
    if isinstance(made, partial):
        return _guarded(group, node, made)
    _check_made(group, node, made)
    return made


def build_data(config: DictConfig) -> ImageData:
    """The datamodule; nothing is read before its `setup`."""
    return make(config, "data", seed=config.seed)


def build_autoencoder(config: DictConfig) -> Autoencoder:
    """The network with fresh weights: encoder, bottleneck and decoder for the image's shape."""
    from diabolo.data.shape import check_image_shape
    from diabolo.network.autoencoder import Autoencoder
    from diabolo.network.layers import initialise

    shape = check_image_shape(config.data.image_shape)
    bottleneck = make(config, "bottleneck")
    encoder = _encoder(config, shape, bottleneck.in_features)
    decoder = make(config, "decoder", image_shape=shape, in_features=bottleneck.size)
    for part in (encoder, decoder):
        initialise(part, config.model.init)
    return Autoencoder(encoder, bottleneck, decoder, shape, config.model.output, _optional(config, "penalty"))


def build_encoder(config: DictConfig) -> nn.Module:
    """The encoder alone, with fresh weights, giving as many numbers as the bottleneck takes."""
    from diabolo.data.shape import check_image_shape
    from diabolo.network.layers import initialise

    shape = check_image_shape(config.data.image_shape)
    encoder = _encoder(config, shape, make(config, "bottleneck").in_features)
    initialise(encoder, config.model.init)
    return encoder


def build_module(config: DictConfig, data: ImageData | None = None) -> Learner:
    """The LightningModule that `task` names, with fresh weights, for the pixels of `data`, by default those of the
    config. It is given those of `PARTS` that its class has an argument for, and the other keys of `task`."""
    import torch

    if (rate := OmegaConf.select(config, "optimizer.lr")) is not None:
        check_positive("optimizer.lr", rate)
    task = make(config, "task", _partial_=True)
    try:
        takes = signature(task).parameters
    except ValueError as failure:  # of something built in, which tells nothing of its arguments
        raise ConfigError("task._target_", _target(config.task), "must make a Learner") from failure
    parts = {name: part(config) for name, part in PARTS.items() if name in takes}
    if "augmentation" not in takes and build_augmentation(config) is not None:
        raise UserError(f"`augmentation` has no place in `task` ({_target(config.task)}): take augmentation=none.")
    if "pixels" in takes:
        parts["pixels"] = (data or build_data(config)).pixels
    module: Learner = task(**parts)
    _check_made("task", config.task, module)
    return module.to(memory_format=torch.channels_last)  # convolutions take 1.1 to 1.5 times as long in the other


def build_augmentation(config: DictConfig) -> Augmentation | None:
    """What is done to the training images, or None for nothing."""
    nodes = (config.get("augmentation") or {}).items()
    parts = {name: make(config, f"augmentation.{name}") for name, node in nodes if node}
    if not parts:
        return None
    from diabolo.data.augmentation import Augmentation

    return Augmentation(parts)


def check_steps(config: DictConfig) -> None:
    """Has the config's optimiser and scheduler take a step with a weight of nothing, so that arguments which torch
    refuses together, or for the first step only, are told before anything is read.

    Raises:
        UserError: they are refused.
    """
    import torch
    from torch import nn

    on_gpu = config.trainer.accelerator != "cpu" and torch.cuda.is_available()
    weights = nn.Parameter(torch.zeros(2, 2, device="cuda" if on_gpu and config.optimizer.get("capturable") else None))
    weights.grad = torch.zeros_like(weights)
    if not str(config.optimizer._target_).startswith("torch.optim."):  # one's own may want more than weights
        return
    optimizer = _optimizer(config)([weights])
    schedule = _optional(config, "scheduler")
    settings = schedule(optimizer, TRIED_STEPS) if schedule is not None else {"scheduler": None}
    if not isinstance(settings, Mapping) or "scheduler" not in settings:
        name = config.scheduler._target_
        rule = "must give a mapping with `scheduler` and `interval`, as diabolo.training.cosine does"
        raise ConfigError("scheduler._target_", name, rule)
    try:
        optimizer.step()
    except Exception as failure:
        raise UserError(f"optimizer: {_brief(failure)} ({_target(config.optimizer)}).") from failure


TRIED_STEPS = 100


def _optimizer(config: DictConfig) -> Any:
    """parameters -> optimiser. Torch takes floats alone as betas, and a 0 on the command line is none."""
    betas = config.optimizer.get("betas")
    return make(config, "optimizer", **({} if betas is None else {"betas": [float(beta) for beta in betas]}))


PARTS: dict[str, Callable[[DictConfig], Any]] = {  # by the name of a LightningModule's argument
    "autoencoder": build_autoencoder,
    "encoder": build_encoder,
    "bottleneck": lambda config: make(config, "bottleneck"),
    "image_shape": lambda config: config.data.image_shape,
    "loss": lambda config: make(config, "loss"),
    "optimizer": _optimizer,
    "scheduler": lambda config: _optional(config, "scheduler"),
    "augmentation": build_augmentation,
    "corruption": lambda config: _optional(config, "corruption"),
    "penalty": lambda config: _optional(config, "penalty"),
}


def build_callbacks(config: DictConfig, trust: bool = False) -> list[Callback]:
    """The callbacks of the config, without those that are switched off: experiments may set something of a callback
    that the command line has left out. What one of them cannot draw costs no training.

    Args:
        trust: whether to run what the config of another run names by which a callback sees.

    Raises:
        UserError: as `make`; or the run by which a callback sees is not there, or is no classifier.
    """
    from lightning.pytorch.callbacks import BatchSizeFinder, LearningRateFinder

    from diabolo.callbacks.sparing import spared
    from diabolo.runs.loading import load_classifier
    from diabolo.training.protocols import SeesFeatures

    nodes = (config.get("callbacks") or {}).items()
    made = {name: make(config, f"callbacks.{name}") for name, node in nodes if node and "_target_" in node}
    for name, callback in made.items():
        if isinstance(callback, BatchSizeFinder | LearningRateFinder):
            rule = "must not change what the config says of a run: sweep data.batch_size or optimizer.lr instead"
            raise ConfigError(f"callbacks.{name}", type(callback).__name__, rule)
        if isinstance(callback, SeesFeatures):
            try:
                callback.see_by(load_classifier(callback.features, trust))
            except UserError as failure:
                raise UserError(
                    f"callbacks.{name}.features: {failure} Or go without: callbacks.{name}=null."
                ) from failure
    return [spared(callback, name) for name, callback in made.items()]


def build_trainer(config: DictConfig, **arguments: Any) -> Trainer:
    """The Trainer; `arguments` are those of `diabolo.training.trainer.make_trainer` that are not config.

    Raises:
        UserError: as `make`; or callbacks that Lightning cannot have together.
    """
    try:
        return make(config, "trainer", **arguments)
    except RuntimeError as failure:
        if "`callback.state_key` must be unique" not in str(failure):
            raise
        names = {type(callback).__name__ for callback in arguments["callbacks"]}
        name = next((name for name in names if f"`{name}`" in str(failure)), "such a callback")
        raise UserError(
            f"callbacks: a checkpoint would keep what two callbacks note, each a {name}, under one name: leave one out,"
            " or give them different settings."
        ) from failure


def _optional(config: DictConfig, group: str) -> Any:
    """What `make` makes of a group that may be empty, or None."""
    return make(config, group) if config.get(group) else None


def _check_made(group: str, node: Any, made: Any) -> None:
    """Refuses what a `_target_` has made where it is none of what the others of its group are."""
    fits, what = _is_such(group.partition(".")[0], made)
    if not fits:
        raise ConfigError(f"{group}._target_", _target(node), f"must make {what}")


def _is_such(group: str, made: Any) -> tuple[bool, str]:
    """Whether something has a place in the group, and what has; what is large is imported where it is needed anyway."""
    if group in ("encoder", "decoder", "bottleneck"):
        from torch import nn

        from diabolo.network.protocols import Bottleneck

        if group == "bottleneck":
            return isinstance(made, nn.Module) and isinstance(made, Bottleneck), "a module with size and in_features"
        return isinstance(made, nn.Module), "a torch.nn.Module"
    if group in ("loss", "augmentation", "corruption", "penalty"):
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


def _encoder(config: DictConfig, shape: Sequence[int], features: int) -> nn.Module:
    """The config's encoder, out of training where it says so; where it starts from is no matter of its class."""
    from diabolo.network.layers import freeze

    own = [key for key in config.encoder if key not in ("init_from", "frozen")]
    alone = OmegaConf.create({"encoder": OmegaConf.masked_copy(config.encoder, own)})
    encoder = make(alone, "encoder", image_shape=shape, out_features=features)
    return freeze(encoder) if config.encoder.get("frozen") else encoder


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
        said = f"{group}: {_brief(cause)} ({_target(node)})"
        elsewhere = "ModuleNotFoundError" in said and not _target(node).startswith("diabolo.")
        return UserError(f"{said}{'; go into the folder that this module lies in' if elsewhere else ''}.")
    return cause


def _brief(failure: BaseException) -> str:
    """The first line of a message, with the next one where the first only announces it."""
    lines = str(failure).strip().splitlines()
    said = " ".join(lines[: 2 if lines[0].endswith(":") else 1]) if lines else type(failure).__name__
    return said.rstrip(".")


def _target(node: Any) -> str:
    return str(node.get("_target_", "no _target_")) if isinstance(node, DictConfig) else repr(node)
