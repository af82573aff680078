"""Images generated from random codes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from diabolo.callbacks.layout import rows, titled
from diabolo.callbacks.pictures import Drawing, decode, in_turn
from diabolo.callbacks.sampling import COMPONENTS, FIT_ON, drawn
from diabolo.errors import check_int

if TYPE_CHECKING:
    from diabolo.data.datamodule import ImageData
    from diabolo.training.autoencoder_module import AutoencoderModule


class Samples(Drawing):
    """Draws decoded random codes: from the prior of bottleneck or penalty if there is one, else from a mixture of
    Gaussians fitted to training codes (as Ghosh et al., "From variational to deterministic autoencoders", 2020,
    section 4). The title says which. A conditional network is given each label in turn.

    The codes from a prior are the same in every epoch, so that one sees how their images develop.

    Args:
        columns, lines: how many images side by side and one below the other.
        components: Gaussians of the mixture, each with a full covariance.
        codes: how many training codes, spread evenly over the split, the mixture is fitted to.
        seed: of the random codes.
        every_n_epochs: as in `Drawing`.
    """

    name = "samples"

    def __init__(
        self,
        columns: int = 12,
        lines: int = 8,
        components: int = COMPONENTS,
        codes: int = FIT_ON,
        seed: int = 0,
        every_n_epochs: int = 5,
    ) -> None:
        super().__init__("train", every_n_epochs)
        self.columns, self.lines = check_int("columns", columns), check_int("lines", lines)
        self.components = check_int("components", components)
        self.codes = check_int("codes", codes, 2)
        self.seed = check_int("seed", seed, 0)

    def draw(self, module: AutoencoderModule, data: ImageData) -> Tensor:
        count = self.columns * self.lines
        codes, source = drawn(module, data, count, None, self.components, self.seed, self.codes)
        if (condition := module.autoencoder.condition) is not None:
            source += f", of the labels 0 to {condition.classes - 1} in turn"
        images = data.shown(decode(module, codes.to(module.device), in_turn(module, count)))
        return titled(rows(images.split(self.columns)), source)
