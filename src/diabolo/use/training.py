"""Training from Python, in a script or a notebook."""

from __future__ import annotations

import base64
import io
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf
from PIL import Image
from rich.console import Console

from diabolo.errors import UserError
from diabolo.runs.config import chosen, compose_config, concerns_overrides, explain, run_name
from diabolo.runs.ddp import is_needed, launch
from diabolo.runs.find_folder import done, place
from diabolo.runs.folder import RunFolder, named_folder
from diabolo.runs.identity import same
from diabolo.runs.loading import load
from diabolo.runs.resume import refuse_another, refuse_done
from diabolo.runs.safe_reading import read_picture, read_rows
from diabolo.runs.terminal import closing_tables
from diabolo.runs.train import train as train_run
from diabolo.runs.trusted_classes import note_own_parts

if TYPE_CHECKING:
    from diabolo.training.autoencoder_module import AutoencoderModule
    from diabolo.training.classifier_module import ClassifierModule

INTERRUPTED = 130  # the exit code of Ctrl-C


@dataclass(frozen=True)
class FinishedRun:
    """A run that is done. A notebook shows its yardstick and its reconstructions.

    Args:
        folder: the run folder.
        metrics: the final metrics, by TensorBoard's tags, such as `test/mse`.
    """

    folder: Path
    metrics: dict[str, Any]

    @cached_property
    def model(self) -> AutoencoderModule | ClassifierModule:
        """The trained model, with its best weights, on the CPU; see `diabolo.load`."""
        return load(self.folder)

    @property
    def history(self) -> list[dict[str, Any]]:
        """The metrics of each epoch, for pandas."""
        return read_rows(RunFolder(self.folder).history)

    def picture(self, name: str = "reconstructions") -> Image.Image:
        """A picture that the run drew of its best weights, which a notebook shows.

        Raises:
            UserError: there is none of this name; the message says which there are.
        """
        pictures = RunFolder(self.folder).pictures
        there = sorted(path.parent.name for path in pictures.glob("*/final.png"))
        if name not in there:
            raise UserError(f"the run drew no picture {name!r}; there are {', '.join(there) or 'none'}.")
        return Image.fromarray(read_picture(pictures / name / "final.png"))

    def __repr__(self) -> str:
        return f"{self._table().export_text()}run folder: {self.folder}"

    def _repr_html_(self) -> str:
        table = self._table().export_html(code_format="<pre>{code}</pre>", inline_styles=True)
        if not (RunFolder(self.folder).pictures / "reconstructions" / "final.png").is_file():
            return table
        self.picture().save(file := io.BytesIO(), "PNG")
        encoded = base64.b64encode(file.getvalue()).decode()
        return f'{table}<img alt="images and their reconstructions" src="data:image/png;base64,{encoded}">'

    def _table(self) -> Console:
        console = Console(record=True, width=120, file=io.StringIO(), force_jupyter=False)
        for table in closing_tables(self.metrics, RunFolder(self.folder).config().get("published")):
            console.print(table)
        return console


def train(*overrides: str, folder: str | Path | None = None, config_dir: str | None = None) -> FinishedRun:
    """Trains as `diabolo train` does: `diabolo.train("model=fc", "bottleneck.size=8")`. With a bar in a notebook.

    Args:
        overrides: as on the command line.
        folder: the run folder, by default a new one below `runs`. A run of this config that lies there is gone on with
            or, when it is done, given back as it is, so that a notebook can be run again.
        config_dir: a folder of one's own configs, as --config-dir.

    Raises:
        UserError: something that one can mend, in one sentence.
        KeyboardInterrupt: it was interrupted; the run can go on, from its checkpoint.
    """
    if settled := [pair for pair in overrides if pair.lstrip("+~").startswith("hydra")]:
        raise UserError(f"{settled[0]!r} is for the command line: name the run folder by folder=.")
    config = _composed(overrides, config_dir)
    run = _place(config, overrides, folder)
    if done(run) and same(run.config(), config):
        return FinishedRun(run.path, run.metrics())
    refuse_another(config, run)
    refuse_done(config, run)
    note_own_parts(OmegaConf.to_container(config))  # they stand in one's own script
    start = launch if is_needed(config) else train_run
    try:
        return FinishedRun(run.path, start(config, run, list(overrides), chosen()))
    except SystemExit as stopped:
        if stopped.code == INTERRUPTED:
            raise KeyboardInterrupt from None
        raise


def _composed(overrides: Sequence[str], config_dir: str | None) -> DictConfig:
    try:
        return compose_config(overrides, config_dir)
    except Exception as failure:
        if not concerns_overrides(failure):
            raise
        raise UserError(explain(failure, overrides)) from failure


def _place(config: DictConfig, overrides: Sequence[str], folder: str | Path | None) -> RunFolder:
    """The folder that was named, else a new one, named as on the command line."""
    if folder is not None:
        return RunFolder(named_folder("folder", folder))
    base = Path("runs") / f"{time.strftime('%Y%m%d-%H%M%S')}_{run_name(overrides)}"
    return place(base, config)
