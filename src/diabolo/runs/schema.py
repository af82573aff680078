"""What every config key may hold: a type and a range, checked all at once before anything is made.

The ranges are wide: a value outside of them is a mistake, not an experiment. What several keys decide together (a code
that a codebook's entries divide) is checked by the classes themselves, as is everything when they are used from Python.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from omegaconf import DictConfig, OmegaConf

from diabolo.data.shape import DEPTHS, MOST_CHANNELS, check_image_shape, check_shown_channels, check_value_range
from diabolo.errors import ConfigError, UserError, check_between, check_bool
from diabolo.measures.metric_names import DESCRIBED, MOST_DIGITS
from diabolo.runs.checks import (
    LARGEST_SEED,
    Check,
    below_one,
    betas,
    class_name,
    compile_mode,
    devices,
    either,
    folder,
    integer,
    integers,
    interval,
    is_list,
    kernel,
    labels,
    mapping,
    not_negative,
    number,
    numbers,
    one_of,
    optional,
    pairs,
    part_of_pixels,
    pixel_scale,
    plain,
    positive,
    precision,
    published_figures,
    shade,
    share,
    split,
    subfolder,
    text,
)
from diabolo.runs.together import together

ACTIVATIONS = ("identity", "relu", "leaky_relu", "elu", "gelu", "silu", "tanh", "sigmoid")

SEED = integer(0, LARGEST_SEED)
DRAWN = integer(1, 10_000)  # images in a picture
LOOKED_AT = integer(1, 1_000_000)  # images or codes that are measured
FITTED_ON = integer(0, 100_000_000)
MOST_EPOCHS = 10**12  # as good as for ever
EPOCHS = integer(0, MOST_EPOCHS)
SCALE = positive(1e6)
ACTIVATION = optional(one_of(*ACTIVATIONS))

SHAPED: dict[str, Check] = {  # of `model`, and of encoder and decoder, which take them from there
    "channels": integers(1, 100_000),
    "hidden": integers(1, empty=True),
    "kernel": kernel,
    "strides": optional(integers(1, 255)),
    "stack": integer(0, 1000),
    "head": one_of("linear", "mlp", "conv", "spatial", "places"),
    "pool": one_of("max", "average"),
    "upsample": one_of("nearest", "bilinear", "bed_of_nails", "unpool", "pixel_shuffle"),
    "blocks": integer(0, 1000),
    "activation": ACTIVATION,
    "norm": one_of("none", "batch", "group"),
}
LOSS: dict[str, Check] = {  # also of each term of a mix
    "reduction": one_of("mean", "sum"),
    "delta": SCALE,
    "beta": SCALE,
    "window": integer(3, 1023),
    "levels": integer(1, 5),
    "pixel": one_of("mse", "mae"),
    "weight": not_negative(1e6),
    "operator": one_of("difference", "sobel"),
    "alpha": not_negative(100),
    "patch_factor": integer(1, 8192),
    "ave_spectrum": check_bool,
    "log_matrix": check_bool,
    "mean": optional(pixel_scale(-1e3, 1e3)),
    "std": optional(pixel_scale(1e-6, 1e3)),
    "channels": integer(1, MOST_CHANNELS),
}
SCHEMA: dict[str, Check] = {  # * is any one part of a key
    "rerun": check_bool,
    "published": optional(mapping),
    "published.source": text,
    "published.figures": published_figures,
    "seed": SEED,
    "task": mapping,
    "task.classes": integer(2),
    "task.head": check_bool,
    "model": mapping,
    **{f"model.{key}": check for key, check in SHAPED.items()},
    "model.init": one_of("default", "xavier", "kaiming", "orthogonal"),
    "model.output": one_of(*ACTIVATIONS),
    "encoder": mapping,
    **{f"encoder.{key}": check for key, check in SHAPED.items()},
    "encoder.init_from": optional(folder),
    "encoder.frozen": check_bool,
    "decoder": optional(mapping),
    "decoder.spectral_norm": check_bool,
    **{f"decoder.{key}": check for key, check in SHAPED.items()},
    "bottleneck": mapping,
    "bottleneck.conditional": check_bool,
    "bottleneck.classes": integer(2, 1_000_000),
    "bottleneck.size": integer(1, 10_000_000),
    "bottleneck.activation": ACTIVATION,
    "bottleneck.levels": integers(2, 1_000_000),
    "bottleneck.k": integer(1, 10_000_000),
    "bottleneck.entries": integer(2, 10_000_000),
    "bottleneck.dim": integer(1, 100_000),
    "bottleneck.commitment": not_negative(1e6),
    "bottleneck.decay": check_between,
    "bottleneck.replace_below": not_negative(1e9),
    "bottleneck.beta": not_negative(1e6),
    "bottleneck.free_bits": not_negative(1e6),
    "bottleneck.warmup_steps": integer(0, 10**9),
    "bottleneck.warmup_epochs": EPOCHS,
    "bottleneck.sizes": optional(integers(1, 10_000_000)),
    "bottleneck.power": number(-100, 100),
    "bottleneck.truncations": integer(1, 10_000),
    "bottleneck.hidden": integer(0),
    "bottleneck.noise": positive(1e3),
    "bottleneck.draws": integer(1, 10_000),
    "bottleneck.pseudo_inputs": integer(1, 1_000_000),
    "bottleneck.image_shape": lambda key, value: check_image_shape(value),
    "penalty": optional(mapping),
    "penalty.weight": positive(1e9),
    "penalty.probes": optional(integer(1, 10_000)),
    "penalty.kernel": one_of("imq", "gaussian"),
    "penalty.scales": numbers,
    "penalty.projections": integer(1, 100_000),
    "penalty.diagonal": not_negative(1e9),
    "penalty.covariance": one_of("means", "codes"),
    "penalty.gradient": not_negative(1e9),
    "loss": optional(mapping),
    **{f"loss.{key}": check for key, check in LOSS.items()},
    "loss.terms": mapping,
    "loss.terms.*": mapping,
    **{f"loss.terms.*.{key}": check for key, check in LOSS.items()},
    "loss.weights": mapping,
    "loss.weights.*": not_negative(1e6),
    "optimizer": mapping,
    "optimizer.lr": positive(1e9),
    "optimizer.betas": betas,
    "optimizer.momentum": below_one,
    "optimizer.nesterov": check_bool,
    "optimizer.weight_decay": not_negative(100),
    "optimizer.fused": optional(check_bool),
    "optimizer.foreach": optional(check_bool),
    "optimizer.amsgrad": check_bool,
    "optimizer.maximize": check_bool,
    "optimizer.capturable": check_bool,
    "optimizer.differentiable": check_bool,
    "optimizer.centered": check_bool,
    "optimizer.decoupled_weight_decay": check_bool,
    "optimizer.dampening": not_negative(1e3),
    "optimizer.eps": not_negative(1e3),
    "scheduler": optional(mapping),
    "scheduler.rise": check_between,
    "scheduler.final": not_negative(1e3),
    "scheduler.patience": EPOCHS,
    "scheduler.factor": check_between,
    "scheduler.lowest": not_negative(1e3),
    "scheduler.monitor": text,
    "corruption": optional(mapping),
    "corruption.std": positive(1e3),
    "corruption.clip": check_bool,
    "corruption.part": part_of_pixels,
    "corruption.factor": integer(2, 8192),
    "corruption.side": integer(1, 8192),
    "corruption.fill": shade,
    "augmentation": optional(mapping),
    "augmentation.*": optional(mapping),
    "augmentation.*.horizontal": number(0, 1),
    "augmentation.*.vertical": number(0, 1),
    "augmentation.*.pixels": integer(1, 8192),
    "augmentation.*.padding": one_of("border", "reflection", "zeros"),
    "augmentation.*.area": interval(0.01, 1),
    "augmentation.*.ratio": interval(0.1, 10),
    "augmentation.*.degrees": number(0, 180),
    "augmentation.*.brightness": number(0, 1),
    "augmentation.*.contrast": number(0, 1),
    "augmentation.*.saturation": number(0, 1),
    "data": mapping,
    "data.root": optional(folder),
    "data.image_shape": lambda key, value: check_image_shape(value),
    "data.depth": one_of(*DEPTHS),
    "data.value_range": check_value_range,
    "data.shown_channels": check_shown_channels,
    "data.batch_size": integer(),
    "data.eval_batch_size": optional(integer()),
    "data.block": optional(integer()),
    "data.val_fraction": share,
    "data.test_fraction": share,
    "data.limit": optional(integer(1, 10**9)),
    "data.test_limit": optional(integer(1, 10**9)),
    "data.limit_by": one_of("sample", "first"),
    "data.train_classes": optional(labels),
    "data.exclude_classes": optional(labels),
    "data.split_seed": SEED,
    "data.mean": LOSS["mean"],
    "data.std": LOSS["std"],
    "data.num_workers": optional(integer(0, 512)),
    "data.source": mapping,
    "data.source.dataset": text,
    "data.source.train": mapping,
    "data.source.train.*": plain,
    "data.source.test": mapping,
    "data.source.test.*": plain,
    "data.source.download": check_bool,
    "data.source.transpose": check_bool,
    "data.source.images": optional(text),
    "data.source.labels": optional(text),
    "data.source.axes": optional(one_of("NHW", "NHWC", "NCHW")),
    "data.source.path": optional(text),
    "data.source.label": optional(text),
    "data.source.split": optional(split),
    "data.source.folder": optional(folder),
    "data.source.hub": optional(text),
    "data.source.image": optional(text),
    "data.source.disk_limit": optional(integer(1, 2**50)),
    "data.source.fit": one_of("crop", "stretch", "pad"),
    "data.source.unreadable": one_of("refuse", "skip"),
    "data.source.memory_limit": integer(0, 2**50),
    "data.source.cache_limit": integer(0, 2**50),
    "trainer": mapping,
    "trainer.max_epochs": integer(1, MOST_EPOCHS),
    "trainer.accelerator": one_of("auto", "cpu", "gpu", "mps"),
    "trainer.devices": devices,
    "trainer.strategy": one_of("auto", "ddp", "ddp_find_unused_parameters_true"),
    "trainer.precision": precision,
    "trainer.gradient_clip": optional(positive(1e12)),
    "trainer.early_stopping": optional(integer(1, MOST_EPOCHS)),
    "trainer.ema": optional(check_between),
    "trainer.compile": compile_mode,
    "trainer.monitor": text,
    "trainer.threads": optional(integer(1, 1024)),
    "trainer.overfit": optional(integer()),
    "trainer.detect_anomaly": check_bool,
    "metrics": optional(mapping),
    "metrics.*": optional(mapping),
    "metrics.*.title": text,
    "metrics.*.better": one_of("min", "max"),
    "metrics.*.unit": text,
    "metrics.*.digits": integer(0, MOST_DIGITS),
    "logger": optional(mapping),
    "logger.name": optional(subfolder),
    "logger.version": optional(subfolder),
    "logger.default_hp_metric": check_bool,
    "callbacks": optional(mapping),
    "callbacks.*": optional(mapping),
    "callbacks.*.split": one_of("train", "val", "test"),
    "callbacks.*.every_n_epochs": EPOCHS,
    "callbacks.augmented.epochs": integer(1, 1000),
    "callbacks.*.histogram_every_n_epochs": EPOCHS,
    "callbacks.*.images": DRAWN,
    "callbacks.codes.images": LOOKED_AT,
    "callbacks.projector.images": LOOKED_AT,
    "callbacks.units.images": LOOKED_AT,
    "callbacks.reconstructions.images": either(is_list, integers(0, 10**9, empty=True), DRAWN),
    "callbacks.progression.images": either(is_list, integers(0, 10**9, empty=True), DRAWN),
    "callbacks.*.image": integer(0, 10**9),
    "callbacks.*.most_images": FITTED_ON,
    "callbacks.*.most_codes": integer(1, 100_000_000),
    "callbacks.*.codes": LOOKED_AT,
    "callbacks.*.most_rows": integer(2, 10_000),
    "callbacks.*.most": integer(1, 10_000),
    "callbacks.*.neighbours": integer(0, 10_000),
    "callbacks.*.random": integer(0, 1000),
    "callbacks.*.seed": SEED,
    "callbacks.*.steps": integer(2, 1000),
    "callbacks.*.pairs": pairs,
    "callbacks.*.labels": pairs,
    "callbacks.*.units": integer(1, 1000),
    "callbacks.*.side": integer(2, 1000),
    "callbacks.*.columns": integer(1, 1000),
    "callbacks.*.count": LOOKED_AT,
    "callbacks.*.features": folder,
    "callbacks.*.lines": integer(1, 1000),
    "callbacks.*.components": integer(1, 10_000),
    "callbacks.*.patience": integer(),
    "callbacks.*.period": integer(2, 8192),
    "callbacks.*.sizes": optional(integers(1, 10_000_000)),
    "callbacks.*.baselines": check_bool,
    "callbacks.*.error_map": check_bool,
    "callbacks.*.params": mapping,
    "callbacks.*.params.*": plain,
}
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
