"""Whether a further metric can measure the images is told at the start, in a sentence."""

import pytest
import torch

from diabolo.errors import UserError
from diabolo.measures.image_metrics import check_metrics
from diabolo.measures.perceptual import HaarPSI


def peak(reconstructions, targets):
    return (reconstructions - targets).abs().amax((1, 2, 3))


def breaks(reconstructions, targets):
    return reconstructions.view(2, 7) - targets


def test_what_measures_is_let_through():
    check_metrics({}, [1, 8, 8])
    check_metrics({"peak": peak, "peak_2": peak}, [3, 8, 9])


@pytest.mark.parametrize(
    ("name", "metric", "message"),
    [
        ("mse", peak, "`metrics.mse` must have a name of small letters, digits and _ that means nothing else here"),
        ("loss", peak, "`metrics.loss` must have a name"),
        ("pca_peak", peak, "`metrics.pca_peak` must have a name"),
        ("Peak/1", peak, "`metrics.Peak/1` must have a name of small letters, digits and _"),
        (
            "peak",
            lambda *_: torch.tensor(1.0),
            r"`metrics.peak` must give a finite number for each image, \[2\] of two",
        ),
        ("peak", lambda *_: 1.0, "and gives float"),
        ("peak", lambda r, t: peak(r, t) / 0, "must give a finite number"),
        ("peak", breaks, r"`metrics.peak` cannot measure images of 1x8x8 \(shape '\[2, 7\]' is invalid"),
        ("peak", lambda: None, "`metrics.peak` cannot measure images of 1x8x8"),
        ("psi", HaarPSI(), "`metrics.psi`: HaarPSI needs images of at least 16 pixels a side, not 8x8: leave it out."),
    ],
)
def test_what_does_not_is_refused(name, metric, message):
    with pytest.raises(UserError, match=message):
        check_metrics({name: metric}, [1, 8, 8])
