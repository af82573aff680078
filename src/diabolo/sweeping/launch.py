"""Launches the jobs of a sweep in the pool: what the launcher `pool` does."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import Any

from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, configure_log, filter_overrides, setup_globals
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from diabolo.rooms import module_of
from diabolo.sweeping.job import HydraJob
from diabolo.sweeping.plan import label
from diabolo.sweeping.pool import Pool, Started, Stopped
from diabolo.sweeping.progress import Progress
from diabolo.sweeping.resources import places, refuse_several_gpus
from diabolo.sweeping.worker import Died, start_server

LONGER = (  # the larger, the longer a run takes
    *("bottleneck.size", "data.image_shape", "data.limit", "model.blocks", "model.channels", "model.hidden"),
    "trainer.max_epochs",
)

IMPORTED_FIRST = "diabolo.sweeping.early"  # has the imports after it defer what no run needs
IMPORTED_LATE = ("diabolo.sweeping.warm", "diabolo.sweeping.job", "torch.utils.tensorboard")  # every run does


def prepare(config: DictConfig, task_function: TaskFunction, **wanted: Any) -> None:
    """Starts the process that the jobs will be forked from, so that it imports while the sweep is planned.

    Args:
        config, task_function: as Hydra gives them to a launcher.
        wanted: workers, threads and GPUs, see `places`.

    Raises:
        UserError: a number of workers, threads or GPUs that is not possible here.
    """
    start_server(places(config, 1, **wanted)[0], preloaded(config, task_function))


def launch(
    jobs: Sequence[Sequence[str]],
    first_number: int,
    context: HydraContext,
    task_function: TaskFunction,
    config: DictConfig,
    output: str,
    composed: Sequence[DictConfig] | None = None,
    **wanted: Any,
) -> list[JobReturn]:
    """Runs the jobs side by side, those first that will take longest, and returns how each ended, in the order of
    `jobs`. A job whose process died has failed.

    Args:
        jobs: the overrides of each.
        first_number: the number of the first job; the others follow.
        context, task_function, config: as Hydra gives them to a launcher.
        output: name of the file in a job's folder that takes what the job prints.
        composed: the config of each job, where the sweeper knows it.
        wanted: workers, threads and GPUs, see `places`.

    Raises:
        UserError: a number of workers, threads or GPUs that is not possible here; none has been started.
        SystemExit: SIGINT, SIGTERM or SIGHUP; the processes have stopped.
    """
    setup_globals()
    configure_log(config.hydra.hydra_logging, config.hydra.verbose)
    Path(str(config.hydra.sweep.dir)).mkdir(parents=True, exist_ok=True)
    environments = places(config, len(jobs), **wanted)
    if any(environment["CUDA_VISIBLE_DEVICES"] for environment in environments):
        for overrides in jobs:
            refuse_several_gpus(context.config_loader.load_sweep_config(config, list(overrides)))
    work = HydraJob(context, task_function, config, output, Singleton.get_state())
    pool = Pool(work, environments, preloaded(config, task_function))
    names = [label(overrides, config.hydra.overrides.task) for overrides in jobs]
    progress = Progress(names, len(environments), environments[0]["OMP_NUM_THREADS"] if environments else "1")
    order = longest_first(jobs)
    returns: dict[int, JobReturn] = {}
    try:
        with progress:
            for event in pool.run([(first_number + i, list(jobs[i]), composed and composed[i]) for i in order]):
                if isinstance(event, Started):
                    progress.started()
                    continue
                job, died = order[event.job], isinstance(event.result, Died)
                returns[job] = _failed(jobs[job], str(event.result)) if died else event.result
                if not (died and pool.signals):
                    progress.ended(job, returns[job])
    except Stopped as stopped:
        progress.say_stopped(str(stopped))
        sys.exit(stopped.exit_code)
    return [returns[i] for i in range(len(jobs))]


def longest_first(jobs: Sequence[Sequence[str]]) -> list[int]:
    """The indices of the jobs, those first that will take longest, so that the sweep does not end with all places but
    one empty. What counts is the product of the numbers that a job gives to the keys of `LONGER`; equal jobs stay in
    order."""

    def work(overrides: Sequence[str]) -> float:
        pairs = (override.partition("=") for override in overrides)
        return prod(float(number) for key, _, value in pairs if key in LONGER for number in re.findall(r"\d+", value))

    return sorted(range(len(jobs)), key=lambda job: work(jobs[job]), reverse=True)


def preloaded(config: DictConfig, task_function: TaskFunction) -> list[str]:
    """The modules that a run imports before its first step, of those that take long to import."""
    if str(OmegaConf.select(config, "trainer.strategy")).startswith("ddp"):
        return []  # the run starts processes of its own
    of_hydra = [name for name in sys.modules if name.startswith(("hydra.", "hydra_plugins."))]  # a job names plugins
    return [IMPORTED_FIRST, *of_hydra, *named_modules(config), task_function.__module__, *IMPORTED_LATE]


def named_modules(config: Any) -> list[str]:
    """The modules of diabolo, Lightning and torch that a config names: they are what takes long to import."""
    plain = OmegaConf.to_container(config) if isinstance(config, DictConfig) else config
    if isinstance(plain, list):
        return sorted({name for value in plain for name in named_modules(value)})
    if not isinstance(plain, dict):
        return []
    target = str(plain.get("_target_"))
    own = [module_of(target)] if target.startswith(("diabolo.", "lightning.", "torch.")) else []
    return sorted({*own, *named_modules(list(plain.values()))})


def _failed(overrides: Sequence[str], reason: str) -> JobReturn:
    return JobReturn(
        overrides=list(filter_overrides(overrides)), status=JobStatus.FAILED, _return_value=ChildProcessError(reason)
    )
