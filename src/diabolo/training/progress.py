"""The progress bar on a terminal and in a notebook, plain lines elsewhere."""

from __future__ import annotations

import logging
import time
from html import escape
from typing import Any

from lightning import Callback, LightningModule, Trainer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

log = logging.getLogger(__name__)

REFRESH = 0.2  # seconds; reading the loss makes a GPU wait, so it is read no more often
PLAIN_LINES = 20  # at most so many lines where there is no terminal


class Bar:
    """A bar on a terminal: batches of all `epochs` that are done, of `total`."""

    def __init__(self, console: Console, epochs: int, total: int) -> None:
        columns = (
            TextColumn("epoch {task.fields[epoch]}/{task.fields[epochs]}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[said]}"),
            TimeRemainingColumn(compact=True),
            TextColumn("left"),
        )
        self.progress = Progress(*columns, console=console, auto_refresh=False)  # no thread beside torch's
        self.task = self.progress.add_task("", total=total, epochs=epochs, epoch=1, said="")
        self.progress.start()

    def update(self, done: int, epoch: int, said: str) -> None:
        self.progress.update(self.task, completed=done, epoch=epoch, said=said, refresh=True)

    def stop(self) -> None:
        self.progress.stop()


class NotebookBar:
    """The same in a notebook, as an element of HTML that is drawn anew in its place."""

    def __init__(self, epochs: int, total: int) -> None:
        from IPython.display import HTML, display  # which a notebook has

        self.epochs, self.total, self.html = epochs, total, HTML
        self.began, self.first = time.monotonic(), -1
        self.place = display(HTML(""), display_id=True)

    def update(self, done: int, epoch: int, said: str) -> None:
        self.first = done if self.first < 0 else self.first  # a continued run begins in the middle
        elapsed = time.monotonic() - self.began
        left = f"{elapsed / (done - self.first) * (self.total - done):.0f} s left" if done > self.first else ""
        bar = f'<progress max="{self.total}" value="{done}" style="width: 16em; vertical-align: middle"></progress>'
        self.place.update(self.html(f"epoch {epoch}/{self.epochs} {bar} {escape(said)} &ensp; {left}"))

    def stop(self) -> None:
        pass


class ProgressBar(Callback):
    """Epoch, loss, the yardstick beside PCA, and the time left for the whole run.

    On a terminal and in a notebook one bar; elsewhere (a file, CI) at most 20 plain lines. The log file has a line per
    epoch.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self.bar: Bar | NotebookBar | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.batches = int(trainer.num_training_batches)
        self.epochs = int(trainer.max_epochs or 0)
        self.done_before = trainer.current_epoch
        self.began = self.refreshed = time.monotonic()
        if trainer.is_global_zero and (self.console.is_terminal or self.console.is_jupyter):
            total = self.epochs * self.batches
            self.bar = (
                NotebookBar(self.epochs, total) if self.console.is_jupyter else Bar(self.console, self.epochs, total)
            )
            self.bar.update(self.done_before * self.batches, self.done_before + 1, "")

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int) -> None:  # fmt: skip  # noqa: E501
        if self.bar is None or (now := time.monotonic()) - self.refreshed < REFRESH:
            return
        self.refreshed = now
        said = f"loss {float(outputs['loss']):.4f}{self._yardstick(trainer)}"
        done = trainer.current_epoch * self.batches + batch_idx + 1
        self.bar.update(done, trainer.current_epoch + 1, said)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.is_global_zero:
            return
        epoch = trainer.current_epoch + 1
        left = (time.monotonic() - self.began) / (epoch - self.done_before) * (self.epochs - epoch)
        said = f"loss {float(trainer.callback_metrics['train/loss']):.5f}{self._yardstick(trainer)}"
        line = f"epoch {epoch}/{self.epochs}  {said}  {left:.0f} s left"
        log.info(line, extra={"file_only": True})
        if self.bar is not None:
            self.bar.update(epoch * self.batches, epoch, said)
        elif epoch in (1, self.epochs) or epoch % -(-self.epochs // PLAIN_LINES) == 0:
            self.console.print(line, soft_wrap=True)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._stop()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._stop()

    def _stop(self) -> None:
        if self.bar is not None:
            self.bar.stop()
            self.bar = None

    @staticmethod
    def _yardstick(trainer: Trainer) -> str:
        metrics = trainer.callback_metrics
        if "val/mse" not in metrics:
            return ""
        beside = f" (PCA {float(metrics['val/pca_mse']):.5f})" if "val/pca_mse" in metrics else ""
        return f"  val mse {float(metrics['val/mse']):.5f}{beside}"
