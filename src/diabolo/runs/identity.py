"""What identifies a run: for each config key, said once, what it decides.

Names, sweeps, runs that go on and the report all ask here. A key that a run's own extension adds below a group that
`KINDS` names (`encoder.heads`) is of the kind of its group.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from enum import Enum
from typing import Any

from omegaconf import DictConfig, OmegaConf

Flat = dict[str, Any]  # dotted keys -> values; lists stay lists


class Kind(Enum):
    """What a config key decides."""

    MODEL = "what is trained, and on what: another value makes another run"
    IMAGES = "which images it is measured on: another run, whose figures do not compare"
    DRAWING = "what is drawn and logged: the same run, seen otherwise"
    COMPUTING = "how it is computed: the same run, its figures the same up to rounding"
    WHERE = "where it runs and where things lie: the same run"


KINDS: dict[str, Kind] = {  # a key is of the kind of its longest beginning in this table
    "seed": Kind.MODEL,
    "task": Kind.MODEL,
    "model": Kind.MODEL,
    "encoder": Kind.MODEL,
    "bottleneck": Kind.MODEL,
    "penalty": Kind.MODEL,
    "decoder": Kind.MODEL,
    "corruption": Kind.MODEL,
    "augmentation": Kind.MODEL,
    "loss": Kind.MODEL,
    "optimizer": Kind.MODEL,
    "scheduler": Kind.MODEL,
    "data._target_": Kind.MODEL,
    "data.batch_size": Kind.MODEL,
    "data.val_fraction": Kind.MODEL,
    "data.limit": Kind.MODEL,
    "data.train_classes": Kind.MODEL,
    "data.exclude_classes": Kind.MODEL,
    "data.mean": Kind.MODEL,
    "data.std": Kind.MODEL,
    "data.image_shape": Kind.IMAGES,
    "data.depth": Kind.IMAGES,
    "data.value_range": Kind.IMAGES,
    "data.shown_channels": Kind.DRAWING,
    "data.source": Kind.IMAGES,
    "data.test_fraction": Kind.IMAGES,
    "data.test_limit": Kind.IMAGES,
    "data.limit_by": Kind.IMAGES,  # but see `kind`
    "data.split_seed": Kind.IMAGES,
    "data.block": Kind.COMPUTING,
    "data.eval_batch_size": Kind.COMPUTING,
    "data.num_workers": Kind.COMPUTING,
    "data.source.memory_limit": Kind.COMPUTING,
    "data.source.disk_limit": Kind.COMPUTING,
    "data.source.cache_limit": Kind.COMPUTING,
    "data.source.download": Kind.WHERE,
    "data.root": Kind.WHERE,  # but see `kind`
    "trainer._target_": Kind.MODEL,
    "trainer.max_epochs": Kind.MODEL,
    "trainer.precision": Kind.MODEL,
    "trainer.gradient_clip": Kind.MODEL,
    "trainer.early_stopping": Kind.MODEL,
    "trainer.ema": Kind.MODEL,
    "trainer.overfit": Kind.MODEL,
    "trainer.monitor": Kind.MODEL,
    "trainer.strategy": Kind.MODEL,
    "trainer.compile": Kind.COMPUTING,
    "trainer.threads": Kind.COMPUTING,
    "trainer.detect_anomaly": Kind.COMPUTING,
    "trainer.accelerator": Kind.WHERE,
    "trainer.devices": Kind.WHERE,  # but see `kind`
    "callbacks": Kind.DRAWING,  # but see `kind`
    "metrics": Kind.DRAWING,  # they change no weight, and no figure but their own
    "logger": Kind.DRAWING,
    "published": Kind.WHERE,  # is said beside the run's figures, and changes none
    "published.source": Kind.WHERE,
    "published.figures": Kind.WHERE,
    "rerun": Kind.WHERE,
    "hydra": Kind.WHERE,
}
TRAINING_IMAGES = ("data.val_fraction", "data.limit", "data.limit_by", "data.train_classes", "data.exclude_classes")
"""Keys of the model that decide which images it is trained on, as PCA beside it is."""

OWN_CALLBACKS = "diabolo.callbacks."  # look and draw and change nothing
SEED = re.compile(r"seed=\d+")


def placed(key: str) -> str | None:
    """The entry of `KINDS` that a dotted key falls under, or None."""
    while key and key not in KINDS:
        key = key.rpartition(".")[0]
    return key or None


def kind(key: str, config: Mapping[str, Any] | None = None) -> Kind:
    """What a dotted key decides; a key that `KINDS` does not know, as an extension's, makes another run.

    Five keys depend on the rest of a flat `config`: `data.root` names the images where the data set has no name of its
    own, `data.limit_by` matters where there is a limit, several `trainer.devices` share each batch under ddp, a
    callback from elsewhere may change the training, and `callbacks.augmented` draws nothing without an augmentation.
    Without a config they count as what they mostly are.
    """
    entry = placed(key)
    found = KINDS[entry] if entry else Kind.MODEL
    if config is None:
        return found
    if entry == "data.root" and config.get("data.source.dataset") is None:
        return Kind.IMAGES
    if entry == "data.limit_by" and config.get("data.test_limit") is None:
        return Kind.COMPUTING if config.get("data.limit") is None else Kind.MODEL
    if entry == "trainer.devices" and str(config.get("trainer.strategy")).startswith("ddp"):
        return Kind.MODEL
    if key.startswith("callbacks.augmented.") and not any(one.startswith("augmentation.") for one in config):
        return Kind.COMPUTING
    if entry == "callbacks":
        target = config.get(f"{'.'.join(key.split('.')[:2])}._target_")
        own = target is None and config.get(key) is None
        return Kind.DRAWING if own or str(target).startswith(OWN_CALLBACKS) else Kind.MODEL
    return found


def only(config: Mapping[str, Any], *kinds: Kind) -> Flat:
    """The keys of a flat config that are of these kinds, with their values."""
    return {key: value for key, value in config.items() if kind(key, config) in kinds}


def same(one: DictConfig, other: DictConfig) -> bool:
    """Whether two resolved configs describe the same run with the same pictures, wherever and however computed."""
    asked = (Kind.MODEL, Kind.IMAGES, Kind.DRAWING)
    return only(flat(one), *asked) == only(flat(other), *asked)


def settings(config: Mapping[str, Any]) -> dict[str, str]:
    """What makes a run what it is but for its seed, also that of the run an encoder starts from; each value in the
    words of the command line."""
    found = {key: plain(value) for key, value in only(config, Kind.MODEL, Kind.IMAGES).items() if key != "seed"}
    if start := found.get("encoder.init_from"):
        found["encoder.init_from"] = SEED.sub("seed=*", start)
    return found


def measured_on(config: Mapping[str, Any]) -> frozenset[tuple[str, str]]:
    """What decides on which test images a run is measured: runs of equal ones compare."""
    return frozenset((key, plain(value)) for key, value in only(config, Kind.IMAGES).items() if value is not None)


def seen(config: Mapping[str, Any]) -> frozenset[tuple[str, str]]:
    """What decides which images a run sees, in training and in test."""
    trained_on = {
        (key, plain(value))
        for key, value in only(config, Kind.MODEL).items()
        if key in TRAINING_IMAGES and value is not None
    }
    return measured_on(config) | trained_on


def flat(config: DictConfig | Mapping[str, Any]) -> Flat:
    """A nested config with dotted keys; an empty mapping has none."""
    nested: Any = OmegaConf.to_container(config) if isinstance(config, DictConfig) else config
    found: Flat = {}
    for key, value in nested.items():
        if isinstance(value, Mapping):
            found |= {f"{key}.{below}": own for below, own in flat(value).items()}
        else:
            found[str(key)] = value
    return found


def plain(value: Any) -> str:
    """A config value in the words of the command line: 25, [16,32], true, null. A whole number is one however it is
    written, so that 1 and 1.0 are the same."""
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        value = int(value)
    return json.dumps(value, separators=(",", ":"), default=str)
