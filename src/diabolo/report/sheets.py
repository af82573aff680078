"""Sheets of images: the same test images through many runs, the best and worst ones, interpolations side by side.

Needs the models, their data and torch, all of which are loaded here and nowhere else in the report.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from diabolo.errors import UserError
from diabolo.report.collect import Run
from diabolo.report.fold import grouped
from diabolo.report.lines import ERROR, PCA_ERROR, best_by_size
from diabolo.report.names import Names
from diabolo.report.sheet import Row, Sheet, strip
from diabolo.runs.folder import RunFolder
from diabolo.runs.identity import seen
from diabolo.runs.loading import load
from diabolo.runs.safe_reading import Unreadable, read_picture

if TYPE_CHECKING:
    from omegaconf import DictConfig
    from torch import Tensor

    from diabolo.data.datamodule import ImageData
    from diabolo.training.autoencoder_module import AutoencoderModule

log = logging.getLogger(__name__)

MOST_RUNS = 12
IMAGES = 10  # of the test split, from its start
EXTREMES = 10  # best and worst images of the best run
SMALLEST_TILE = 56  # pixels on a screen; smaller images are enlarged by a whole factor


@dataclass(frozen=True)
class Loaded:
    """Runs on the same images, with their models, by the path of the run."""

    data: ImageData
    models: dict[Path, AutoencoderModule]
    runs: list[Run]
    names: Names

    def reconstruct(self, run: Run, places: Sequence[int] | Tensor) -> Tensor:
        """The run's reconstructions of test images, N x C x H x W in about [0, 1]."""
        return _reconstructed(self.models[run.path], self.data, places)


def sheets(runs: Sequence[Run], trust: bool = False) -> tuple[list[Sheet], list[str]]:
    """All sheets of the best runs of each line and size, at most 12, and a sentence for each that is missing.

    Runs on other images get a sheet of their own. A run whose data or checkpoint is gone, or whose config names what is
    not trusted, shows what it drew itself.

    Args:
        trust: whether to run what the folders' configs name, whatever it is; see `diabolo.runs.trusted_classes`.
    """
    if (here := os.getcwd()) not in sys.path:
        sys.path.append(here)  # where parts of one's own lie; libraries come first
    names = Names(runs)
    picked = sorted(best_by_size(runs, MOST_RUNS), key=lambda run: (run.code_size or 0, run.number(ERROR) or 0))
    made: list[Sheet] = []
    drawn: list[Row] = []
    missing: list[str] = []
    groups = grouped(picked, lambda run: seen(run.config))
    for place, alike in enumerate(groups):
        loaded, failed = _load(alike, names, trust)
        for run, failure in failed:
            row, sentence = _drawn_itself(run, names, failure)
            drawn += [row] if row else []
            missing.append(sentence)
        if loaded is not None:
            several = len(groups) > 1
            suffix = f"_{place + 1}" if several else ""
            images = f": {alike[0].groups.get('data', 'images')} {_shape(alike[0])}" if several else ""
            made += [_contact(loaded, suffix, images), _extremes(loaded, suffix, images)]
    if drawn:
        note = "As these runs drew them: images, reconstructions, error. Their models or data cannot be used here."
        made.append(Sheet("kept_reconstructions", "Reconstructions drawn by the runs", note, tuple(drawn), True))
    lines = [
        Row(names.run(run), picture, 1, run.number(ERROR), run)
        for run in picked
        if (picture := _last_drawn(run, "interpolation")) is not None
    ]
    if lines:
        note = "From one test image to another. In a pair of rows, the upper one blends pixels, the lower one codes."
        made.append(Sheet("interpolations", "Interpolations", note, tuple(lines), True))
    return made, missing


# ---- the sheets ----


def _contact(loaded: Loaded, suffix: str, images_of: str) -> Sheet:
    """Originals; then of each size PCA and the runs."""
    from diabolo.data.pixels import unit_interval
    from diabolo.measures.pca import pca_of

    data = loaded.data
    places = list(range(min(IMAGES, data.count("test"))))
    images = data.images("test", places)
    sizes = [run.code_size or 0 for run in loaded.runs]
    pca = pca_of(data, max(sizes)) if data.count("train") > 1 else None  # one fit: components come by their variance
    scale, originals = _scale(images), unit_interval(images)
    rows = [Row("originals", strip(_bytes(data.shown(originals))), scale)]

    def row(caption: str, made: Tensor, error: float | None, run: Run | None = None) -> Row:
        errors = tuple((made - originals).square().flatten(1).mean(1).tolist())
        return Row(caption, strip(_bytes(data.shown(made))), scale, error, run, errors)

    for alike in grouped(loaded.runs, lambda run: run.code_size):
        first, size = alike[0], alike[0].code_size or 0
        if pca is not None:
            linear = pca.reconstruct(loaded.models[first.path].corrupted(images), size)
            rows.append(row(f"PCA of size {size}", linear, first.number(PCA_ERROR)))
        for run in alike:
            rows.append(row(loaded.names.run(run), loaded.reconstruct(run, places), run.number(ERROR), run))
    note = "The first test images through PCA and the runs. The error is that of the whole test split."
    title = f"The same test images{images_of}"
    return Sheet(f"contact_sheet{suffix}", title, note, tuple(rows), images=len(images))


def _extremes(loaded: Loaded, suffix: str, images_of: str) -> Sheet:
    """The test images that the best run reconstructs best and worst."""
    import torch

    from diabolo.data.pixels import unit_interval

    data = loaded.data
    run = min(loaded.runs, key=lambda run: run.number(ERROR) or 0)
    errors = torch.cat(
        [
            (loaded.reconstruct(run, part) - unit_interval(data.images("test", part))).square().flatten(1).mean(1)
            for part in torch.arange(data.count("test")).split(data.eval_batch_size)
        ]
    )
    order = errors.argsort(stable=True)
    rows = []
    for name, places in (("best", order[:EXTREMES]), ("worst", order.flip(0)[:EXTREMES])):
        images = data.images("test", places)
        reconstructions = loaded.reconstruct(run, places)
        low, high = float(errors[places].min()), float(errors[places].max())
        scale = _scale(images)
        originals, made = (strip(_bytes(data.shown(shown))) for shown in (unit_interval(images), reconstructions))
        rows.append(Row(f"{name}: originals", originals, scale, run=run))
        rows.append(Row(f"{name}: MSE {low:.3g} to {high:.3g}", made, scale, run=run))
    note = f"Of {loaded.names.run(run)}, the best run here, by the error of each of {len(errors):,} test images."
    return Sheet(f"best_and_worst{suffix}", f"Best and worst reconstructions{images_of}", note, tuple(rows))


def _drawn_itself(run: Run, names: Names, failure: Exception) -> tuple[Row | None, str]:
    """The reconstructions that a run drew in training, if they are there, and why its model is not used."""
    why = " ".join(str(failure).split()) or type(failure).__name__
    why = why if isinstance(failure, UserError) else why[:160]
    log.debug("no model or data", exc_info=failure)
    picture = _last_drawn(run, "reconstructions")
    if picture is None:
        return None, f"{names.run(run)} (in {run.name}): no picture, since {why}"
    row = Row(names.run(run), picture, 1, run.number(ERROR), run)
    return row, f"{names.run(run)} (in {run.name}): as it was drawn in training, since {why}"


# ---- models, data, pixels ----


def _shape(run: Run) -> str:
    shape = run.config.get("data.image_shape")
    return "x".join(map(str, shape)) if isinstance(shape, list) else ""


def _load(runs: Sequence[Run], names: Names, trust: bool) -> tuple[Loaded | None, list[tuple[Run, Exception]]]:
    """The data of runs on the same images with the models that can be loaded, None where there is none; and the other
    runs, each with what it failed by."""
    configs: dict[Path, DictConfig] = {}
    failed: list[tuple[Run, Exception]] = []
    for run in runs:
        try:
            configs[run.path] = RunFolder(run.path).trusted_config(trust)
        except UserError as failure:
            failed.append((run, failure))
    readable = [run for run in runs if run.path in configs]
    if not readable:
        return None, failed
    try:
        data = _data(configs[readable[0].path])
    except Exception as failure:  # data that are gone or changed may raise anything; the page is written all the same
        return None, failed + [(run, failure) for run in readable]
    models: dict[Path, AutoencoderModule] = {}
    for run in readable:
        try:
            models[run.path] = _model(run, data, trust)
        except Exception as failure:  # a checkpoint that is gone, cut short or of another version
            failed.append((run, failure))
    loaded = [run for run in readable if run.path in models]
    return Loaded(data, models, loaded, names) if loaded else None, failed


def _data(config: DictConfig) -> ImageData:
    """A run's images, where they are; nothing is downloaded."""
    from diabolo.runs.build import build_data

    if "download" in config.data.source:
        config.data.source.download = False
    data = build_data(config)
    data.setup()
    return data


def _model(run: Run, data: ImageData, trust: bool) -> AutoencoderModule:
    """The run's model, tried on one image."""
    from diabolo.training.autoencoder_module import AutoencoderModule

    model = load(run.path, trust=trust)
    if not isinstance(model, AutoencoderModule):
        raise TypeError("it reconstructs no images")
    if model.autoencoder.code_size != run.code_size:
        raise ValueError(f"its model has a code of {model.autoencoder.code_size}, and its metrics say {run.code_size}")
    _reconstructed(model, data, [0])
    return model


def _reconstructed(model: AutoencoderModule, data: ImageData, places: Sequence[int] | Tensor) -> Tensor:
    """Test images by a model, which is given their labels where it asks for some."""
    import torch

    images, labels = data.images("test", places), data.labels("test")[places]
    with torch.no_grad():
        return model.reconstruct(model.corrupted(images), labels)


def _last_drawn(run: Run, name: str) -> np.ndarray | None:
    """The last picture that a run drew under a name, if it can be read."""
    try:
        return read_picture(run.path / "pictures" / name / "final.png")
    except Unreadable:
        return None


def _bytes(images: Tensor) -> np.ndarray:
    return (images.clamp(0, 1) * 255).round().byte().numpy()


def _scale(images: Tensor) -> int:
    return max(1, -(-SMALLEST_TILE // min(images.shape[-2:])))
