"""The launcher `pool`: a sweep's jobs run side by side in worker processes."""

# No `from __future__ import annotations`: Hydra runs plugins before they are in sys.modules, where dataclass looks.
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, configure_log, filter_overrides, run_job, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict

LONGER = (  # the larger, the longer a run takes
    *("bottleneck.size", "data.image_shape", "data.limit", "model.blocks", "model.channels", "model.hidden"),
    "trainer.max_epochs",
)


@dataclass
class PoolLauncherConf:
    _target_: str = "hydra_plugins.diabolo_pool.launcher.PoolLauncher"
    workers: int | None = None  # runs at a time; null: as many as there are cores, with GPUs gpus x runs_per_gpu
    threads: int | None = None  # of each worker; null: the cores shared out
    gpus: int | None = None  # the first so many; null: all there are, none for trainer.accelerator=cpu
    runs_per_gpu: int = 1
    output: str = "run.log"  # file in the job's folder that takes what the job prints


ConfigStore.instance().store(group="hydra/launcher", name="pool", node=PoolLauncherConf, provider="diabolo_pool")


class PoolLauncher(Launcher):
    """Gives each free worker the next job, those that promise to take longest first, until none is left."""

    def __init__(
        self, workers: int | None, threads: int | None, gpus: int | None, runs_per_gpu: int, output: str
    ) -> None:
        self.workers = workers
        self.threads = threads
        self.gpus = gpus
        self.runs_per_gpu = runs_per_gpu
        self.output = output

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.config = config
        self.task_function = task_function
        self.hydra_context = hydra_context

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Runs the jobs and returns what became of each, in their order; a job whose process died has failed.

        Raises:
            UserError: a number of workers, threads or GPUs that cannot be; none has been started.
            SystemExit: SIGINT or SIGTERM; the workers have stopped.
        """
        from diabolo.sweeping.plan import label

        from ._processes import Died, Ended, Pool, Stopped
        from ._progress import Progress

        setup_globals()
        configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)
        Path(str(self.config.hydra.sweep.dir)).mkdir(parents=True, exist_ok=True)
        environments = self.places(len(job_overrides))
        if any(environment["CUDA_VISIBLE_DEVICES"] for environment in environments):
            self.refuse_several_gpus(job_overrides)
        work = Work(self.hydra_context, self.task_function, self.config, self.output, Singleton.get_state())
        several = str(OmegaConf.select(self.config, "trainer.strategy")).startswith("ddp")  # processes of their own
        pool = Pool(work, environments, [] if several else named_modules(self.config))
        returns: dict[int, JobReturn] = {}
        names = [label(overrides, self.config.hydra.overrides.task) for overrides in job_overrides]
        progress = Progress(names, len(environments), environments[0]["OMP_NUM_THREADS"] if environments else "1")
        order = longest_first(job_overrides)
        try:
            with progress:
                for event in pool.run([(initial_job_idx + i, list(job_overrides[i])) for i in order]):
                    if not isinstance(event, Ended):
                        progress.started()
                        continue
                    job, died = order[event.job], isinstance(event.result, Died)
                    ended = _failed(job_overrides[job], str(event.result)) if died else event.result
                    returns[job] = ended
                    if not (died and pool.stopped_by):
                        progress.ended(job, ended)
        except Stopped as stopped:
            progress.say_stopped(str(stopped))
            sys.exit(stopped.exit_code)
        return [returns[i] for i in range(len(job_overrides))]

    def refuse_several_gpus(self, job_overrides: Sequence[Sequence[str]]) -> None:
        """Raises UserError where a job asks for more GPUs than the one that it gets."""
        from diabolo.errors import UserError

        for overrides in job_overrides:
            if takes_several_gpus(self.hydra_context.config_loader.load_sweep_config(self.config, list(overrides))):
                raise UserError(
                    "a run with trainer=ddp takes several GPUs, but the pool gives each run one: take"
                    " hydra/launcher=basic, or trainer.accelerator=cpu."
                )

    def places(self, jobs: int) -> list[dict[str, str]]:
        """The environment of each worker: its threads and, where there are GPUs, the one it sees."""
        from diabolo.errors import ConfigError, check_int

        cores = len(os.sched_getaffinity(0))
        on_cpu = OmegaConf.select(self.config, "trainer.accelerator") == "cpu"
        gpus = [] if on_cpu and self.gpus is None else visible_gpus()
        if self.gpus is not None:
            if check_int("hydra.launcher.gpus", self.gpus, 0) > len(gpus):
                raise ConfigError("hydra.launcher.gpus", self.gpus, f"is more than the {len(gpus)} that are here")
            gpus = gpus[: self.gpus]
        per_gpu = check_int("hydra.launcher.runs_per_gpu", self.runs_per_gpu)
        default = len(gpus) * per_gpu or cores
        workers = default if self.workers is None else check_int("hydra.launcher.workers", self.workers)
        workers = min(workers, len(gpus) * per_gpu or workers)
        share = max(1, cores // workers)  # however few jobs are left: results depend on the number of threads
        threads = int(os.environ.get("OMP_NUM_THREADS") or share) if self.threads is None else self.threads
        each = str(min(check_int("hydra.launcher.threads", threads), share))
        shared = {"OMP_NUM_THREADS": each, "MKL_NUM_THREADS": each, "DIABOLO_QUIET": "1"}
        return [
            shared | {"CUDA_VISIBLE_DEVICES": gpus[i % len(gpus)] if gpus else ""} for i in range(min(workers, jobs))
        ]


def longest_first(job_overrides: Sequence[Sequence[str]]) -> list[int]:
    """The jobs, those first that promise to take longest, so that no worker is left waiting for one that began late: by
    the product of the numbers that a job gives to the keys of `LONGER`. Equal ones stay in their order."""

    def work(overrides: Sequence[str]) -> float:
        pairs = (override.partition("=") for override in overrides)
        return prod(float(number) for key, _, value in pairs if key in LONGER for number in re.findall(r"\d+", value))

    return sorted(range(len(job_overrides)), key=lambda job: work(job_overrides[job]), reverse=True)


def takes_several_gpus(config: DictConfig) -> bool:
    strategy, accelerator, devices = (
        OmegaConf.select(config, f"trainer.{key}") for key in ("strategy", "accelerator", "devices")
    )
    return str(strategy).startswith("ddp") and accelerator != "cpu" and devices != 1


def named_modules(config: Any) -> list[str]:
    """The modules of diabolo, and of what it is made of, that a config names: what is heavy about a run to import."""
    from diabolo.rooms import module_of

    plain = OmegaConf.to_container(config) if isinstance(config, DictConfig) else config
    if isinstance(plain, list):
        return sorted({name for value in plain for name in named_modules(value)})
    if not isinstance(plain, dict):
        return []
    target = str(plain.get("_target_"))
    own = [module_of(target)] if target.startswith(("diabolo.", "lightning.", "torch.")) else []
    return sorted({*own, *named_modules(list(plain.values()))})


def visible_gpus() -> list[str]:
    """What CUDA_VISIBLE_DEVICES may name here, found without torch."""
    if (given := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        return [name for name in given.split(",") if name.strip() not in ("", "-1")]
    if shutil.which("nvidia-smi") is None:
        return []
    listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=False)
    return [str(i) for i, _ in enumerate(line for line in listed.stdout.splitlines() if line.startswith("GPU "))]


class Work:
    """What a worker does with a job: Hydra's `run_job`, with what the job prints in a file of its folder."""

    def __init__(
        self, context: HydraContext, function: TaskFunction, config: DictConfig, output: str, singletons: Any
    ) -> None:
        self.context = context
        self.function = function
        self.config = config
        self.output = output
        self.singletons = singletons

    def __call__(self, job: tuple[int, list[str]]) -> tuple[JobReturn, bool]:
        """Runs a job. After a failure that is not the config's the process may be broken (CUDA) and takes no other; so
        it is after a lack of memory, which the process may still hold."""
        from diabolo.errors import UserError

        number, overrides = job
        setup_globals()
        Singleton.set_state(self.singletons)
        config = self.context.config_loader.load_sweep_config(self.config, overrides)
        with open_dict(config):
            config.hydra.job.id = f"{config.hydra.job.name}_{number}"
            config.hydra.job.num = number
        HydraConfig.instance().set_config(config)
        folder = Path(str(config.hydra.sweep.dir)) / str(config.hydra.sweep.subdir)
        folder.mkdir(parents=True, exist_ok=True)
        _print_to(folder / self.output)
        ended = run_job(
            hydra_context=self.context,
            task_function=self.function,
            config=config,
            job_dir_key="hydra.sweep.dir",
            job_subdir_key="hydra.sweep.subdir",
        )
        failure = ended._return_value
        mere_mistake = isinstance(failure, UserError | ValueError) and not isinstance(failure, MemoryError)
        return _sendable(ended), ended.status == JobStatus.COMPLETED or mere_mistake


def _print_to(path: Path) -> None:
    """Lets this process and its children write what they print into the file at `path`."""
    sys.stdout.flush()
    sys.stderr.flush()
    with path.open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)


def _sendable(ended: JobReturn) -> JobReturn:
    """`ended`, with an outcome that survives the way to the parent."""
    import cloudpickle

    value = ended._return_value
    try:
        cloudpickle.loads(cloudpickle.dumps(value))
    except Exception as failure:
        what = value if ended.status == JobStatus.FAILED else f"the job's result cannot be sent: {failure}"
        ended.status = JobStatus.FAILED
        ended.return_value = RuntimeError(f"{type(value).__name__}: {what}")
    return ended


def _failed(overrides: Sequence[str], reason: str) -> JobReturn:
    return JobReturn(
        overrides=list(filter_overrides(overrides)), status=JobStatus.FAILED, _return_value=ChildProcessError(reason)
    )
