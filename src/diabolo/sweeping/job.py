"""A job of a sweep, as a process of the pool does it."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cloudpickle
from hydra.core.hydra_config import HydraConfig
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, run_job, setup_globals
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict, read_write

from diabolo.errors import UserError
from diabolo.runs.made_folders import missing, remove_empty


@dataclass
class HydraJob:
    """Runs one job as Hydra's own launcher does; what the job prints goes into a file in its folder.

    Args:
        config: of the sweep.
        output: name of the file that takes what the job prints.
        singletons: Hydra's state in the launching process.
    """

    context: HydraContext
    task_function: TaskFunction
    config: DictConfig
    output: str
    singletons: Any

    def __call__(self, job: tuple[int, Sequence[str], DictConfig | None]) -> tuple[JobReturn, bool]:
        """Does the job that has this number, these overrides and, where it is known, the config that they compose to.

        Returns what Hydra's launcher returns, and whether this process may do another job: not after a failure, which
        may have left it broken (CUDA) or its memory full.
        """
        number, overrides, config = job
        setup_globals()
        Singleton.set_state(self.singletons)
        if config is None:
            config = self.context.config_loader.load_sweep_config(self.config, list(overrides))
        with read_write(config.hydra), open_dict(config):
            config.hydra.job.id = f"{config.hydra.job.name}_{number}"
            config.hydra.job.num = number
        HydraConfig.instance().set_config(config)
        folder = Path(str(config.hydra.sweep.dir)) / str(config.hydra.sweep.subdir)
        made = missing(folder)
        folder.mkdir(parents=True, exist_ok=True)
        _print_to(folder / self.output)
        ended = run_job(
            hydra_context=self.context,
            task_function=self.task_function,
            config=config,
            job_dir_key="hydra.sweep.dir",
            job_subdir_key="hydra.sweep.subdir",
        )
        if made and isinstance(ended._return_value, UserError) and os.listdir(folder) == [self.output]:
            (folder / self.output).unlink()  # the job was refused, and so says the sweep
            remove_empty([folder])
        return _sendable(ended), ended.status == JobStatus.COMPLETED


def _print_to(path: Path) -> None:
    """Sends what this process and its children print into the file at `path`."""
    sys.stdout.flush()
    sys.stderr.flush()
    with path.open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)


def _sendable(ended: JobReturn) -> JobReturn:
    """`ended`, with a result that can be sent to the parent process."""
    value = ended._return_value
    try:
        cloudpickle.loads(cloudpickle.dumps(value))
    except Exception as failure:
        what = value if ended.status == JobStatus.FAILED else f"the job's result cannot be sent: {failure}"
        ended.status = JobStatus.FAILED
        ended.return_value = RuntimeError(f"{type(value).__name__}: {what}")
    return ended
