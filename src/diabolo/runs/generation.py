"""`diabolo evaluate RUN --generation`: how near the images that a run generates are to real ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from diabolo.errors import UserError
from diabolo.measures.generation import FIGURES, WAYS
from diabolo.measures.metric_names import metric_of
from diabolo.runs.config_check import check_config
from diabolo.runs.evaluation import evaluated
from diabolo.runs.folder import RunFolder
from diabolo.runs.loading import load
from diabolo.runs.unwritable import unwritable


def measure_generation(
    folder: str | Path, settings: Mapping[str, Any], overrides: Sequence[str] = (), trust: bool = False
) -> dict[str, Any]:
    """What `callbacks.generation` measures of the run's best weights, by the keys that it logs, with
    `generation/features`, the classifier's folder, and `generation/count`, the images of each kind.

    Args:
        settings: arguments of `diabolo.callbacks.Generation`; those that are not given are the run's own where it has
            the callback, else as `conf/callbacks/generation.yaml` says.
        overrides: of what may change in a finished run, such as `data.root=`.
        trust: whether to run what the configs of this run and of the classifier's name, whatever it is.

    Raises:
        UserError: no run folder, no checkpoint, no or no fitting classifier, or its data are no longer there.
    """
    from diabolo.runs.build import build_data, build_trainer
    from diabolo.runs.build_callbacks import build_callbacks
    from diabolo.runs.terminal import logging_to

    run = RunFolder.find(folder)
    config = _with_callback(evaluated(run, overrides, trust), settings)
    with logging_to(run.log):
        module = load(folder, trust=trust)
        callbacks = build_callbacks(config, trust)
        with run.describes_a_run():
            data = build_data(config)
            trainer = build_trainer(
                config, folder=run.path, callbacks=callbacks, recorders=[], logger=None, validates=False
            )
            data.setup()
        measured = trainer.test(module, datamodule=data, verbose=False)[0]
    asked = config.callbacks.generation
    count = min(asked["count"], data.count("train"), data.count("test"))
    figures = {key: value for key, value in measured.items() if key.endswith(FIGURES)}
    return {**figures, "generation/features": asked.features, "generation/count": count}


def record_generation(folder: str | Path, figures: Mapping[str, Any]) -> None:
    """Puts the figures into the metrics of a run that is done. One that is not has none yet.

    Raises:
        UserError: its metrics are damaged, another process trains in the folder, or it cannot be written.
    """
    run = RunFolder.find(folder)
    if run.state()["state"] != "done":
        return
    try:
        with run.held():
            run.write_metrics({**run.metrics(), **figures})
    except OSError as failure:
        raise unwritable(run.path, failure) from failure


def print_generation(figures: Mapping[str, Any]) -> None:
    """Prints a table with a row for each way to come by images."""
    from diabolo.runs.terminal import console, text_table

    heads = [metric.head for name in FIGURES if (metric := metric_of(name))]
    lines = [
        [title, *(f"{figures[f'test/{way}_{figure}']:.4g}" for figure in FIGURES)]
        for way, title in WAYS.items()
        if f"test/{way}_{FIGURES[0]}" in figures
    ]
    console.print(text_table([f"against {figures['generation/count']:,} test images", *heads], lines, right=heads))


def _with_callback(config: DictConfig, settings: Mapping[str, Any]) -> DictConfig:
    """The config with no callback but `generation`."""
    usual: Any = OmegaConf.load(str(files("diabolo.conf").joinpath("callbacks/generation.yaml")))
    own = OmegaConf.select(config, "callbacks.generation") or {}
    node = OmegaConf.merge(usual.generation, own, dict(settings))
    if OmegaConf.is_missing(node, "features"):
        raise UserError(
            "--generation needs --features RUN: the folder of a classifier's run (task=classify) on the same images."
        )
    config = OmegaConf.merge(config, {"callbacks": None})  # type: ignore[assignment]
    config.callbacks = {"generation": node}
    check_config(config)
    return config
