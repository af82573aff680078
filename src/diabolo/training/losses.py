"""Reconstruction losses: modules that take the reconstruction and its target, the clean images, both N x C x H x W
float32, and give a scalar.

They see the scale the network is trained on. A loss with `on_logits = True` is handed the decoder's output before the
output activation, which then has to be a sigmoid. `reduction` is "mean" (over all pixels, channels and images) or "sum"
(over the pixels and channels of an image, then the mean over images). Losses that compare more than one pixel at a time
are in `diabolo.training.structural_losses`.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import ClassVar, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from diabolo.errors import ConfigError, UserError, check_choice, check_positive

REDUCTIONS = ("mean", "sum")


@runtime_checkable
class KnowsLogits(Protocol):
    """A loss that says whether it takes the decoder's output before the output activation."""

    on_logits: bool


def on_logits(loss: nn.Module) -> bool:
    """Whether `loss` takes logits."""
    return isinstance(loss, KnowsLogits) and loss.on_logits


class PixelLoss(nn.Module):
    """A loss that is a function of each pixel by itself.

    Args:
        reduced: (reconstruction, target, reduction="mean" or "sum") -> scalar.
        reduction: "mean" or "sum".
    """

    on_logits: ClassVar[bool] = False

    def __init__(self, reduced: Callable[..., Tensor], reduction: str) -> None:
        super().__init__()
        self.reduced = reduced
        self.reduction = check_choice("reduction", reduction, REDUCTIONS)

    def forward(self, reconstruction: Tensor, target: Tensor) -> Tensor:
        loss = self.reduced(reconstruction, target, reduction=self.reduction)
        return loss if self.reduction == "mean" else loss / len(target)

    def per_image(self, reconstruction: Tensor, target: Tensor) -> Tensor:
        """The loss of each image, N: the sum or the mean over its pixels and channels."""
        losses = self.reduced(reconstruction, target, reduction="none").flatten(1)
        return losses.mean(1) if self.reduction == "mean" else losses.sum(1)


def is_log_likelihood(loss: nn.Module) -> bool:
    """Whether a loss is, up to a constant, minus the log of the likelihood of an image: a sum over its pixels. Squared
    errors stand for a Gaussian of variance 1/2 a pixel, absolute ones for a Laplace distribution of scale 1, `bce` for
    Bernoulli's."""
    return isinstance(loss, PixelLoss) and loss.reduction == "sum"


class MSE(PixelLoss):
    """Squared error."""

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__(F.mse_loss, reduction)


class MAE(PixelLoss):
    """Absolute error (L1)."""

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__(F.l1_loss, reduction)


class Huber(PixelLoss):
    """Squared below `delta`, linear above (Huber 1964)."""

    def __init__(self, delta: float = 0.1, reduction: str = "mean") -> None:
        check_positive("delta", delta)
        super().__init__(partial(F.huber_loss, delta=delta), reduction)


class SmoothL1(PixelLoss):
    """Huber's loss divided by its threshold `beta`, so that its slope is 1 whatever the threshold (Girshick 2015)."""

    def __init__(self, beta: float = 0.1, reduction: str = "mean") -> None:
        check_positive("beta", beta)
        super().__init__(partial(F.smooth_l1_loss, beta=beta), reduction)


class BCE(PixelLoss):
    """Binary cross-entropy of pixels in [0, 1] as probabilities, computed on logits by log-sum-exp."""

    on_logits = True

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__(F.binary_cross_entropy_with_logits, reduction)


class Mix(nn.Module):
    """The weighted sum of other losses; those of weight 0 are left out.

    With a term on logits the mix is on logits too and applies the sigmoid itself for the others.

    Args:
        terms: losses by name.
        weights: of each, 0 or more.
    """

    def __init__(self, terms: Mapping[str, nn.Module], weights: Mapping[str, float]) -> None:
        super().__init__()
        if unknown := set(weights) - set(terms):
            raise UserError(f"`weights` names {sorted(unknown)}, which `terms` ({sorted(terms)}) does not have.")
        self.weights = {name: float(weight) for name, weight in weights.items() if weight}
        if not self.weights or min(self.weights.values()) < 0:
            raise ConfigError("weights", dict(weights), "must have a positive and no negative weight")
        self.terms = nn.ModuleDict({name: terms[name] for name in self.weights})
        self.on_logits = any(on_logits(term) for term in self.terms.values())

    def forward(self, reconstruction: Tensor, target: Tensor) -> Tensor:
        probabilities = torch.sigmoid(reconstruction) if self.on_logits else reconstruction
        return torch.stack(
            [
                weight * self.terms[name](reconstruction if on_logits(self.terms[name]) else probabilities, target)
                for name, weight in self.weights.items()
            ]
        ).sum()
