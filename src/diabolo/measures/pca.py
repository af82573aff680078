"""What a linear code of the same size can do: principal component analysis, the yardstick's second column."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from math import prod
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np
import torch
from sklearn.decomposition import PCA
from torch import Tensor

from diabolo.data.pixels import unit_interval
from diabolo.data.subsets import evenly_spaced
from diabolo.errors import UserError
from diabolo.measures.yardstick import Yardstick

if TYPE_CHECKING:
    from diabolo.data.datamodule import ImageData

log = logging.getLogger(__name__)

MEMORY = 2 << 30  # bytes of float32 images to fit on
EXACT_UP_TO = 4096  # pixels times channels; beyond, the randomised solver


def fitting_images(count: int, image_shape: Sequence[int], most: int = 60_000) -> Tensor:
    """The indices of the training images that PCA is fitted on, N int64: all `count` of them, or, spread evenly over
    them, as many as `most` and a memory of 2 GiB allow."""
    return evenly_spaced(count, min(most, MEMORY // (4 * prod(image_shape))))


class LinearCode:
    """PCA with `size` components, fitted on N x C x H x W images, as stored.

    Up to 4,096 numbers an image the components are exact (eigenvectors of the covariance). Beyond, they come from the
    randomised solver of Halko, Martinsson & Tropp, "Finding structure with randomness", 2011. If there are more
    components than the images span, these images are reproduced without error.

    The images are centred before the solver sees them: it takes the mean off the products, and bright images of little
    contrast would leave nothing but rounding errors there.

    Args:
        images: to fit on, N x C x H x W, as stored.
        size: numbers of the code.

    Attributes:
        mean_image: of the images, C x H x W float32 in [0, 1].
    """

    def __init__(self, images: Tensor, size: int) -> None:
        self.shape = tuple(images.shape[1:])
        data = unit_interval(images.flatten(1)).numpy()
        self.mean = data.mean(0, dtype=np.float64)  # C H W
        self.mean_image = torch.from_numpy(self.mean).float().view(self.shape)
        size = min(size, *data.shape)
        solver = "covariance_eigh" if data.shape[1] <= EXACT_UP_TO else "randomized"
        pca = PCA(size, svd_solver=solver, random_state=0).fit(_less(data, self.mean))
        self.components = pca.components_  # size x C H W, float32

    def encode(self, images: Tensor) -> Tensor:
        """N x C x H x W, as stored or floats in [0, 1] -> codes, N x size float32."""
        return torch.from_numpy(self._centred(images) @ self.components.T)

    def decode(self, codes: Tensor) -> Tensor:
        """Codes, or the first numbers of each, N x size -> N x C x H x W float32 in the scale of [0, 1], not clipped."""
        pixels = codes.numpy() @ self.components[: codes.shape[1]] + self.mean
        return torch.from_numpy(pixels).float().view(-1, *self.shape)

    def reconstruct(self, images: Tensor, size: int | None = None) -> Tensor:
        """N x C x H x W, as stored or floats in [0, 1] -> float32 in the scale of [0, 1], not clipped, of all
        components or of the first `size`."""
        return self.decode(self.encode(images)[:, :size])

    def measure(
        self, parts: Iterable[Tensor], corrupt: Callable[[Tensor], Tensor] = lambda images: images
    ) -> dict[str, float]:
        """The yardstick's metrics by name.

        Args:
            parts: the images, each part N x C x H x W, as stored.
            corrupt: what is done to a part before it is reconstructed; it is compared with the clean part.
        """
        yardstick = Yardstick()
        for part in parts:
            yardstick.update(self.reconstruct(corrupt(part)), unit_interval(part))
        return {name: float(value) for name, value in yardstick.compute().items()}

    def mse_by_size(self, parts: Iterable[Tensor]) -> Tensor:
        """MSE per pixel in [0, 1] with the first 1, 2, ... components, `size` float64, over images in parts, each
        N x C x H x W, as stored.

        Each component takes its share off an image's squared distance to the mean; the rest is the error.
        """
        taken, distance, numbers = np.zeros(len(self.components)), 0.0, 0
        components = self.components.T.astype(np.float64)
        for part in parts:
            data = unit_interval(part.flatten(1)).numpy() - self.mean
            taken += np.square(data @ components).sum(0)
            distance += float(np.square(data).sum())
            numbers += data.size
        return torch.from_numpy((distance - taken.cumsum()).clip(0) / numbers)

    def _centred(self, images: Tensor) -> np.ndarray:
        """N x C x H x W, as stored or floats in [0, 1] -> N x C H W float32, less the mean image."""
        return _less(unit_interval(images.flatten(1)).numpy(), self.mean)


def _less(data: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """N x D float32 less D float64, in float32."""
    return np.subtract(data, mean, dtype=np.float32, casting="same_kind")


_fitted: WeakKeyDictionary[ImageData, dict[tuple[int, int], LinearCode]] = WeakKeyDictionary()


def pca_of(data: ImageData, size: int, most_images: int = 60_000) -> LinearCode:
    """PCA with `size` components of the training images of `data`, fitted once and kept as long as `data`.

    Args:
        data: set up.
        size: numbers of the code.
        most_images: the most training images to fit on, spread evenly over them; large images lower the number to what
            2 GiB hold.
    """
    fitted = _fitted.setdefault(data, {})
    if (size, most_images) not in fitted:
        if (count := data.count("train")) < 2:
            raise UserError(
                "PCA beside the run needs two training images, and there is one: raise data.limit, or leave out the"
                " callbacks that fit it (callbacks.pca=null)."
            )
        chosen = fitting_images(count, data.image_shape, most_images)
        if len(chosen) < count:
            log.info("PCA is fitted on %d of the %d training images", len(chosen), count)
        fitted[size, most_images] = LinearCode(data.images("train", chosen), size)
    return fitted[size, most_images]
