"""Networks of every kind that conf/ names, small, with weights and statistics as after a training."""

from collections.abc import Iterator
from itertools import product

import torch

from diabolo.runs.build import build_module
from diabolo.runs.config import compose_config
from diabolo.runs.folder import RunFolder
from diabolo.use.trained import Trained
from support import CONF

FILES = {group: {path.stem: path.read_text() for path in sorted((CONF / group).glob("*.yaml"))}
         for group in ("model", "encoder", "decoder", "bottleneck")}  # fmt: skip
UPSAMPLING = ("nearest", "bilinear", "bed_of_nails", "unpool", "pixel_shuffle")
TWICE = ("variational", "importance", "vamp")  # ask for more than the weights of a tied decoder can give back
MIRRORED = ("conv_upsample", "lenet")  # models whose poolings and unpoolings match


def upsamplings(model: str) -> list[str]:
    """The ways of upsampling that a model knows; "" where it has none."""
    decoder = {"conv_upsample": "conv_upsample", "lenet": "lenet", "residual": "residual"}.get(model)
    return [mode for mode in UPSAMPLING if mode != "unpool" or model in MIRRORED] if decoder else [""]


TABLE = [
    (model, bottleneck, upsample)
    for model, bottleneck in product(FILES["model"], FILES["bottleneck"])
    for upsample in upsamplings(model)
    if model != "fc_tied" or bottleneck not in TWICE
]
PAIRS = [(e, d) for e, d in product(FILES["encoder"], FILES["decoder"]) if e == "fc" or d != "fc_tied"]


def few() -> Iterator[tuple[str, str, str]]:
    """As few rows of `TABLE` as show each model, each bottleneck and each way of upsampling."""
    left = {(place, name) for row in TABLE for place, name in enumerate(row)}
    while left:
        row = max(TABLE, key=lambda row: len(left.intersection(enumerate(row))))
        left.difference_update(enumerate(row))
        yield row


FEW = list(few())


def overrides(model: str, bottleneck: str, upsample: str, *more: str) -> tuple[str, ...]:
    """Those of a small network on images of odd sides; a bottleneck of 8 numbers."""
    sized = {
        "vq": ["bottleneck.entries=32"],
        "top_k": ["bottleneck.k=3"],
        "importance": ["loss.reduction=sum"],
        "vamp": ["bottleneck.pseudo_inputs=5"],
    }.get(bottleneck, [])
    wide = ("model.channels=[8,6]", "model.hidden=[16]", "data.image_shape=[1,9,13]", "model.pool=max")
    return (
        f"model={model}", f"bottleneck={bottleneck}", "bottleneck.size=8", *sized, *wide,
        *([f"model.upsample={upsample}"] if upsample else []), *more,
    )  # fmt: skip


def trained_on_noise(*given: str) -> Trained:
    """A run that has not trained but looks as if: statistics of a batch, and biases that are not 0."""
    torch.manual_seed(0)
    config = compose_config(given)
    module = build_module(config)
    images = torch.rand(32, *config.data.image_shape)
    module.autoencoder(module.pixels.to_network(images))
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return Trained(RunFolder("nowhere"), config, module.eval())
