"""The callbacks of a run, those that see by another run's network included."""

from __future__ import annotations

from typing import TYPE_CHECKING

from omegaconf import DictConfig

from diabolo.errors import ConfigError, UserError
from diabolo.runs.make import make

if TYPE_CHECKING:
    from lightning import Callback


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
