"""What a linear code of the same size can do: principal component analysis, the yardstick's second column."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from math import prod

import torch
from sklearn.decomposition import PCA
from torch import Tensor

from diabolo.measures.metrics import Yardstick

MEMORY = 2 << 30  # bytes of float32 images to fit on
EXACT_UP_TO = 4096  # pixels times channels; beyond, the randomised solver


def fitting_images(count: int, image_shape: Sequence[int], most: int = 60_000) -> Tensor:
    """The indices of the training images that PCA is fitted on: all, or spread evenly over them the `most` that are
    wanted and that 2 GiB hold."""
    kept = min(count, most, MEMORY // (4 * prod(image_shape)))
    return torch.linspace(0, count - 1, kept, dtype=torch.float64).round().long()


class LinearCode:
    """PCA with `size` components, fitted on N x C x H x W uint8 images.

    Up to 4,096 numbers an image the components are exact (eigenvectors of the covariance), beyond they come from the
    randomised solver of Halko et al. (2011). More components than the images span reproduce them without error.
    """

    def __init__(self, images: Tensor, size: int) -> None:
        self.shape = tuple(images.shape[1:])
        data = (images.flatten(1).float() / 255).numpy()
        size = min(size, *data.shape)
        solver = "covariance_eigh" if data.shape[1] <= EXACT_UP_TO else "randomized"
        self.pca = PCA(size, svd_solver=solver, random_state=0).fit(data)

    def reconstruct(self, images: Tensor) -> Tensor:
        """N x C x H x W, bytes or floats in [0, 1] -> float32 in the scale of [0, 1]."""
        data = images.flatten(1).float().numpy() / (255 if images.dtype == torch.uint8 else 1)
        ours = self.pca.inverse_transform(self.pca.transform(data))
        return torch.from_numpy(ours).float().view(-1, *self.shape)

    def measure(
        self, parts: Iterable[Tensor], given: Callable[[Tensor], Tensor] = lambda images: images
    ) -> dict[str, float]:
        """The yardstick over images that come in parts, each N x C x H x W uint8, reconstructed from `given(part)`."""
        yardstick = Yardstick()
        for part in parts:
            yardstick.update(self.reconstruct(given(part)), part.float() / 255)
        return {name: float(value) for name, value in yardstick.compute().items()}

    def mse_by_size(self, parts: Iterable[Tensor]) -> Tensor:
        """MSE per pixel with the first 1, 2, ... components, over images in parts, each N x C x H x W uint8: what a
        component takes up of an image's distance to the mean is no longer error."""
        taken, distance, numbers = torch.zeros(self.pca.n_components_, dtype=torch.float64), 0.0, 0
        for part in parts:
            data = (part.flatten(1).float() / 255).numpy()
            projected = torch.from_numpy(self.pca.transform(data)).double()  # N x size
            taken += projected.square().sum(0)
            distance += float(torch.from_numpy(data - self.pca.mean_).double().square().sum())
            numbers += data.size
        return (distance - taken.cumsum(0)).clamp(min=0) / numbers
