"""Which part has which ability, and that an ability needs nothing but its method."""

import pytest
import torch
from torch import nn

from diabolo.errors import UserError
from diabolo.network import (
    Autoencoder,
    Bottleneck,
    CanFindNearest,
    CanSample,
    CanTruncate,
    CountsImages,
    FCDecoder,
    FCEncoder,
    FCTiedDecoder,
    FiniteScalar,
    FollowsEpochs,
    HasDiagnostics,
    HasPosterior,
    HoldsToPrior,
    Importance,
    Nested,
    Noisy,
    OfDecoder,
    OfPosterior,
    TiesWeights,
    TopK,
    Vamp,
    Variational,
    Vector,
    VectorQuantised,
    WeighsDraws,
)
from diabolo.training import DIP, L1, MMD, RAE, Contractive, SlicedWasserstein, TotalCorrelation

ABILITIES = (
    CanFindNearest,
    CanSample,
    CanTruncate,
    CountsImages,
    FollowsEpochs,
    HasDiagnostics,
    HasPosterior,
    HoldsToPrior,
    OfDecoder,
    OfPosterior,
    TiesWeights,
    WeighsDraws,
)
GAUSSIAN = {CanSample, FollowsEpochs, HasDiagnostics, HasPosterior}
PARTS = {
    Vector: (lambda: Vector(4), set()),
    Variational: (lambda: Variational(4), GAUSSIAN),
    Importance: (lambda: Importance(4), {*GAUSSIAN, WeighsDraws}),
    Vamp: (lambda: Vamp(4, (1, 8, 8)), {*GAUSSIAN, TiesWeights}),
    Nested: (lambda: Nested(4), {CanTruncate}),
    TopK: (lambda: TopK(4, 2), {CanFindNearest, HasDiagnostics}),
    Noisy: (lambda: Noisy(4), {HasDiagnostics}),
    VectorQuantised: (lambda: VectorQuantised(4), {CanFindNearest, FollowsEpochs, HasDiagnostics}),
    FiniteScalar: (lambda: FiniteScalar(4), {CanFindNearest, HasDiagnostics}),
    L1: (lambda: L1(1.0), {HasDiagnostics}),
    Contractive: (lambda: Contractive(1.0), set()),
    MMD: (lambda: MMD(1.0), {HoldsToPrior}),
    SlicedWasserstein: (lambda: SlicedWasserstein(1.0), {HoldsToPrior}),
    TotalCorrelation: (lambda: TotalCorrelation(1.0), {OfPosterior, CountsImages}),
    DIP: (lambda: DIP(1.0, 1.0), {OfPosterior}),
    RAE: (lambda: RAE(1.0), {OfDecoder}),
    FCDecoder: (lambda: FCDecoder(4, (1, 8, 8)), set()),
    FCTiedDecoder: (lambda: FCTiedDecoder(4, (1, 8, 8)), {TiesWeights}),
}


@pytest.mark.parametrize("kind", PARTS, ids=lambda kind: kind.__name__)
def test_a_part_has_the_abilities_that_it_has_methods_for(kind):
    make, has = PARTS[kind]
    part = make()
    assert {ability for ability in ABILITIES if isinstance(part, ability)} == has
    assert isinstance(part, Bottleneck) == (kind.__module__.startswith("diabolo.network.bottlenecks"))


class Counting(nn.Module):
    """A bottleneck of one's own, derived from nothing here."""

    def __init__(self) -> None:
        super().__init__()
        self.size = self.in_features = 4

    def forward(self, features):
        return features, None

    def diagnostics(self, values):
        return {"count": torch.tensor(len(values))}


def test_a_bottleneck_of_ones_own_needs_the_method_alone():
    autoencoder = Autoencoder(FCEncoder((1, 8, 8), 4), Counting(), FCDecoder(4, (1, 8, 8)), (1, 8, 8))
    assert autoencoder.has_diagnostics
    assert autoencoder.diagnostics(torch.zeros(3, 4)) == {"count": torch.tensor(3)}


def test_what_is_no_bottleneck_is_refused_by_name():
    with pytest.raises(UserError, match="bottleneck: Linear must have `size` and `in_features`"):
        Autoencoder(FCEncoder((1, 8, 8), 4), nn.Linear(4, 4), FCDecoder(4, (1, 8, 8)), (1, 8, 8))
