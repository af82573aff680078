"""A bar for each unit of the code: how much it varies, and what the bottleneck measures of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from diabolo.callbacks.layout import figure_image
from diabolo.callbacks.pictures import Drawing
from diabolo.errors import check_int

if TYPE_CHECKING:
    from diabolo.data.datamodule import ImageData
    from diabolo.training.autoencoder_module import AutoencoderModule


class Units(Drawing):
    """Draws a bar for each unit of the code, in their order: its standard deviation over the split, and below it what
    the bottleneck measures of each unit, if anything (KL divergence, bits, frequency of use).

    Args:
        images: how many from the start of the split.
        split, every_n_epochs: as in `Drawing`.
    """

    name = "units"

    def __init__(self, images: int = 2000, split: str = "test", every_n_epochs: int = 5) -> None:
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
        return figure_image(figure)

    def measured(self, module: AutoencoderModule, data: ImageData) -> dict[str, Tensor]:
        """What is drawn: names, each with a number for every unit."""
        autoencoder = module.autoencoder
        parts = torch.arange(min(self.images, data.count(self.split))).split(data.eval_batch_size)
        labels = data.labels(self.split).to(module.device)
        pixels = (module.pixels.to_network(data.images(self.split, part).to(module.device)) for part in parts)
        features = torch.cat(
            [autoencoder.features(some, labels=labels[part]).float() for some, part in zip(pixels, parts, strict=True)]
        )
        codes, _ = autoencoder.bottleneck(features)
        by_unit = {name: values for name, values in autoencoder.diagnostics(features).items() if values.ndim == 1}
        return {"deviation_of_units": codes.std(0), **by_unit}
