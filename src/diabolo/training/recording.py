"""Callbacks that every run has: its clock, its history, and stopping at a signal."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn

from diabolo.errors import UserError
from diabolo.training.signals import REQUEUE, STOPPING, heeded, interrupt
from diabolo.training.whole_files import write_whole


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
        elif module.device.type == "mps":
            torch.mps.synchronize()


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
    """Takes note of SIGINT, SIGTERM, SIGUSR2 and SIGHUP, and raises `Stopped` at the next safe point: while training
    after the step in progress, with a checkpoint of that very step; before and after it between batches of validation
    and test, and wherever `check` is called. Used as a context manager.

    A handler that raised would do so within any line of any library: one that hit TensorBoard's writer in its queue
    left a thread that never ended. The same signal again does raise at once, and so does the watch, if `PATIENCE`
    seconds after `Stopped` something still waits, such as a logger that is being closed; in the end it exits.

    SIGHUP stays ignored where it is, as under nohup.
    It must be the last callback, so that the others have taken note of the step when the checkpoint is written.
    """

    SIGNALS = (*STOPPING, *([REQUEUE] if REQUEUE else ()))
    PATIENCE = 30.0  # seconds

    def __init__(self, last: Path, helps: bool = False) -> None:
        self.last = last
        self.helps = helps  # another process: it stops only where they decide together
        self.received: int | None = None
        self.began = False  # whether training has ever begun
        self.at_once = False  # whether it was raised without waiting for a safe point
        self.handlers: dict[signal.Signals, Any] = {}  # those that were there before
        self.watch: threading.Timer | None = None

    def __enter__(self) -> SignalStop:
        if threading.current_thread() is threading.main_thread():
            signals = [s for s in self.SIGNALS if s in heeded() or s == REQUEUE]
            self.handlers = {s: signal.signal(s, self._receive) for s in signals}
        return self

    def __exit__(self, *_: object) -> None:
        if self.watch is not None:
            self.watch.cancel()
        for signum, handler in self.handlers.items():
            signal.signal(signum, handler)

    def hand_on(self, signum: int) -> None:
        """Calls the handler of SIGUSR2 that was there before: submitit's queues the job again and exits."""
        handler = self.handlers.get(signal.Signals(signum))
        if signum == REQUEUE and callable(handler):
            self.__exit__()  # queueing again sends signals, too
            handler(signum, None)

    def check(self) -> None:
        """A safe point: raises `Stopped` if a signal has come."""
        if self.received is not None and not self.helps:
            self._stop(self.received)

    def _asked(self, trainer: Trainer) -> int | None:
        """The signal that has come to any of the processes. They decide together: one that went its own way would
        wait for the others, in a checkpoint that all write together, while they wait for it in the next step."""
        received = self.received
        if trainer.world_size > 1 and trainer.strategy.reduce_boolean_decision(received is not None, all=False):
            received = self.received = received or signal.SIGTERM
        return received

    def _check_together(self, trainer: Trainer) -> None:
        if signum := self._asked(trainer):
            self._stop(signum)

    def _receive(self, signum: int, _: FrameType | None) -> None:
        if self.received == signum and not self.at_once:
            self.at_once = True
            self._stop(signum)
        self.received = self.received or signum

    def _stop(self, signum: int) -> NoReturn:
        if self.watch is not None:
            self.watch.cancel()
        if self.handlers:
            self.watch = threading.Timer(self.PATIENCE, self._hurry, [signum])
            self.watch.daemon = True
            self.watch.start()
        raise Stopped(signum)

    def _hurry(self, signum: int) -> None:
        if self.at_once:  # nothing else has helped
            os._exit(128 + signum)
        interrupt(signum)  # as if it had come again

    def _take_signals(self) -> None:
        """Puts the handlers in again, in whose place Lightning has put its own."""
        for signum in self.handlers:
            signal.signal(signum, self._receive)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._take_signals()
        self._check_together(trainer)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        self.began = True  # the module itself may refuse to start

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._check_together(trainer)  # it came after the last batch; the epoch's own checkpoint is written by now

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        if (signum := self._asked(trainer)) and not trainer.is_last_batch:
            trainer.save_checkpoint(self.last)
            self._stop(signum)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._check_together(trainer)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._between_batches(trainer)

    def on_validation_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        self._between_batches(trainer)

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._between_batches(trainer)

    def on_test_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        self._between_batches(trainer)

    def _between_batches(self, trainer: Trainer) -> None:
        if trainer.state.fn != TrainerFn.FITTING:  # there the epoch's checkpoint, which is to come, is worth the wait
            self._take_signals()
            self._check_together(trainer)
