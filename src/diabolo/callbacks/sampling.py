"""Random codes: drawn from a run's prior, or from Gaussians that are fitted to training codes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from diabolo.callbacks.pictures import encoded
from diabolo.errors import UserError, check_choice
from diabolo.measures.mixture import CodeMixture

if TYPE_CHECKING:
    from diabolo.data.datamodule import ImageData
    from diabolo.training.autoencoder_module import AutoencoderModule

SOURCES = ("prior", "gaussian", "mixture")
COMPONENTS = 10  # Gaussians of a mixture, as in Ghosh et al. 2020
FIT_ON = 10_000  # training codes


def sources_of(module: AutoencoderModule) -> list[str]:
    """Those of `SOURCES` that the model's codes can be drawn from."""
    return [source for source in SOURCES if module.autoencoder.has_prior or source != "prior"]


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
        fit_on: training codes that Gaussians are fitted to, spread evenly over the split.

    Raises:
        UserError: no such source, or the run has no prior.
    """
    autoencoder = module.autoencoder
    if source is None:
        source = "prior" if autoencoder.has_prior else "mixture"
    if check_choice("source", source, SOURCES) == "prior":
        if not autoencoder.has_prior:
            raise UserError(
                f"samples of the prior: the bottleneck {type(autoencoder.bottleneck).__name__} has none; take gaussian"
                " or mixture, which are fitted to the codes of the training images."
            )
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return autoencoder.sample(count).float().cpu(), "samples of the prior"
    with torch.no_grad():
        codes = encoded(module, data, "train", fit_on, spread=True)
    mixture = CodeMixture(codes, 1 if source == "gaussian" else components, seed)
    return mixture.sample(count), f"samples of {mixture} fitted to {len(codes):,} training codes"
