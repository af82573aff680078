"""The autoencoder: encoder, bottleneck and decoder, checked where they meet."""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from diabolo.errors import UserError, check_choice
from diabolo.network.condition import Condition
from diabolo.network.layers import ACTIVATIONS, activation, settled
from diabolo.network.protocols import (
    CanSample,
    HasDiagnostics,
    HasPosterior,
    HoldsToPrior,
    OfDecoder,
    OfPosterior,
    TiesWeights,
    size_of,
)
from diabolo.network.upsampling import Switched, Switches


class AutoencoderOutput(NamedTuple):
    """What one pass of images through the autoencoder gives."""

    raw: Tensor  # N x C x H x W, float32, before the output activation
    code: Tensor  # N x size
    penalty: Tensor | None  # scalar, to be added to the loss; or one a code, see `WeighsDraws`
    features: Tensor  # N x in_features, the encoder's, of which the bottleneck makes the code


class Autoencoder(nn.Module):
    """x -> decoder(bottleneck(encoder(x))), images in the network's scale.

    Args:
        encoder: N x C x H x W -> N x `in_features` of the bottleneck.
        bottleneck: N x `in_features` -> codes, N x `size`, and a penalty; see `diabolo.network.protocols`.
        decoder: N x `size` -> N x C x H x W, before the output activation.
        image_shape: (channels, height, width).
        output: activation of the reconstruction (see `diabolo.network.layers.ACTIVATIONS`); it is applied in float32
            whatever the precision of the network.
        penalty: one of `diabolo.training.penalties` and its like, added to the bottleneck's own.
        condition: where labels are given to encoder and decoder, how; `labels` are then asked for wherever an image or
            a code is given, N int64. Others do without.

    Raises:
        UserError: the encoder does not give what the bottleneck asks for, or the decoder not the image's shape; or
            the decoder unpools and the encoder has no max-poolings to match; or the penalty looks at Gaussians, and the
            bottleneck has none.
    """

    switch_count: int  # positions of maxima that a reconstruction uses beside the code; 0 but where the decoder unpools

    def __init__(
        self,
        encoder: nn.Module,
        bottleneck: nn.Module,
        decoder: nn.Module,
        image_shape: Sequence[int],
        output: str = "sigmoid",
        penalty: nn.Module | None = None,
        condition: Condition | None = None,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.bottleneck = bottleneck
        self.decoder = decoder
        self.penalty = penalty
        self.condition = condition
        for part in (bottleneck, decoder):
            if isinstance(part, TiesWeights):
                part.tie(encoder)
        self.output_name = output
        self.output = activation(check_choice("model.output", output, ACTIVATIONS))
        self.image_shape = tuple(image_shape)
        self.code_size = size_of(bottleneck)
        self.unpools = isinstance(decoder, Switched) and decoder.unpools
        self._check()

    def features(self, images: Tensor, switches: Switches | None = None, labels: Tensor | None = None) -> Tensor:
        """N x C x H x W in the network's scale -> N x `in_features` of the bottleneck."""
        features = _through(self.encoder, images, switches)
        return features if self.condition is None else self.condition.features(features, labels)

    def encode(self, images: Tensor, switches: Switches | None = None, labels: Tensor | None = None) -> Tensor:
        """N x C x H x W in the network's scale -> N x size; max-poolings push their switches onto a given stack."""
        features = self.features(images, switches, labels)
        if isinstance(self.bottleneck, HasPosterior) and not self.bottleneck.training:
            return self.bottleneck.posterior(features)[0].to(features.dtype)  # without what its divergence costs
        code, _ = self.bottleneck(features)
        return code

    def decode(self, code: Tensor, switches: Switches | None = None, labels: Tensor | None = None) -> Tensor:
        """N x size -> N x C x H x W in the network's scale, float32; a decoder that unpools does without switches
        where none are given."""
        return self.output(self._raw(code, switches, labels))

    def reconstruct(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """N x C x H x W in the network's scale to their reconstructions, float32: decoded from their codes and, where
        the decoder unpools, from their own switches."""
        switches: Switches | None = [] if self.unpools else None
        return self.decode(self.encode(images, switches, labels), switches, labels)

    def forward(self, images: Tensor, labels: Tensor | None = None) -> AutoencoderOutput:
        switches: Switches | None = [] if self.unpools else None
        features = self.features(images, switches, labels)
        code, penalty = self.bottleneck(features)
        if self.penalty is not None:
            with settled(self.bottleneck):
                own = self._penalised(images, code, features, labels)
            penalty = own if penalty is None else penalty + own
        return AutoencoderOutput(self._raw(code, switches, labels), code, penalty, features)

    @property
    def has_prior(self) -> bool:
        """Whether one can draw codes without having seen any: from the bottleneck's prior, or the penalty's."""
        return isinstance(self.bottleneck, CanSample) or isinstance(self.penalty, HoldsToPrior)

    def sample(self, count: int) -> Tensor:
        """Codes drawn from the prior, `count` x `size`.

        Raises:
            UserError: there is none.
        """
        if isinstance(self.bottleneck, CanSample):
            return self.bottleneck.sample(count)
        if isinstance(self.penalty, HoldsToPrior):
            return self.penalty.prior(count, self.code_size)
        raise UserError(f"neither the bottleneck ({type(self.bottleneck).__name__}) nor a penalty has a prior.")

    @property
    def has_diagnostics(self) -> bool:
        return any(isinstance(part, HasDiagnostics) for part in (self.bottleneck, self.penalty))

    def diagnostics(self, features: Tensor) -> dict[str, Tensor]:
        """Figures of the code over a split, from its N x in_features float32; see `HasDiagnostics`."""
        code, _ = self.bottleneck(features)
        figures: dict[str, Tensor] = {}
        for part, values in ((self.bottleneck, features), (self.penalty, code)):
            if isinstance(part, HasDiagnostics):
                figures |= part.diagnostics(values)
        return figures

    def _raw(self, code: Tensor, switches: Switches | None, labels: Tensor | None) -> Tensor:
        """The decoder's output in float32, before the output activation."""
        given = code if self.condition is None else self.condition.code(code, labels)
        return _through(self.decoder, given, switches).float()

    def _penalised(self, images: Tensor, code: Tensor, features: Tensor, labels: Tensor | None) -> Tensor:
        """What the penalty says of that which it looks at."""
        assert self.penalty is not None
        if isinstance(self.penalty, OfPosterior):
            bottleneck = cast(HasPosterior, self.bottleneck)
            return self.penalty.of_posterior(code, *bottleneck.posterior(features))
        if isinstance(self.penalty, OfDecoder):
            return self.penalty.of_decoder(code, partial(self.decode, labels=labels))
        return self.penalty(images, code, partial(self.encode, labels=labels))

    @torch.no_grad()
    def _check(self) -> None:
        if isinstance(self.penalty, OfPosterior) and not isinstance(self.bottleneck, HasPosterior):
            raise UserError(
                f"`penalty` ({type(self.penalty).__name__}) looks at the Gaussians of a variational bottleneck, and"
                f" `bottleneck` ({type(self.bottleneck).__name__}) has none: take bottleneck=variational."
            )
        training = self.training
        self.eval()
        switches: Switches | None = [] if self.unpools else None
        labels = torch.zeros(1, dtype=torch.long)
        features = _through(self.encoder, torch.zeros(1, *self.image_shape), switches)
        wanted = self.bottleneck.in_features
        if features.shape != (1, wanted):
            raise UserError(
                f"the encoder ({type(self.encoder).__name__}) gives {tuple(features.shape[1:])} for an image of"
                f" {self.image_shape}, but the bottleneck ({type(self.bottleneck).__name__}) takes ({wanted},)."
            )
        code, _ = self.bottleneck(features)
        pushed = list(switches or ())
        images = self._raw(code, switches, labels)
        self.switch_count = sum(switch.places.numel() for switch in pushed[len(switches or ()) :])
        if images.shape[1:] != self.image_shape:
            raise UserError(
                f"the decoder ({type(self.decoder).__name__}) gives {tuple(images.shape[1:])} for a code of"
                f" {self.code_size}, but the images are {self.image_shape}."
            )
        self.train(training)


def _through(layers: nn.Module, values: Tensor, switches: Switches | None) -> Tensor:
    """`layers(values)`, with the stack of switches for those who know what to do with it."""
    known = switches is not None and isinstance(layers, Switched)
    return layers(values, switches) if known else layers(values)
