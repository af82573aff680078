"""What the numbers of a code mean: each varied by itself, and a plane of them decoded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from lightning import LightningModule, Trainer
from torch import Tensor

from diabolo.callbacks.layout import figure_image, labelled, rows, shrink, titled
from diabolo.callbacks.pictures import Drawing, decode, encoded, images_at, reconstructing, traversals
from diabolo.data.pixels import unit_interval
from diabolo.errors import UserError, check_int

if TYPE_CHECKING:
    from diabolo.data.datamodule import ImageData
    from diabolo.training.autoencoder_module import AutoencoderModule

INNER = (0.01, 0.99)  # the quantiles of a unit's values between which it is varied
LARGEST_MAP = 1200  # pixels of a grid of decoded images
COLOUR_MAP = "tab10"


class Traversals(Drawing):
    """Draws a row for each unit of the code: the code of one image, with this unit varied from the 1st to the 99th
    percentile of its values over the split, decoded. Above the rows stand the image and its reconstruction.

    The units that change the output most come first: by the variance of the output over the row, averaged over the
    pixels. The label gives the root of this mean, in the units of [0, 1].

    Args:
        image: index into the split.
        units: the most rows.
        steps: images in a row.
        codes: how many codes, from the start of the split, give the percentiles.
        split, every_n_epochs: as in `Drawing`.

    Raises:
        UserError: when drawing, an index that the split does not have.
    """

    name = "traversals"

    def __init__(
        self,
        image: int = 0,
        units: int = 10,
        steps: int = 11,
        codes: int = 2000,
        split: str = "test",
        every_n_epochs: int = 5,
    ) -> None:
        super().__init__(split, every_n_epochs)
        self.image = check_int("image", image, 0)
        self.units, self.steps = check_int("units", units), check_int("steps", steps, 2)
        self.codes = check_int("codes", codes, 2)

    def draw(self, module: AutoencoderModule, data: ImageData) -> Tensor:
        pixels = images_at(data, self.split, [self.image], "image").to(module.device)
        label = data.labels(self.split)[[self.image]]
        code = module.encode(pixels, label).float()  # 1 x size
        low, high = encoded(module, data, self.split, self.codes).quantile(torch.tensor(INNER), 0).to(code)
        lines, response = traversals(module, code, low, high, self.steps, label)
        shown = response.argsort(descending=True, stable=True)[: self.units].tolist()
        head = torch.ones(self.steps, *data.image_shape)
        head[0], head[1] = unit_interval(pixels[0].cpu()), module.decode(code, label)[0].cpu()
        picture = rows(map(data.shown, [head, *(lines[unit] for unit in shown)]))
        labels = ["image, reconstruction", *(f"unit {unit + 1}: {response[unit]:.3f}" for unit in shown)]
        count = f"{len(shown)} of {len(lines)}" if len(shown) < len(lines) else f"all {len(lines)}"
        title = f"{count} units, first those that change the output most (RMS per pixel), from 1st to 99th percentile"
        return titled(labelled(picture, labels), title)


class LatentMap(Drawing):
    """Draws a plane of codes: on the left a grid of them decoded, on the right the codes of the split, coloured by
    label.

    A code of two numbers is the plane itself. For a longer one the plane is spanned by the first two principal
    components of the codes, through their mean; the title says so, with their share of the variance.

    Args:
        side: decoded images in a row and in a column.
        codes: how many codes, from the start of the split.
        split, every_n_epochs: as in `Drawing`.

    Raises:
        UserError: the code has one number only, or the network is conditional.
    """

    name = "latent_map"

    def __init__(self, side: int = 20, codes: int = 5000, split: str = "test", every_n_epochs: int = 5) -> None:
        super().__init__(split, every_n_epochs)
        self.side = check_int("side", side, 2)
        self.codes = check_int("codes", codes, 3)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if reconstructing(pl_module).autoencoder.code_size < 2:
            raise UserError("a code of one number spans no plane: set bottleneck.size above 1 or drop latent_map.")
        if reconstructing(pl_module).autoencoder.condition is not None:
            raise UserError(
                "`bottleneck.conditional` (= true) leaves a plane of codes without labels to decode it by: drop"
                " latent_map."
            )

    def draw(self, module: AutoencoderModule, data: ImageData) -> Tensor:
        codes = encoded(module, data, self.split, self.codes)
        origin, axes, names, title = _plane(codes)
        flat = (codes - origin) @ axes.T  # N x 2
        low, high = flat.quantile(torch.tensor(INNER), 0)
        high = torch.maximum(high, low + 1e-6)  # dead units have equal quantiles
        ticks = [torch.linspace(float(low[i]), float(high[i]), self.side) for i in (0, 1)]
        grid = torch.cartesian_prod(ticks[1].flip(0), ticks[0]).flip(1)  # the second axis upwards, as in the plot
        images = decode(module, (origin + grid @ axes).to(module.device))
        images = shrink(data.shown(images).clamp(0, 1).cpu(), max(8, LARGEST_MAP // self.side))
        return self._plot(images, flat.numpy(), data.labels(self.split)[: len(flat)], (low, high), names, title)

    def _plot(
        self,
        images: Tensor,
        flat: np.ndarray,
        labels: Tensor,
        ends: tuple[Tensor, Tensor],
        names: tuple[str, str],
        title: str,
    ) -> Tensor:
        from matplotlib.figure import Figure

        height, width = images.shape[-2:]
        tiles = images.view(self.side, self.side, -1, height, width).permute(2, 0, 3, 1, 4)
        sheet = tiles.reshape(-1, self.side * height, self.side * width).expand(3, -1, -1)
        (left, bottom), (right, top) = ((float(value) for value in end) for end in ends)
        figure = Figure(figsize=(15, 7.5), dpi=100, layout="constrained")
        figure.suptitle(title)
        decoded, scattered = figure.subplots(1, 2)
        decoded.imshow(sheet.permute(1, 2, 0).numpy(), extent=(left, right, bottom, top), aspect="auto")
        for label in labels.unique().tolist():
            one = flat[labels.numpy() == label]
            named = str(label) if label >= 0 else "no label"
            scattered.scatter(one[:, 0], one[:, 1], s=6, alpha=0.6, color=_colour(label), label=named, linewidths=0)
        if len(labels.unique()) <= 20:
            scattered.legend(markerscale=3, frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
        scattered.plot([left, right, right, left, left], [bottom, bottom, top, top, bottom], "k-", linewidth=0.8)
        decoded.set(xlabel=names[0], ylabel=names[1], title="decoded")
        scattered.set(xlabel=names[0], ylabel=names[1], title="codes by label; the frame is what stands on the left")
        return figure_image(figure)


def _plane(codes: Tensor) -> tuple[Tensor, Tensor, tuple[str, str], str]:
    """Origin (size) and two axes (2 x size) of the plane, the axes' names and the title."""
    size = codes.shape[1]
    if size == 2:
        return torch.zeros(2), torch.eye(2), ("unit 1", "unit 2"), "the plane of the two code units"
    mean = codes.mean(0)
    _, spread, axes = torch.linalg.svd(codes - mean, full_matrices=False)
    share = float(spread[:2].square().sum() / spread.square().sum().clamp(min=1e-12))
    title = f"the plane of the first two principal components of the {size} code units: {share:.0%} of their variance"
    return mean, axes[:2], ("component 1", "component 2"), title


def _colour(label: int) -> tuple[float, ...] | str:
    from matplotlib import colormaps

    return colormaps[COLOUR_MAP](label % 10) if label >= 0 else "grey"
