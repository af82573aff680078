"""The LightningModule of an autoencoder: its loss and its yardstick. It knows no concrete family, loss or picture."""

from collections.abc import Callable, Mapping, Sequence
from math import log
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from diabolo.data.batches import Batches
from diabolo.data.pixels import PixelScale
from diabolo.errors import Diverged, UserError
from diabolo.measures.image_metrics import ImageMetric
from diabolo.measures.yardstick import Collected, Yardstick
from diabolo.network.autoencoder import Autoencoder, AutoencoderOutput
from diabolo.network.protocols import CountsImages, FollowsEpochs, WeighsDraws
from diabolo.training.epoch_loss import ADVICE
from diabolo.training.given import check_labels, given
from diabolo.training.learner import Learner
from diabolo.training.lightning_internals import datamodule_of
from diabolo.training.losses import PixelLoss, is_log_likelihood, on_logits
from diabolo.training.protocols import Augments, Batch, Corrupts

Labels = Tensor | np.ndarray | int | None
"""The labels of N images or codes: N whole numbers, or one for all of them."""

Measured = dict[str, Tensor]
"""What a test step gives to callbacks: `reconstructions` and `targets`, N x C x H x W in the scale of [0, 1]; `codes`,
N x size; `ssim` and each further metric by its name, N."""


def geometric_mean(losses: Sequence[Tensor]) -> Tensor:
    """One loss of several, in whose gradient each counts by what it changes relative to itself."""
    return torch.stack(list(losses)).clamp(min=1e-12).log().mean().exp()


def importance_bound(losses: Tensor) -> Tensor:
    """Minus the log of the mean importance weight, averaged over the images (Burda et al. 2016, section 3).

    Args:
        losses: draws x N, minus the logarithms of p(x|z) p(z) / q(z|x).
    """
    return (log(len(losses)) - (-losses).logsumexp(0)).mean()


class AutoencoderModule(Learner):
    """Trains an autoencoder and measures it by the yardstick.

    Outside training it is the model itself: `encode`, `decode` and `reconstruct` speak of images in [0, 1].

    Args:
        autoencoder: the network.
        loss: takes (reconstruction, target), N x C x H x W in the network's scale, and gives a scalar; see
            `diabolo.training.losses`.
        optimizer, scheduler, pixels, augmentation: as in `Learner`.
        corruption: what is done to the images before the network sees them; see `diabolo.data.corruptions`. Loss and
            yardstick compare what the network makes of them with the clean images.

    Raises:
        UserError: the loss is computed on logits but the output is no sigmoid, or the data are not in [0, 1]; or the
            bottleneck weighs draws by their likelihoods, and the loss is none.
    """

    def __init__(
        self,
        autoencoder: Autoencoder,
        loss: nn.Module,
        optimizer: Callable[..., Optimizer] | None = None,
        scheduler: Callable[[Optimizer, int], dict[str, Any]] | None = None,
        pixels: PixelScale | None = None,
        corruption: Corrupts | None = None,
        augmentation: Augments | None = None,
    ) -> None:
        super().__init__(optimizer, scheduler, pixels, corruption, augmentation)
        self.autoencoder = autoencoder
        self.loss = loss
        self.on_logits = on_logits(loss)
        if self.on_logits and autoencoder.output_name != "sigmoid":
            raise UserError(
                f"`model.output` (= {autoencoder.output_name!r}) must be sigmoid for `loss` ({type(loss).__name__}),"
                " which is computed on its logits: set it, or choose another loss."
            )
        if self.on_logits and self.pixels.normalises:
            raise UserError(
                f"`data.mean` and `data.std` must be null for `loss` ({type(loss).__name__}), which needs pixels in"
                " [0, 1]: set both, or choose another loss."
            )
        if isinstance(autoencoder.bottleneck, WeighsDraws) and not is_log_likelihood(loss):
            raise UserError(
                f"`bottleneck` ({type(autoencoder.bottleneck).__name__}) weighs draws by the likelihood of an image,"
                f" and `loss` ({type(loss).__name__}) says none: take loss=mse, mae or bce with loss.reduction=sum."
            )
        self.also_measure({})
        self.features = Collected()  # the encoder's, of the split that is being measured

    # ---- the model, in [0, 1] ----

    # A conditional network needs labels beside images and codes, N or one for all; others do without, and take no
    # notice of them.

    def encode(self, images: Tensor | np.ndarray, labels: Labels = None) -> Tensor:
        """N x C x H x W, as stored or floats in [0, 1] -> codes, N x size."""
        return self.autoencoder.encode(self._given(images), labels=self._labels(labels, len(images)))

    def decode(self, codes: Tensor | np.ndarray, labels: Labels = None) -> Tensor:
        """N x size -> images, N x C x H x W float32 in the scale of [0, 1] (not clipped), of the code alone."""
        codes = given("codes", codes, [self.autoencoder.code_size], self.device)
        return self.pixels.to_unit(self.autoencoder.decode(codes, labels=self._labels(labels, len(codes))))

    def reconstruct(self, images: Tensor | np.ndarray, labels: Labels = None) -> Tensor:
        """N x C x H x W, as stored or floats in [0, 1] -> reconstructions in the scale of [0, 1], of the code and of
        the switches where the decoder unpools; where there is a corruption, corrupted images -> their restorations."""
        known = self._labels(labels, len(images))
        return self.pixels.to_unit(self.autoencoder.reconstruct(self._given(images), known))

    def _labels(self, labels: Labels, count: int) -> Tensor | None:
        """`count` labels that the network knows, int64; None where it asks for none, or for none that are given."""
        condition = self.autoencoder.condition
        if condition is None or labels is None:
            return None
        known = torch.as_tensor(labels, dtype=torch.long, device=self.device)
        if known.ndim and known.shape != (count,):
            raise UserError(f"labels must be {count}, one for each, or one for all, not {list(known.shape)}.")
        known = known.expand(count)
        if count and not 0 <= int(known.min()) <= int(known.max()) < condition.classes:
            raise UserError(
                f"labels must be whole numbers from 0 to {condition.classes - 1} for this network"
                f" (bottleneck.classes = {condition.classes}), not {known.min()} to {known.max()}."
            )
        return known

    def _given(self, images: Tensor | np.ndarray) -> Tensor:
        return self.pixels.to_network(given("images", images, self.autoencoder.image_shape, self.device))

    forward = reconstruct

    # ---- steps ----

    def also_measure(self, metrics: Mapping[str, ImageMetric]) -> None:
        self.metrics = dict(metrics)
        self.yardsticks = nn.ModuleDict({split: Yardstick(self.metrics) for split in ("val", "test")})

    def trained(self) -> nn.Module:
        return self.autoencoder

    def training_loss(self, images: Tensor, labels: Tensor) -> Tensor:
        target = self.pixels.to_network(images)
        seen = target if self.corruption is None else self.pixels.to_network(self.corruption(images))
        return self._objective(self.autoencoder(seen, labels), target)

    def on_fit_start(self) -> None:
        if self.autoencoder.condition is not None:
            check_labels(datamodule_of(self.trainer), self.autoencoder.condition.classes, "bottleneck.classes")

    def on_train_start(self) -> None:
        super().on_train_start()
        batches = self.trainer.train_dataloader
        if isinstance(self.autoencoder.penalty, CountsImages) and isinstance(batches, Batches):
            self.autoencoder.penalty.training_images.fill_(batches.order.count)

    def on_train_epoch_start(self) -> None:
        super().on_train_epoch_start()
        if isinstance(self.autoencoder.bottleneck, FollowsEpochs):
            self.autoencoder.bottleneck.start_epoch(self.current_epoch)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self._measure("val", batch)

    def test_step(self, batch: Batch, batch_idx: int) -> Measured:
        return self._measure("test", batch)  # for callbacks, which so need no pass of their own

    def on_validation_epoch_end(self) -> None:
        self._report("val")

    def on_test_epoch_end(self) -> None:
        self._report("test")

    # ---- inside ----

    def _objective(self, out: AutoencoderOutput, target: Tensor) -> Tensor:
        """Loss plus penalty, in float32 whatever the precision of the network."""
        with torch.autocast(target.device.type, enabled=False):
            reconstruction = out.raw if self.on_logits else self.autoencoder.output(out.raw)
            if out.penalty is not None and out.penalty.ndim:  # one a code
                parts = reconstruction.split(len(target))
                losses = torch.stack([cast(PixelLoss, self.loss).per_image(part, target) for part in parts])
                return importance_bound(losses + out.penalty.float().view_as(losses))
            if len(reconstruction) == len(target):  # else several codes an image; a split of one would cost a copy
                loss = self.loss(reconstruction, target)
            else:
                loss = geometric_mean([self.loss(part, target) for part in reconstruction.split(len(target))])
            return loss if out.penalty is None else loss + out.penalty.float()

    def _measure(self, split: str, batch: Batch) -> Measured:
        target = self.pixels.to_network(batch[0])
        seen = target if self.corruption is None else self.pixels.to_network(self.corrupted(batch[0]))
        out: AutoencoderOutput = self.autoencoder(seen, batch[1])
        with torch.autocast(target.device.type, enabled=False):
            reconstructions = self.pixels.to_unit(self.autoencoder.output(out.raw))
            targets = self.pixels.to_unit(target)
            per_image = self._yardstick(split).per_image(reconstructions, targets)
            self._yardstick(split).update(reconstructions, targets, per_image)
        if self.autoencoder.unpools:  # how much of the figures the code alone would reach
            alone = (self.decode(out.code, batch[1]) - targets).square().mean()
            self.log(f"{split}/mse_of_code_alone", alone, batch_size=len(target), sync_dist=True)
        self.log(f"{split}/loss", self._objective(out, target), batch_size=len(target), sync_dist=True)
        if self.autoencoder.has_diagnostics:
            self.features.update(out.features)
        if out.penalty is not None:
            self.log(f"{split}/penalty", out.penalty.float(), batch_size=len(target), sync_dist=True)
        return {**per_image, "reconstructions": reconstructions, "targets": targets, "codes": out.code.float()}

    def _yardstick(self, split: str) -> Yardstick:
        return cast(Yardstick, self.yardsticks[split])

    def _report(self, split: str) -> None:
        yardstick = self._yardstick(split)
        values = {f"{split}/{name}": value for name, value in yardstick.compute().items()}
        yardstick.reset()
        if not bool(values[f"{split}/mse"].isfinite()):
            raise Diverged(f"`{split}/mse` is {float(values[f'{split}/mse'])} after step {self.global_step}{ADVICE}")
        if self.autoencoder.has_diagnostics:
            figures = self.autoencoder.diagnostics(self.features.compute())
            values |= {f"code/{name}": value for name, value in figures.items() if value.ndim == 0}
        self.features.reset()
        self.log_dict({name: value.float() for name, value in values.items()})
