"""Random codes: drawn from a bottleneck's prior, or from Gaussians that are fitted to training codes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from diabolo.callbacks.pictures import encoded
from diabolo.errors import UserError, check_choice
from diabolo.measures.mixture import CodeMixture
from diabolo.network.protocols import CanSample

if TYPE_CHECKING:
    from diabolo.data.datamodule import ImageData
    from diabolo.training.autoencoder_module import AutoencoderModule

SOURCES = ("prior", "gaussian", "mixture")
COMPONENTS = 10  # Gaussians of a mixture, as in Ghosh et al. 2020
FIT_ON = 10_000  # training codes


def sources_of(module: AutoencoderModule) -> list[str]:
    """Those of `SOURCES` that the model's codes can be drawn from."""
    has_prior = isinstance(module.autoencoder.bottleneck, CanSample)
    return [source for source in SOURCES if has_prior or source != "prior"]


def drawn(
    module: AutoencoderModule,
    data: ImageData,
    count: int,
    source: str | None = None,
    components: int = COMPONENTS,
    seed: int = 0,
    fit_on: int = FIT_ON,
) -> tuple[Tensor, str]:
    """`count` random codes, count x size float32 on the CPU, and where they come from, in words. The same arguments
    give the same codes, and no random state is changed.

    Args:
        module: in evaluation mode.
        source: one of `SOURCES`, or None for the prior where there is one, else a mixture.
        components: the most Gaussians of a mixture.
        seed: of the fit and of what is drawn.
        fit_on: training codes that Gaussians are fitted to, from the start of the split.

    Raises:
        UserError: no such source, or the bottleneck has no prior.
    """
    bottleneck = module.autoencoder.bottleneck
    if source is None:
        source = sources_of(module)[0] if isinstance(bottleneck, CanSample) else "mixture"
    if check_choice("source", source, SOURCES) == "prior":
        if not isinstance(bottleneck, CanSample):
            raise UserError(
                f"samples of the prior: the bottleneck {type(bottleneck).__name__} has none; take gaussian or mixture,"
                " which are fitted to the codes of the training images."
            )
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return bottleneck.sample(count).float().cpu(), "samples of the prior"
    with torch.no_grad():
        codes = encoded(module, data, "train", fit_on)
    mixture = CodeMixture(codes, 1 if source == "gaussian" else components, seed)
    return mixture.sample(count), f"samples of {mixture} fitted to {len(codes):,} training codes"
