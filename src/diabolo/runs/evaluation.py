"""`diabolo evaluate RUN`: the test metrics of a run, measured again from its folder alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from diabolo.runs.config import override
from diabolo.runs.folder import RunFolder
from diabolo.runs.loading import load
from diabolo.runs.resume import revised
from diabolo.runs.safe_reading import Unreadable


def evaluate(folder: str | Path, overrides: Sequence[str] = (), trust: bool = False) -> dict[str, float]:
    """The validation and test metrics of the run's best weights, under the run's own trainer settings.

    Args:
        overrides: of what may change in a finished run, such as `data.root=`.
        trust: whether to run what the folder's config names, whatever it is; see `diabolo.runs.trusted_classes`.

    Raises:
        UserError: no run folder, no checkpoint, an override of what is settled, or its data are no longer there.
    """
    from diabolo.callbacks.pictures import Drawing
    from diabolo.runs.build import build_callbacks, build_data, build_trainer
    from diabolo.runs.terminal import logging_to
    from diabolo.runs.train import measure

    run = RunFolder.find(folder)
    config = evaluated(run, overrides, trust)
    with logging_to(run.log):
        module = load(folder, trust=trust)
        with run.describes_a_run():
            data = build_data(config)
            callbacks = [callback for callback in build_callbacks(config, trust) if not isinstance(callback, Drawing)]
            trainer = build_trainer(
                config, folder=run.path, callbacks=callbacks, recorders=[], logger=None, validates=data.has_val
            )
            data.setup()
        return measure(trainer, module, data)


def evaluated(run: RunFolder, overrides: Sequence[str], trust: bool) -> DictConfig:
    """The config under which a run is measured again: in one process, which says it once."""
    config = revised(run, overrides, also=["trainer.precision"], trust=trust)
    return override(config, ["trainer.devices=1", "trainer.strategy=auto"])


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
