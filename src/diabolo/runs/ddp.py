"""Training in processes of its own, for strategies that start the script again once for each device."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from omegaconf import DictConfig

from diabolo.runs.folder import Held, RunFolder
from diabolo.training.signals import REQUEUE, heeded

PROCESS_GROUP = ("LOCAL_RANK", "NODE_RANK", "RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "PL_GLOBAL_SEED")
LAUNCHED = "DIABOLO_LAUNCHED"  # in the environment of what `launch` starts


class LaunchFailed(ChildProcessError):
    """The processes that `launch` started ended without a finished run."""

    def __init__(self, reason: str, exit_code: int) -> None:
        super().__init__(reason)
        self.exit_code = exit_code

    def __reduce__(self) -> tuple[type[LaunchFailed], tuple[str, int]]:  # it is sent from a worker to the sweep
        return LaunchFailed, (str(self), self.exit_code)


def is_needed(config: DictConfig) -> bool:
    """Whether a run of this config has to be launched: it takes several processes, and this is not one of them."""
    return str(config.trainer.strategy).startswith("ddp") and LAUNCHED not in os.environ


def launch(
    config: DictConfig, run: RunFolder, overrides: Sequence[str] = (), choices: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """As `diabolo.runs.train.train`, by `diabolo train RUN`, which needs neither Hydra nor the overrides.

    Raises:
        Held: another process trains in the folder.
        LaunchFailed: the processes did not finish the run.
        SystemExit: they were stopped by SIGINT, SIGTERM or SIGUSR2.
    """
    if run.is_held():
        raise Held(run.path)
    run.refuse_foreign()
    record = run.record()
    run.begin(config, list(overrides), choices)
    environment = {
        name: v for name, v in os.environ.items() if name not in PROCESS_GROUP and not name.startswith("SLURM_")
    }
    command = [sys.executable, "-m", "diabolo", "train", str(run.path)]
    process = subprocess.Popen(command, env=environment | {LAUNCHED: "1", "PYTHONSAFEPATH": "1"})
    received: set[int] = set()

    def forward(signum: int, _: Any) -> None:
        received.add(signum)
        process.send_signal(signal.SIGTERM)

    forwarded = {*heeded(), REQUEUE} - {signal.SIGINT, None}  # the terminal sends SIGINT to the processes too
    before = {signum: signal.signal(signum, forward) for signum in forwarded if signum}
    try:
        code = process.wait()
    except KeyboardInterrupt:
        code = process.wait()
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
    if REQUEUE in received and callable(handler := before[REQUEUE]):
        handler(REQUEUE, None)  # submitit queues the job again
    if code in {128 + signum for signum in (signal.SIGINT, signal.SIGTERM, REQUEUE) if signum}:
        sys.exit(code)
    if code:
        state = run.state()
        if record and state.get("refused"):  # a run that could not go on is what it was
            run.restore(record)
        elif state.get("refused"):
            run.remove()
        raise LaunchFailed(state.get("reason") or f"its processes ended with exit code {code}", code)
    return run.metrics()
