"""Lightning's Trainer from the switches of the config group `trainer`."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch import callbacks as lightning_callbacks
from lightning.pytorch.callbacks import EarlyStopping

from diabolo.errors import ConfigError, UserError, check_choice, check_int, check_positive
from diabolo.measures.metric_names import direction
from diabolo.training.checkpoint_io import WholeCheckpoints
from diabolo.training.ema import EMA
from diabolo.training.learner import Learner
from diabolo.training.machine import apple_gpu, ask_torch_for_gpus, use_threads

if TYPE_CHECKING:
    from diabolo.data.datamodule import ImageData

log = logging.getLogger(__name__)

ACCELERATORS = ("auto", "cpu", "gpu", "mps")
PRECISIONS = ("auto", "32", "bf16-mixed", "16-mixed")
COMPILE_MODES = ("default", "reduce-overhead", "max-autotune")


def make_trainer(
    folder: Path,
    callbacks: list[Callback],
    recorders: list[Callback],
    logger: Any,
    validates: bool,
    max_epochs: int,
    accelerator: str = "auto",
    devices: int | str = 1,
    strategy: str = "auto",
    precision: str | int = "auto",
    gradient_clip: float | None = None,
    early_stopping: int | None = None,
    ema: float | None = None,
    compile: bool | str = False,
    monitor: str = "val/mse",
    threads: int | None = None,
    overfit: int | None = None,
    detect_anomaly: bool = False,
) -> Trainer:
    """A Trainer that writes `best` and `last` checkpoints into `folder/checkpoints`.

    Args:
        callbacks, recorders: called before and after those that the switches below add.
        validates: whether there is a validation split; without one there is no best checkpoint.
        accelerator: "auto" is a CUDA GPU where there is one, else Apple's GPU, else the CPU; "gpu" one of the two GPUs,
            "mps" Apple's. Apple's is one device, so with a `strategy` of ddp "auto" takes the CPU instead.
        precision: "auto" is bf16-mixed on a CUDA GPU that computes in it, 16-mixed on one that does not, and 32 on
            Apple's GPU and on the CPU.
        gradient_clip: the gradient's largest norm.
        early_stopping: epochs without a better `monitor` after which training stops.
        ema: decay of an exponential moving average of the weights, which is then validated, drawn and tested.
        compile: `torch.compile` the network, in place; a string is the mode, e.g. "reduce-overhead" for CUDA graphs.
        monitor: what the best checkpoint is best in: the least error, or the highest PSNR or SSIM.
        threads: to compute with on the CPU; null leaves the choice to the libraries.
        overfit: train and validate on the first so many training images alone, one batch an epoch.
        detect_anomaly: end the run at the first NaN of a backward pass and name the operation that gave it; slow.

    Raises:
        UserError: a value out of range, no such device, or a switch that needs a validation split and has none.
    """
    check_int("trainer.max_epochs", max_epochs)
    accelerator = _accelerator(accelerator, strategy)
    _check_devices(accelerator, devices, strategy)
    precision = _precision(accelerator, str(precision))
    if threads is not None:
        use_threads(check_int("trainer.threads", threads))
    if accelerator == "cpu":
        ask_torch_for_gpus()
    if monitor.startswith("test/"):
        raise UserError(f"`trainer.monitor` (= {monitor!r}): the test images choose nothing; take a val/ metric.")
    if early_stopping is not None and not validates:
        raise UserError("`trainer.early_stopping` needs a validation split: set data.val_fraction above 0.")
    checkpoints = folder / "checkpoints"
    switches = [
        *_switches(gradient_clip, overfit, ema, compile),
        *([] if early_stopping is None else [_early_stopping(early_stopping, monitor)]),
        *([_checkpoint(checkpoints, "best", monitor)] if validates else []),
        _checkpoint(checkpoints, "last", None),
    ]
    return Trainer(
        default_root_dir=folder,
        callbacks=[*callbacks, *switches, *recorders],
        logger=logger or False,
        max_epochs=max_epochs,
        accelerator=accelerator,
        devices=devices,
        strategy=strategy,
        precision=precision,  # type: ignore[arg-type]  # one of `PRECISIONS`
        detect_anomaly=detect_anomaly,
        plugins=[WholeCheckpoints()],
        num_sanity_val_steps=0,
        limit_val_batches=None if validates else 0,
        log_every_n_steps=1,  # the module itself decides when to log a step
        enable_progress_bar=False,  # `diabolo.training.progress` is the progress bar
        enable_model_summary=False,  # `diabolo inspect` is the summary
        use_distributed_sampler=False,  # the batches know their rank
    )


def _accelerator(wanted: str, strategy: str) -> str:
    """The accelerator as Lightning names it: "gpu" (CUDA), "mps" (Apple's GPU) or "cpu".

    Raises:
        UserError: the one that is wanted is not here.
    """
    check_choice("trainer.accelerator", wanted, ACCELERATORS)
    if wanted in ("auto", "gpu") and torch.cuda.is_available():
        return "gpu"
    if wanted != "cpu" and apple_gpu():
        if not strategy.startswith("ddp"):
            return "mps"
        if wanted != "auto":
            raise ConfigError("trainer.strategy", strategy, "takes several devices, and Apple's GPU is one")
    if wanted in ("gpu", "mps"):
        seen = "no GPU" if wanted == "gpu" else "no GPU of Apple's"
        raise UserError(f"`trainer.accelerator` is {wanted}, but torch sees {seen} here: take trainer.accelerator=cpu.")
    return "cpu"


def _check_devices(accelerator: str, devices: int | str, strategy: str) -> None:
    """Raises a UserError for devices that are not here."""
    if isinstance(devices, int) and devices != -1:  # -1: all there are
        check_int("trainer.devices", devices)
    wanted = devices if isinstance(devices, int) else len(devices)
    there = {"gpu": torch.cuda.device_count(), "mps": 1}.get(accelerator, wanted)
    if wanted > there:
        raise ConfigError("trainer.devices", devices, f"are more than the {there} GPUs here")
    if devices != 1 and strategy == "auto":
        raise ConfigError("trainer.devices", devices, "above one needs trainer=ddp")


def _precision(accelerator: str, wanted: str) -> str:
    """The precision for an accelerator, where it may have been "auto".

    On Apple's GPU that is 32: mixed precision is young there, and comes by the version of macOS.

    Raises:
        UserError: the accelerator does not compute in the one that is wanted.
    """
    check_choice("trainer.precision", wanted, PRECISIONS)
    if wanted == "auto":
        if accelerator != "gpu":
            return "32"
        return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "16-mixed"
    if wanted == "16-mixed" and accelerator == "cpu":
        raise UserError("`trainer.precision` (= '16-mixed') needs a GPU: take bf16-mixed or 32 on a CPU.")
    if wanted == "bf16-mixed" and accelerator == "mps" and not torch.backends.mps.is_macos_or_newer(14, 0):
        raise UserError("`trainer.precision` (= 'bf16-mixed') needs macOS 14 on Apple's GPU: take 32 or 16-mixed.")
    return wanted


def _switches(
    gradient_clip: float | None, overfit: int | None, ema: float | None, compile: bool | str
) -> Iterator[Callback]:
    """The callbacks of the switches that are set."""
    if gradient_clip is not None:
        yield ClipGradients(check_positive("trainer.gradient_clip", gradient_clip))
    if overfit is not None:
        yield Overfit(overfit)
    if ema is not None:
        yield EMA(ema)
    if not isinstance(compile, bool) and compile not in COMPILE_MODES:
        raise ConfigError("trainer.compile", compile, f"must be true, false or one of {', '.join(COMPILE_MODES)}")
    if compile:
        yield Compile("default" if compile is True else compile)


def _early_stopping(patience: int, monitor: str) -> EarlyStopping:
    patience = check_int("trainer.early_stopping", patience)
    return EarlyStopping(monitor, patience=patience, mode=direction(monitor), check_finite=False)


def _checkpoint(folder: Path, name: str, monitor: str | None) -> ModelCheckpoint:
    return ModelCheckpoint(
        folder,
        name,
        monitor=monitor,
        mode=direction(monitor or ""),
        save_on_train_epoch_end=True,
        enable_version_counter=False,
        auto_insert_metric_name=False,
    )


class ModelCheckpoint(lightning_callbacks.ModelCheckpoint):
    """A checkpoint that goes on where it lies now: Lightning writes absolute paths into it, and forgets which epoch was
    the best when the folder has been moved since. (It finds a callback's state by the name of its class.)"""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        def here(path: str) -> str:
            return str(Path(str(self.dirpath)) / Path(path).name) if path else path

        moved: dict[str, Any] = {
            name: here(state_dict[name]) for name in ("best_model_path", "kth_best_model_path", "last_model_path")
        }
        moved["best_k_models"] = {here(path): score for path, score in state_dict["best_k_models"].items()}
        super().load_state_dict(state_dict | moved | {"dirpath": self.dirpath})


class Overfit(Callback):
    """Trains and validates on the first few training images, one batch an epoch. A network that cannot learn so few by
    heart has a fault. Test images stay as they are.

    Args:
        images: so many, or as many as a batch holds where that is less.
    """

    def __init__(self, images: int) -> None:
        self.images = check_int("trainer.overfit", images)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        data: ImageData = trainer.datamodule  # type: ignore[attr-defined]
        train = data.splits["train"]
        few = train.subset(torch.arange(min(self.images, data.batch_size, len(train))))
        data.splits |= {"train": few, "val": few if data.has_val else data.splits["val"]}
        if stage == "fit":
            log.info("trains on the first %d training images alone (trainer.overfit)", len(few))


class ClipGradients(Callback):
    """Has the module clip its gradients, which Lightning does only where it takes the steps itself."""

    def __init__(self, norm: float) -> None:
        self.norm = norm

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        cast(Learner, pl_module).gradient_clip = self.norm


class Compile(Callback):
    """Compiles the network in place before training; the names in checkpoints stay as they are."""

    def __init__(self, mode: str) -> None:
        self.mode = mode

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage == "fit":
            cast(Learner, pl_module).trained().compile(mode=self.mode)
