"""A bar for each unit of the code: how much it varies, and what its bottleneck measures of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from diabolo.callbacks.captions import plotted
from diabolo.callbacks.pictures import Drawing
from diabolo.errors import check_int

if TYPE_CHECKING:
    from diabolo.data.datamodule import ImageData
    from diabolo.training.autoencoder_module import AutoencoderModule


class Units(Drawing):
    """The standard deviation of each code unit over the split, and below it what the bottleneck says of its units (KL,
    bits, frequency of use), units in their order.

    Args:
        images: so many at most, from the start of the split.
    """

    name = "units"

    def __init__(self, images: int = 2000, split: str = "test", every_n_epochs: int = 1) -> None:
        super().__init__(split, every_n_epochs)
        self.images = check_int("images", images, 2)

    def draw(self, module: AutoencoderModule, data: ImageData) -> Tensor:
        from matplotlib.figure import Figure
        from matplotlib.ticker import MaxNLocator

        figures = self.measured(module, data)
        figure = Figure(figsize=(8, 2.5 * len(figures)), dpi=100, layout="constrained")
        for axes, (name, values) in zip(
            figure.subplots(len(figures), squeeze=False)[:, 0], figures.items(), strict=True
        ):
            axes.bar(range(1, len(values) + 1), values.cpu().numpy())
            axes.set(title=name.replace("_", " "), xlabel="unit")
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        return plotted(figure)

    def measured(self, module: AutoencoderModule, data: ImageData) -> dict[str, Tensor]:
        """What is drawn: a name and a number per unit each."""
        autoencoder = module.autoencoder
        parts = torch.arange(min(self.images, data.count(self.split))).split(data.eval_batch_size)
        pixels = (data.images(self.split, part).to(module.device) for part in parts)
        features = torch.cat([autoencoder.encoder(module.pixels.to_network(part)).float() for part in pixels])
        codes, _ = autoencoder.bottleneck(features)
        of_units = {name: values for name, values in autoencoder.diagnostics(features).items() if values.ndim == 1}
        return {"deviation_of_units": codes.std(0), **of_units}
