"""Callbacks that every run has: its clock, its history, and stopping at a signal."""

from __future__ import annotations

import json
import signal
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer

from diabolo.errors import UserError
from diabolo.training.files import write_whole


class Clock(Callback):
    """Times the run: `seconds` of training over all sittings, and images per second of the training loop.

    The loop's time runs from the first batch of an epoch to its last, without validation and pictures; the first epoch,
    which pays for warming up, counts only where there is no other.
    """

    def __init__(self) -> None:
        self.before = 0.0  # seconds of earlier sittings
        self.began = time.perf_counter()
        self.loops: list[tuple[int, float]] = []  # images and seconds of each epoch

    @property
    def seconds(self) -> float:
        return self.before + time.perf_counter() - self.began

    @property
    def images_per_second(self) -> float:
        counted = self.loops[1:] or self.loops
        seconds = sum(seconds for _, seconds in counted)
        return sum(images for images, _ in counted) / seconds if seconds else 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._start_loop(pl_module)  # a run continued within an epoch meets no start of an epoch

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._start_loop(pl_module)

    def _start_loop(self, module: LightningModule) -> None:
        self._synchronize(module)
        self._start = time.perf_counter()
        self._images = 0

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, _: int
    ) -> None:
        self._images += len(batch[0])
        if trainer.is_last_batch:
            self._synchronize(pl_module)
            self.loops.append((self._images * trainer.world_size, time.perf_counter() - self._start))

    def state_dict(self) -> dict[str, Any]:
        return {"seconds": self.seconds, "loops": [list(loop) for loop in self.loops]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.before = state_dict["seconds"]
        self.loops = [(int(images), float(seconds)) for images, seconds in state_dict["loops"]]

    @staticmethod
    def _synchronize(module: LightningModule) -> None:
        if module.device.type == "cuda":
            torch.cuda.synchronize(module.device)


class History(Callback):
    """A line of JSON per epoch with everything that was logged; a continued run drops the lines it repeats."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self.path = path
        self.clock = clock

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.is_global_zero or not self.path.exists():
            return
        if not self.path.is_file():  # reading a FIFO would wait for ever
            raise UserError(f"{str(self.path)!r} is no regular file: move it away.")
        earlier = [line for line in self.path.read_bytes().splitlines() if _epoch(line) <= trainer.current_epoch]
        write_whole(self.path, b"".join(line + b"\n" for line in earlier))

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.is_global_zero:
            return
        logged = {name: float(value) for name, value in sorted(trainer.callback_metrics.items())}
        row = {"epoch": trainer.current_epoch + 1, "step": trainer.global_step, "seconds": round(self.clock.seconds, 3)}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row | logged) + "\n")


def _epoch(line: bytes) -> float:
    """The epoch of a line; one that is damaged, or cut short by a kill, counts as later than any."""
    try:
        row = json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError):
        return float("inf")
    epoch = row.get("epoch") if isinstance(row, dict) else None
    return epoch if isinstance(epoch, int) else float("inf")


class Stopped(BaseException):
    """A signal asked the run to stop; where it trained, a checkpoint was written first."""

    def __init__(self, signum: int) -> None:
        super().__init__(f"stopped by {signal.Signals(signum).name}")
        self.signum = signum
        self.exit_code = 128 + signum


class GivenUp(Exception):
    """A callback ended the run early, and says why; the checkpoints written so far stay."""


class SignalStop(Callback):
    """Turns SIGINT, SIGTERM and SIGUSR2 into `Stopped`: while training after the step in progress, with a checkpoint
    of that very step; before and after at once. The same signal again does not wait for the step. Used as a context
    manager.

    SIGUSR2 is what submitit has Slurm send before the time of a job is up; it then wants to queue the job again.
    It must be the last callback, so that the others have taken note of the step when the checkpoint is written.
    """

    SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR2)

    def __init__(self, last: Path) -> None:
        self.last = last
        self.received: int | None = None
        self.training = False
        self.began = False  # whether training has ever begun

    def __enter__(self) -> SignalStop:
        self.handlers = {}
        if threading.current_thread() is threading.main_thread():
            self.handlers = {signum: signal.signal(signum, self._receive) for signum in self.SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for signum, handler in self.handlers.items():
            signal.signal(signum, handler)

    def hand_on(self, signum: int) -> None:
        """Calls the handler of SIGUSR2 that was there before: submitit's queues the job again and exits."""
        handler = self.handlers.get(signal.Signals(signum))
        if signum == signal.SIGUSR2 and callable(handler):
            self.__exit__()  # queueing again sends signals, too
            handler(signum, None)

    def _receive(self, signum: int, _: FrameType | None) -> None:
        if not self.training or self.received == signum:
            raise Stopped(signum)
        self.received = self.received or signum

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.handlers:  # Lightning put its own in their place
            for signum in self.SIGNALS:
                signal.signal(signum, self._receive)
        self.training = self.began = True

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.received is not None:  # came after the last batch; the epoch's own checkpoint is written by now
            raise Stopped(self.received)

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        if trainer.world_size > 1:  # all processes write a checkpoint together, so all must know
            asked = trainer.strategy.reduce_boolean_decision(self.received is not None, all=False)
            self.received = self.received or (signal.SIGTERM if asked else None)
        if self.received is not None and not trainer.is_last_batch:
            trainer.save_checkpoint(self.last)
            raise Stopped(self.received)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.training = False
        if self.received is not None:
            raise Stopped(self.received)
