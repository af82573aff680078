"""The sweeper `grid`: all combinations of the swept values, without those that are done."""

# No `from __future__ import annotations`: Hydra runs plugins before they are in sys.modules, where dataclass looks.
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf, open_dict

from .launcher import PoolLauncher


@dataclass
class GridSweeperConf:
    _target_: str = "hydra_plugins.diabolo_pool.sweeper.GridSweeper"
    params: dict[str, str] | None = None  # axes of a named sweep, as on the command line


ConfigStore.instance().store(group="hydra/sweeper", name="grid", node=GridSweeperConf, provider="diabolo_pool")


class GridSweeper(BasicSweeper):
    """Hydra's sweep over combinations, made resumable: jobs whose run is done are left out, a failing job stops no
    other, and at the end a table says how each ended. Any launcher runs what is left."""

    def __init__(self, params: dict[str, str] | None = None) -> None:
        super().__init__(max_batch_size=None, params=params)

    def sweep(self, arguments: list[str]) -> Any:
        """Runs the sweep.

        Raises:
            HydraException, OmegaConfBaseException: a job does not compose; none has been started.
            SystemExit: with 1 where a job failed.
        """
        from diabolo.runs.folder import named_folder
        from diabolo.sweeping.plan import close, folder_of_sweep, plan, print_outcome

        assert self.config is not None
        assert self.hydra_context is not None
        assert self.launcher is not None
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        overrides = parser.parse_overrides([*self._parse_config(), *arguments])
        (combinations,) = self.split_arguments(overrides, None)
        folder = named_folder("hydra.sweep.dir", self.config.hydra.sweep.dir)
        pool = self.launcher if isinstance(self.launcher, PoolLauncher) else None
        prepare = pool.prepare if pool else lambda: None
        jobs = plan(combinations, self.config.hydra.overrides.task, self._compose, prepare)
        left = [job for job in jobs if job.todo != "skip"]
        each = [job.overrides_with_folder() for job in left]
        with folder_of_sweep(folder, jobs, self.config):
            if pool and left:
                returns = pool.launch(each, 0, [job.composed_with_folder() for job in left])
            else:
                returns = self.launcher.launch(each, initial_job_idx=0) if left else []
        close(jobs, returns)
        print_outcome(jobs, folder)
        if any(job.outcome == "failed" for job in jobs):
            sys.exit(1)
        return [returns]

    def _compose(self, overrides: Sequence[str]) -> tuple[Path, DictConfig, DictConfig]:
        """The folder of a job, its config with interpolations resolved, and the config with Hydra's part."""
        assert self.config is not None
        assert self.hydra_context is not None
        config = self.hydra_context.config_loader.load_sweep_config(self.config, list(overrides))
        with open_dict(config):
            config.hydra.job.id = config.hydra.job.num = 0  # a folder of this sweep is named by its overrides alone
        HydraConfig.instance().set_config(config)
        OmegaConf.resolve(task := OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"]))
        return Path(str(config.hydra.sweep.dir)) / str(config.hydra.sweep.subdir), task, config
