"""How near the images that a model generates are to real ones, beside other ways to come by images."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, cast

import torch
from lightning import Callback, LightningModule, Trainer
from torch import Tensor

from diabolo.callbacks.layout import labelled, rows
from diabolo.callbacks.pictures import after_training, asking, data_of, decode, log_image, reconstructing
from diabolo.callbacks.sampling import COMPONENTS, FIT_ON, drawn, sources_of
from diabolo.data.pixels import unit_interval
from diabolo.data.subsets import evenly_spaced
from diabolo.errors import ConfigError, UserError, check_int
from diabolo.measures.generation import WAYS, Features, generation_figures
from diabolo.measures.mixture import CodeMixture
from diabolo.measures.pca import pca_of

if TYPE_CHECKING:
    from diabolo.data.datamodule import ImageData
    from diabolo.training.autoencoder_module import AutoencoderModule
    from diabolo.training.classifier_module import ClassifierModule

Images = Iterator[Tensor]  # in parts, each N x C x H x W in [0, 1]


class Generation(Callback):
    """Measures images against the test images by the features of a classifier, that which its last linear layer gets
    (see `diabolo.measures.generation`), and logs `test/WAY_frechet_distance`, `test/WAY_kernel_distance`,
    `test/WAY_precision` and `test/WAY_recall` for each WAY to come by images:

    - `real`: training images, which is what can be reached;
    - `reconstructions` of the test images themselves;
    - `prior`, `gaussian`, `mixture`: decoded codes that are drawn from the bottleneck's prior, if it has one, and from
      one Gaussian and a mixture of several, fitted to training codes (Ghosh et al., "From variational to deterministic
      autoencoders", 2020, section 4);
    - `pca`: the same with one Gaussian and the codes of PCA of the same size.

    Of each way there are as many images, clipped to [0, 1], as test images that they are measured against. Since a
    reconstruction is near to its own image, their kernel distance may be less than 0. A row of each way is drawn at the
    end of the run.

    Args:
        features: the folder of the classifier's run.
        count: images of each way, at most: no more than the training and the test split have.
        neighbours: of precision and recall.
        components: Gaussians of the mixture.
        seed: of the fits and of the random codes.
        images: how many of each way are drawn.

    Raises:
        UserError: before the training, the run is a classifier itself, its images have another shape than those that
            the classifier of `features` takes, or there are not more images than features.
    """

    def __init__(
        self,
        features: str,
        count: int = 10_000,
        neighbours: int = 3,
        components: int = COMPONENTS,
        seed: int = 0,
        images: int = 12,
    ) -> None:
        self.features = features
        self.count = check_int("count", count, 2)
        self.neighbours = check_int("neighbours", neighbours)
        self.components = check_int("components", components)
        self.seed = check_int("seed", seed, 0)
        self.images = check_int("images", images)

    def see_by(self, classifier: LightningModule) -> None:
        self.classifier = cast("ClassifierModule", classifier)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        reconstructing(pl_module)
        data, taken = data_of(trainer), self.classifier.classifier.image_shape
        if data.image_shape != taken:
            takes, has = ("x".join(map(str, shape)) for shape in (taken, data.image_shape))
            raise ConfigError(
                "callbacks.generation.features", self.features, f"sees images of {takes}, and this run's are {has}"
            )
        numbers = self._seen(torch.zeros(1, *taken, device=self.classifier.device)).shape[1]
        if (count := self.count_of(data)) <= numbers:
            raise UserError(
                f"the Fréchet distance needs more images than features, and there are {count} of each kind to the"
                f" {numbers} features of {self.features!r}: raise `count` (= {self.count:,}) or use more training and"
                " test images, or a classifier whose last linear layer gets fewer numbers."
            )

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.is_global_zero:
            return
        module, data = reconstructing(pl_module), data_of(trainer)
        count = self.count_of(data)
        figures: dict[str, float] = {}
        self.classifier.to(module.device)
        with asking(module), trainer.precision_plugin.forward_context():
            real = Features.of(images_of(data, "test", count), self._seen)
            for way, images in self.ways(module, data, count).items():
                measured = generation_figures(real, Features.of(images, self._seen), self.neighbours)
                figures |= {f"test/{way}_{name}": value for name, value in measured.items()}
        self.classifier.to("cpu")
        pl_module.log_dict(figures, rank_zero_only=True)

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not after_training(trainer):
            return
        module, data = reconstructing(pl_module), data_of(trainer)
        count = min(self.images, self.count_of(data))
        with asking(module):
            ways = self.ways(module, data, count)
            bands = {WAYS[way]: torch.cat(list(ways[way])) for way in WAYS if way in ways}
        log_image(trainer, "generation", labelled(rows(map(data.shown, bands.values())), list(bands)), None)

    def count_of(self, data: ImageData) -> int:
        """How many images of each way there are."""
        return min(self.count, data.count("train"), data.count("test"))

    def ways(self, module: AutoencoderModule, data: ImageData, count: int) -> dict[str, Images]:
        """`count` images of each way, made as they are asked for."""
        return {
            "real": images_of(data, "train", count),
            "reconstructions": self._reconstructions(module, data, count),
            **{source: self._samples(module, data, count, source) for source in sources_of(module)},
            "pca": self._pca_samples(data, count, module.autoencoder.code_size),
        }

    def _reconstructions(self, module: AutoencoderModule, data: ImageData, count: int) -> Images:
        for images in images_of(data, "test", count):
            yield module.reconstruct(module.corrupted(images.to(module.device))).clamp(0, 1)

    def _samples(self, module: AutoencoderModule, data: ImageData, count: int, source: str) -> Images:
        codes, _ = drawn(module, data, count, source, self.components, self.seed)
        for part in codes.split(data.eval_batch_size):
            yield decode(module, part.to(module.device)).clamp(0, 1)

    def _pca_samples(self, data: ImageData, count: int, size: int) -> Images:
        pca = pca_of(data, size)
        codes = torch.cat([pca.encode(part) for part in images_of(data, "train", FIT_ON)])
        for part in CodeMixture(codes, 1, self.seed).sample(count).split(data.eval_batch_size):
            yield pca.decode(part).clamp(0, 1)

    def _seen(self, images: Tensor) -> Tensor:
        """N x C x H x W in [0, 1] -> features, N x numbers, in float32 whatever the precision of the run."""
        with torch.no_grad(), torch.autocast(self.classifier.device.type, enabled=False):
            return self.classifier.features(images.float().to(self.classifier.device))


def images_of(data: ImageData, split: str, count: int) -> Images:
    """`count` images, spread evenly over a split."""
    for indices in evenly_spaced(data.count(split), count).split(data.eval_batch_size):
        yield unit_interval(data.images(split, indices))
