"""`diabolo evaluate RUN`: the test metrics of a run, measured again from its folder alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from diabolo.errors import UserError
from diabolo.runs.config import compose_config, concerns_overrides, explain, override
from diabolo.runs.folder import RunFolder
from diabolo.runs.loading import load
from diabolo.runs.resume import revised
from diabolo.runs.safe_reading import Unreadable

CHOICE = "metrics="


def evaluate(folder: str | Path, overrides: Sequence[str] = (), trust: bool = False) -> dict[str, float]:
    """The validation and test metrics of the run's best weights, under the run's own trainer settings.

    Args:
        overrides: of what may change in a finished run, such as `data.root=`; with `metrics=NAME` it is measured by
            these, whatever it was measured by.
        trust: whether to run what the folder's config names, whatever it is; see `diabolo.runs.trusted_classes`.

    Raises:
        UserError: no run folder, no checkpoint, an override of what is settled, or its data are no longer there.
    """
    from diabolo.callbacks.pictures import Drawing
    from diabolo.runs.build import build_data, build_metrics, build_trainer
    from diabolo.runs.build_callbacks import build_callbacks
    from diabolo.runs.terminal import logging_to
    from diabolo.runs.train import measure

    run = RunFolder.find(folder)
    config = evaluated(run, overrides, trust)
    with logging_to(run.log):
        module = load(folder, trust=trust)
        with run.describes_a_run():
            module.also_measure(build_metrics(config))
            data = build_data(config)
            callbacks = [callback for callback in build_callbacks(config, trust) if not isinstance(callback, Drawing)]
            trainer = build_trainer(
                config, folder=run.path, callbacks=callbacks, recorders=[], logger=None, validates=data.has_val
            )
            data.setup()
        return measure(trainer, module, data)


def evaluated(run: RunFolder, overrides: Sequence[str], trust: bool) -> DictConfig:
    """The config under which a run is measured again: in one process, which says it once, and by what `metrics=NAME`
    chooses."""
    chosen = [pair for pair in overrides if pair.startswith(CHOICE)]
    others = [pair for pair in overrides if pair not in chosen]
    config = revised(run, others, also=["trainer.precision"], trust=trust)
    config = override(config, ["trainer.devices=1", "trainer.strategy=auto"])
    if chosen:
        config.metrics = _composed(chosen[-1])
    return config


def _composed(choice: str) -> DictConfig:
    """The group `metrics` for a choice such as `metrics=perceptual`."""
    try:
        return compose_config([choice]).metrics
    except Exception as failure:
        if not concerns_overrides(failure):
            raise
        raise UserError(explain(failure, [choice])) from failure


def print_evaluation(folder: str | Path, measured: dict[str, Any]) -> None:
    """Prints the metrics beside those that the run recorded."""
    from diabolo.runs.terminal import console, text_table, visible

    try:
        recorded = RunFolder.find(folder).metrics()
    except Unreadable as damaged:
        recorded = {}
        console.print(f"There is nothing to compare with: {visible(str(damaged))}", soft_wrap=True, markup=False)
    lines = [
        [name, f"{value:.6g}", f"{known:.6g}" if isinstance(known := recorded.get(name), int | float) else ""]
        for name, value in sorted(measured.items())
    ]
    console.print(text_table(["metric", "now", "recorded"], lines))
