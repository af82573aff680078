"""Folders that are made for a run: they go again where nothing came of it. Those that were there before stay."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, open_dict, read_write


def missing(*folders: Path) -> list[Path]:
    """Of `folders` and those above them the ones that are not there, deepest first."""
    places = {place for folder in folders for place in (folder.absolute(), *folder.absolute().parents)}
    return sorted((place for place in places if not os.path.lexists(place)), key=lambda p: len(p.parts), reverse=True)


def remove_empty(folders: Iterable[Path]) -> None:
    """Removes those that are there and hold nothing, in this order."""
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()


class NoteMissing(Callback):
    """Notes which folders Hydra is about to make for a run, in its own node of Hydra's config: a job can see no more
    which of them were there before."""

    NOTE = "missing"

    def on_run_start(self, config: DictConfig, **_: Any) -> None:
        HydraConfig.instance().set_config(config)  # as Hydra does next: a folder's name may refer to it
        folders = [str(folder) for folder in missing(Path(str(config.hydra.run.dir)))]
        with read_write(config.hydra), open_dict(config.hydra):
            for node in config.hydra.callbacks.values():
                if str(node.get("_target_")).endswith(f".{type(self).__name__}"):
                    node[self.NOTE] = folders

    @classmethod
    def noted(cls) -> list[Path]:
        """What was missing before the job that Hydra runs."""
        nodes = HydraConfig.get().callbacks.values()
        return [Path(folder) for node in nodes if node for folder in node.get(cls.NOTE, ())]


def remove_what_hydra_wrote(folder: Path) -> None:
    """Removes Hydra's own record of a job (`hydra.output_subdir`, which diabolo leaves out) from `folder`, if this was
    made for the job."""
    record = HydraConfig.get().output_subdir
    if record is not None and folder in NoteMissing.noted():
        for name in ("config.yaml", "hydra.yaml", "overrides.yaml"):
            (folder / record / name).unlink(missing_ok=True)
        remove_empty([folder / record])
