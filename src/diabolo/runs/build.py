"""Config in, the parts of a run out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from inspect import signature
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from diabolo.errors import ConfigError, UserError, check_positive
from diabolo.measures.metric_names import DESCRIBED, describe
from diabolo.runs.make import brief, check_made, make, make_if_any, make_without, target_of

if TYPE_CHECKING:
    from lightning import Trainer
    from torch import nn

    from diabolo.data.augmentation import Augmentation
    from diabolo.data.datamodule import ImageData
    from diabolo.measures.image_metrics import ImageMetric
    from diabolo.network.autoencoder import Autoencoder
    from diabolo.training.learner import Learner


def build_data(config: DictConfig) -> ImageData:
    """The datamodule; nothing is read before its `setup`."""
    return make(config, "data", seed=config.seed)


def build_autoencoder(config: DictConfig) -> Autoencoder:
    """The network with fresh weights: encoder, bottleneck and decoder for the image's shape."""
    from diabolo.data.shape import check_image_shape
    from diabolo.network.autoencoder import Autoencoder
    from diabolo.network.condition import Condition
    from diabolo.network.layers import initialise, spectrally_normalised

    shape = check_image_shape(config.data.image_shape)
    bottleneck = _bottleneck(config)
    classes = config.bottleneck.classes if config.bottleneck.get("conditional") else 0
    condition = Condition(classes, bottleneck.in_features) if classes else None
    encoder = _encoder(config, shape, bottleneck.in_features)
    width = bottleneck.size + classes  # of what the decoder takes
    decoder = make_without(config, "decoder", "spectral_norm", image_shape=shape, in_features=width)
    for part in (encoder, decoder):
        initialise(part, config.model.init)
    if config.decoder.get("spectral_norm"):
        spectrally_normalised(decoder)
    penalty = make_if_any(config, "penalty")
    return Autoencoder(encoder, bottleneck, decoder, shape, config.model.output, penalty, condition)


def build_encoder(config: DictConfig) -> nn.Module:
    """The encoder alone, with fresh weights, giving as many numbers as the bottleneck takes."""
    from diabolo.data.shape import check_image_shape
    from diabolo.network.layers import initialise

    shape = check_image_shape(config.data.image_shape)
    encoder = _encoder(config, shape, _bottleneck(config).in_features)
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
        raise ConfigError("task._target_", target_of(config.task), "must make a Learner") from failure
    parts = {name: part(config) for name, part in PARTS.items() if name in takes}
    if "augmentation" not in takes and build_augmentation(config) is not None:
        raise UserError(f"`augmentation` has no place in `task` ({target_of(config.task)}): take augmentation=none.")
    if "pixels" in takes:
        parts["pixels"] = (data or build_data(config)).pixels
    module: Learner = task(**parts)
    check_made("task", config.task, module)
    return module.to(memory_format=torch.channels_last)  # convolutions take 1.1 to 1.5 times as long in the other


def build_augmentation(config: DictConfig) -> Augmentation | None:
    """What is done to the training images, or None for nothing."""
    nodes = (config.get("augmentation") or {}).items()
    parts = {name: make(config, f"augmentation.{name}") for name, node in nodes if node}
    if not parts:
        return None
    from diabolo.data.augmentation import Augmentation

    return Augmentation(parts)


def build_metrics(config: DictConfig) -> dict[str, ImageMetric]:
    """The metrics beside the yardstick by name, each tried on images of the config's shape. From then on tables and
    `trainer.monitor` know their titles and directions."""
    from diabolo.measures.image_metrics import check_metrics

    nodes = {name: node for name, node in (config.get("metrics") or {}).items() if node}
    describe(nodes)
    metrics = {}
    for name, node in nodes.items():
        own = OmegaConf.masked_copy(node, [key for key in node if key not in DESCRIBED])
        metrics[name] = make(OmegaConf.create({"metrics": {name: own}}), f"metrics.{name}")
    check_metrics(metrics, config.data.image_shape)
    return metrics


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
    schedule = make_if_any(config, "scheduler")
    settings = schedule(optimizer, TRIED_STEPS) if schedule is not None else {"scheduler": None}
    if not isinstance(settings, Mapping) or "scheduler" not in settings:
        name = config.scheduler._target_
        rule = "must give a mapping with `scheduler` and `interval`, as diabolo.training.cosine does"
        raise ConfigError("scheduler._target_", name, rule)
    try:
        optimizer.step()
    except Exception as failure:
        raise UserError(f"optimizer: {brief(failure)} ({target_of(config.optimizer)}).") from failure


TRIED_STEPS = 100


def _optimizer(config: DictConfig) -> Any:
    """parameters -> optimiser. Torch takes floats alone as betas, and a 0 on the command line is none."""
    betas = config.optimizer.get("betas")
    return make(config, "optimizer", **({} if betas is None else {"betas": [float(beta) for beta in betas]}))


PARTS: dict[str, Callable[[DictConfig], Any]] = {  # by the name of a LightningModule's argument
    "autoencoder": build_autoencoder,
    "encoder": build_encoder,
    "bottleneck": lambda config: _unconditional(config),
    "image_shape": lambda config: config.data.image_shape,
    "loss": lambda config: make(config, "loss"),
    "optimizer": _optimizer,
    "scheduler": lambda config: make_if_any(config, "scheduler"),
    "augmentation": build_augmentation,
    "corruption": lambda config: make_if_any(config, "corruption"),
    "penalty": lambda config: make_if_any(config, "penalty"),
}


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


def _bottleneck(config: DictConfig) -> Any:
    """The config's bottleneck; whether encoder and decoder are given labels is no matter of its class."""
    return make_without(config, "bottleneck", "conditional", "classes")


def _unconditional(config: DictConfig) -> Any:
    """The bottleneck of a network that is given no labels, as a classifier is none."""
    if config.bottleneck.get("conditional"):
        raise ConfigError("bottleneck.conditional", True, f"has no place in `task` ({target_of(config.task)})")
    return _bottleneck(config)


def _encoder(config: DictConfig, shape: Sequence[int], features: int) -> nn.Module:
    """The config's encoder, out of training where it says so; where it starts from is no matter of its class."""
    from diabolo.network.layers import freeze

    encoder = make_without(config, "encoder", "init_from", "frozen", image_shape=shape, out_features=features)
    return freeze(encoder) if config.encoder.get("frozen") else encoder
