"""Where a run has its place: a folder that is free or holds the run itself."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection
from itertools import count
from pathlib import Path

from omegaconf import DictConfig

from diabolo.runs.folder import RunFolder
from diabolo.runs.identity import same
from diabolo.runs.terminal import short

log = logging.getLogger(__name__)


def place(base: Path, config: DictConfig, taken: Collection[Path] = ()) -> RunFolder:
    """The folder at `base` if it is free or holds a run of this config, else the first such of base~2, base~3, ..."""
    for number in count(1):
        path = base if number == 1 else base.with_name(f"{base.name}~{number}")
        if path not in taken and _fits(RunFolder(path), config):
            return RunFolder(path)
    raise AssertionError


def _fits(run: RunFolder, config: DictConfig) -> bool:
    if not run.is_run():
        return True
    try:
        run.state()
        return same(run.config(), config)
    except Exception:  # half-written or foreign: whatever it is, it is not this run
        return False


def done(run: RunFolder) -> bool:
    """Whether the run has ended well."""
    return run.is_run() and run.state()["state"] == "done"


def wait_for(run: RunFolder) -> None:
    """Waits while another process trains in the folder, however long: the same sweep was issued twice, or a worker of
    one that was killed writes its checkpoint."""
    if run.is_held():
        log.info("%s is being trained by another process: waits for its end", short(run.path))
    while run.is_held():
        time.sleep(0.2)
