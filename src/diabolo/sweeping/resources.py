"""The places of a pool: how many runs go side by side, and which threads and which GPU each of them has."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys

from omegaconf import DictConfig, OmegaConf

from diabolo.errors import ConfigError, UserError, check_int
from diabolo.training.machine import usable_cores


def places(
    config: DictConfig,
    jobs: int,
    workers: int | None = None,
    threads: int | None = None,
    gpus: int | None = None,
    runs_per_gpu: int = 1,
) -> list[dict[str, str]]:
    """What a run has in its environment, for each place in the pool.

    Args:
        config: of the sweep; `trainer.accelerator=cpu` leaves the GPUs alone.
        jobs: there are no more places than jobs.
        workers: runs at a time; None: as many as there are cores, with GPUs `gpus` x `runs_per_gpu`.
        threads: of each run; None: its share of the cores. It never gets more than this share.
        gpus: how many of the GPUs here are used, from the first on; None: all. Apple's is one.
        runs_per_gpu: runs that share a GPU.

    Raises:
        ConfigError: a number that is not possible here.
    """
    cores = usable_cores()
    on_cpu = OmegaConf.select(config, "trainer.accelerator") == "cpu"
    here = [] if on_cpu and gpus is None else visible_gpus()
    if gpus is not None:
        if check_int("hydra.launcher.gpus", gpus, 0) > len(here):
            raise ConfigError("hydra.launcher.gpus", gpus, f"is more than the {len(here)} that are here")
        here = here[:gpus]
    on_gpus = len(here) * check_int("hydra.launcher.runs_per_gpu", runs_per_gpu)
    count = on_gpus or cores if workers is None else check_int("hydra.launcher.workers", workers)
    count = min(count, on_gpus or count)
    share = max(1, cores // count)  # however few jobs are left: results depend on the number of threads
    wanted = int(os.environ.get("OMP_NUM_THREADS") or share) if threads is None else threads
    each = str(min(check_int("hydra.launcher.threads", wanted), share))
    shared = {"OMP_NUM_THREADS": each, "MKL_NUM_THREADS": each, "DIABOLO_QUIET": "1"}
    seen = [{"CUDA_VISIBLE_DEVICES": "" if gpu == APPLE else gpu} for gpu in here] or [NO_GPU]
    return [shared | seen[i % len(seen)] for i in range(min(count, jobs))]


APPLE = "apple"
NO_GPU = {"CUDA_VISIBLE_DEVICES": "", "DISABLE_MPS": "1"}  # the second is Lightning's, for Apple's GPU


def visible_gpus() -> list[str]:
    """The GPUs here, found without torch, as CUDA_VISIBLE_DEVICES may name them; or `APPLE`, that of an Apple chip."""
    return _cuda_gpus() or ([APPLE] if (sys.platform, platform.machine()) == ("darwin", "arm64") else [])


def _cuda_gpus() -> list[str]:
    if (given := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        return [name for name in given.split(",") if name.strip() not in ("", "-1")]
    if shutil.which("nvidia-smi") is None:
        return []
    listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=False)
    return [str(i) for i, _ in enumerate(line for line in listed.stdout.splitlines() if line.startswith("GPU "))]


def refuse_several_gpus(config: DictConfig) -> None:
    """Raises UserError where a run asks for more GPUs than the one that its place gives it."""
    trainer = OmegaConf.select(config, "trainer", default={})
    if (
        str(trainer.get("strategy")).startswith("ddp")
        and trainer.get("accelerator") != "cpu"
        and trainer.get("devices") != 1
    ):
        raise UserError(
            "a run with trainer=ddp takes several GPUs, but the pool gives each run one: take hydra/launcher=basic, or"
            " trainer.accelerator=cpu."
        )
