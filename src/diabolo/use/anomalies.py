"""How anomalous the error of an image is, for a run that was trained on some classes alone."""

from __future__ import annotations

import numpy as np

from diabolo.errors import UserError
from diabolo.runs.safe_reading import read_arrays
from diabolo.use.trained import Trained

RARE = 0.95  # the share of normal test images beyond which an error is rare


def finds_anomalies(trained: Trained) -> bool:
    """Whether the run is one of anomaly detection: it has the callback, or classes were left out of its training."""
    data, callbacks = trained.config.data, trained.config.get("callbacks") or {}
    return bool(callbacks.get("anomaly") or data.get("train_classes") or data.get("exclude_classes"))


def normal_errors(trained: Trained) -> np.ndarray:
    """The mean squared errors of the run's test images of classes that it was trained on, rising: N float32.

    They are those that the run measured itself, of its images as it saw them, corrupted where it has a corruption.

    Raises:
        UserError: the run did not write them, or has no such test images.
    """
    arrays = read_arrays(trained.run.path / "per_image.npz")
    if not {"mse", "labels"} <= set(arrays) or arrays["mse"].shape != arrays["labels"].shape:
        raise UserError(f"{str(trained.run.path / 'per_image.npz')!r} has no errors and labels of the test images.")
    labels, data = arrays["labels"], trained.config.data
    if data.get("train_classes") or data.get("exclude_classes"):
        chosen = labels >= 0
        if data.get("train_classes"):
            chosen &= np.isin(labels, list(data.train_classes))
        if data.get("exclude_classes"):
            chosen &= ~np.isin(labels, list(data.exclude_classes))
    else:
        chosen = np.isin(labels, trained.images().labels("train").unique().numpy())
    if not chosen.any():
        raise UserError(f"no test image of {str(trained.run.path)!r} is of a class that the run was trained on.")
    return np.sort(arrays["mse"][chosen])


def shares_below(errors: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """Of each error the share of the `normal` ones, which rise, that are smaller: N float32 from 0 to 1."""
    return (np.searchsorted(normal, errors) / len(normal)).astype(np.float32)
