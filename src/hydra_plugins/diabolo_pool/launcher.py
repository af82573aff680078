"""The launcher `pool`: a sweep's jobs run side by side, in worker processes."""

# No `from __future__ import annotations`: Hydra runs plugins before they are in sys.modules, where dataclass looks.
from collections.abc import Sequence
from dataclasses import dataclass

from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


@dataclass
class PoolLauncherConf:
    _target_: str = "hydra_plugins.diabolo_pool.launcher.PoolLauncher"
    workers: int | None = None  # runs at a time; null: as many as there are cores, with GPUs gpus x runs_per_gpu
    threads: int | None = None  # of each run; null: the cores shared out
    gpus: int | None = None  # the first so many; null: all there are, none for trainer.accelerator=cpu
    runs_per_gpu: int = 1
    output: str = "run.log"  # file in the job's folder that takes what the job prints


ConfigStore.instance().store(group="hydra/launcher", name="pool", node=PoolLauncherConf, provider="diabolo_pool")


class PoolLauncher(Launcher):
    """Hands the jobs to `diabolo.sweeping.launch`; its arguments are those of `PoolLauncherConf`."""

    def __init__(self, output: str, **wanted: int | None) -> None:
        self.output = output
        self.wanted = wanted

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.context = hydra_context
        self.task_function = task_function
        self.config = config

    def prepare(self) -> None:
        """Starts what takes time while the jobs are not known yet."""
        from diabolo.sweeping.launch import prepare

        prepare(self.config, self.task_function, **self.wanted)

    def launch(
        self,
        job_overrides: Sequence[Sequence[str]],
        initial_job_idx: int,
        composed: Sequence[DictConfig] | None = None,
    ) -> Sequence[JobReturn]:
        """Does the jobs; a sweeper that has composed their configs may hand these over."""
        from diabolo.sweeping.launch import launch

        return launch(
            job_overrides,
            initial_job_idx,
            self.context,
            self.task_function,
            self.config,
            self.output,
            composed,
            **self.wanted,
        )
