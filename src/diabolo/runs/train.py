"""`diabolo train`: config in, a finished run folder out."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from diabolo.errors import UserError, check_bool
from diabolo.runs.collecting import collect_as_usual
from diabolo.runs.config import chosen, explain, refuse_unread, register_resolvers, resolved
from diabolo.runs.config_check import check_config
from diabolo.runs.ddp import LAUNCHED, LaunchFailed, is_needed, launch
from diabolo.runs.find_folder import done, place, wait_for
from diabolo.runs.folder import Held, RunFolder, named_folder
from diabolo.runs.loading import load_weights
from diabolo.runs.made_folders import NoteMissing, remove_empty, remove_what_hydra_wrote
from diabolo.runs.resume import going_on_from, refuse_another, refuse_done, revised
from diabolo.runs.safe_reading import read_rows
from diabolo.runs.trusted_classes import note_own_parts
from diabolo.training.machine import keep_freed_memory

if TYPE_CHECKING:
    from lightning import Callback, Trainer

    from diabolo.data.datamodule import ImageData
    from diabolo.training.learner import Learner
    from diabolo.training.recording import Clock, SignalStop

log = logging.getLogger(__name__)

register_resolvers()


@hydra.main(version_base="1.3", config_path="pkg://diabolo.conf", config_name="train")
def main(config: DictConfig) -> float:
    """The job that Hydra runs, once or once per job of a sweep. Returns what a sweeper minimises: the validation MSE,
    a classifier's validation loss (the test MSE of a run without validation is nobody's to choose by, so that there it
    is the training loss)."""
    job = HydraConfig.get()
    swept = job.mode == RunMode.MULTIRUN
    run = RunFolder(job.runtime.output_dir)
    try:
        rerun = check_bool("rerun", config.get("rerun", False))
        named_folder(*("hydra.sweep.dir", job.sweep.dir) if swept else ("hydra.run.dir", job.run.dir))
        refuse_unread(config)
        config = resolved(config)
        check_config(config)
        if swept:
            run = place(run.path, config)
        else:
            refuse_another(config, run)
        metrics = (_in_turn if swept else _start)(config, run, rerun)
    except (UserError, OmegaConfBaseException) as failure:
        error = failure if isinstance(failure, UserError) else UserError(explain(failure, ()))
        remove_what_hydra_wrote(Path(job.runtime.output_dir))
        run.take_away()  # the empty folder that Hydra has made for it
        if swept:
            raise error from None  # a sweep goes on with its other jobs
        print(f"diabolo: {error}", file=sys.stderr)
        sys.exit(2)
    except LaunchFailed as failure:
        if swept:
            raise
        sys.exit(failure.exit_code)  # what there is to say they have said
    finally:
        remove_empty(NoteMissing.noted())
    return metrics.get("val/mse", metrics.get("val/loss", metrics["train/loss"]))


def _start(config: DictConfig, run: RunFolder, rerun: bool) -> dict[str, Any]:
    if rerun:
        run.clear()
    refuse_done(config, run)
    start = launch if is_needed(config) else train
    note_own_parts(OmegaConf.to_container(config))  # they stand on the command line of who runs this
    return start(config, run, list(HydraConfig.get().overrides.task), chosen())


def _in_turn(config: DictConfig, run: RunFolder, rerun: bool) -> dict[str, Any]:
    """Trains when no other process does so in the folder; takes what that one has done, or goes on from there."""
    while True:
        wait_for(run)
        if done(run) and not rerun:
            return run.metrics()
        try:
            return _start(config, run, rerun)
        except Held:  # another that waited was faster
            continue


def resume(folder: str | Path, overrides: Sequence[str] = (), trust: bool = False) -> dict[str, Any]:
    """Continues the run in `folder` from its last checkpoint, with e.g. `trainer.max_epochs=50` to go on longer.

    Raises:
        UserError: no run there, nothing left to do, or an override of what is settled.
    """
    run = RunFolder.find(folder)
    config = revised(run, overrides, trust=trust or LAUNCHED in os.environ)  # whose config `launch` has written
    refuse_done(config, run)
    start = launch if is_needed(config) else train
    return start(config, run, [*run.state().get("overrides", []), *overrides])


def train(
    config: DictConfig,
    run: RunFolder,
    overrides: Sequence[str] = (),
    choices: Mapping[str, str] | None = None,
    callbacks: Sequence[Callback] = (),
) -> dict[str, Any]:
    """Trains, validates and tests what a resolved config describes and returns the final metrics.

    A run folder that holds a checkpoint is continued from it. Whatever ends the run, its state says so. `choices` are
    the names chosen of the config groups, for the record.

    Args:
        callbacks: called beside those of the config.

    Raises:
        UserError: something that the user can mend, a lack of memory included; once training has begun the state is
            then "failed" with the reason, before that a new run leaves nothing behind.
        GivenUp: one of `callbacks` ended the run; the state is "stopped" with the reason.
        SystemExit: SIGINT, SIGTERM, SIGUSR2 or SIGHUP (exit code 130, 143, 140 or 129); the state is "stopped", and a
            checkpoint lies there if training had begun. A run that was ending by itself is "done".
    """
    from diabolo.runs.session import helping, session

    keep_freed_memory()
    if rank := int(os.environ.get("LOCAL_RANK", "0")):
        with helping(run, rank) as stop:
            return _train(config, run, stop, callbacks)
        return {}  # they were asked to stop
    with session(config, run, overrides, choices) as stop:
        metrics = _train(config, run, stop, callbacks)
        run.write_metrics(metrics)
        run.mark("done")
    return metrics


def _train(config: DictConfig, run: RunFolder, stop: SignalStop, callbacks: Sequence[Callback]) -> dict[str, Any]:
    from lightning import seed_everything
    from lightning.fabric.utilities.exceptions import MisconfigurationException

    from diabolo.errors import check_int
    from diabolo.runs.build import (
        build_data,
        build_metrics,
        build_module,
        build_trainer,
        check_steps,
    )
    from diabolo.runs.build_callbacks import build_callbacks
    from diabolo.runs.make import make
    from diabolo.runs.terminal import console, say_closing
    from diabolo.runs.transfer import start_from
    from diabolo.training.first_nan import first_nan_named
    from diabolo.training.progress import ProgressBar
    from diabolo.training.recording import Clock, History

    seed_everything(check_int("seed", config.seed, 0), workers=True, verbose=False)
    check_steps(config)
    data = build_data(config)
    stop.check()
    module = build_module(config, data)
    module.also_measure(build_metrics(config))
    last = going_on_from(run)
    if last is None and (source := OmegaConf.select(config, "encoder.init_from")):
        start_from(module.trained().encoder, source)  # type: ignore[arg-type]
    clock = Clock()
    logger = make(config, "logger", save_dir=str(run.path)) if config.get("logger") else None
    trainer = build_trainer(
        config,
        folder=run.path,
        callbacks=[*build_callbacks(config), *callbacks],
        recorders=[clock, History(run.history, clock), ProgressBar(console), stop],
        logger=logger,
        validates=data.has_val,
    )
    stop.check()
    data.setup()
    stop.check()
    if trainer.is_global_zero:
        for line in data.said:
            log.info("%s", line)
        console.print(_headline(module, data, run), soft_wrap=True, markup=False)
    collect_as_usual()
    try:
        with first_nan_named():
            trainer.fit(module, datamodule=data, ckpt_path=last, weights_only=True)
    except MisconfigurationException as failure:  # e.g. a callback that needs a logger
        raise UserError(f"trainer: {' '.join(str(failure).split()).rstrip('.')}.") from failure
    if not trainer.global_step:
        raise UserError(
            f"no step was taken: with `trainer.precision` (= {config.trainer.precision!r}) every gradient was infinite"
            " or NaN. Take a smaller optimizer.lr, or trainer.precision=bf16-mixed or 32."
        )
    seconds = clock.seconds
    best = load_weights(module, run.best())
    stop.check()
    metrics = measure(trainer, module, data)
    metrics |= _figures(run, module, data, clock) | {"seconds": round(seconds, 3), "kept_epoch": best["epoch"] + 1}
    if trainer.is_global_zero:
        say_closing(metrics, run.path, config.get("published"))
    return metrics


def measure(trainer: Trainer, module: Learner, data: ImageData) -> dict[str, Any]:
    """Validation and test metrics of the module's present weights."""
    loggers, trainer.loggers = trainer.loggers, []  # the validation curve in TensorBoard is that of the training
    metrics: dict[str, Any] = {}
    if data.has_val:
        metrics |= trainer.validate(module, datamodule=data, verbose=False)[0]
    trainer.loggers = loggers
    return metrics | dict(trainer.test(module, datamodule=data, verbose=False)[0])


def _figures(run: RunFolder, module: Learner, data: ImageData, clock: Clock) -> dict[str, Any]:
    """What is known of a run beside its yardstick: the last epoch's training figures, sizes, speed, versions."""
    last = read_rows(run.history)[-1]
    network = module.trained()
    size: int = network.code_size  # type: ignore[assignment]
    return {
        **{name: value for name, value in last.items() if name.startswith("train/")},
        "train/images_per_second": round(clock.images_per_second, 1),
        "epochs": last["epoch"],
        "steps": last["step"],
        "parameters": sum(p.numel() for p in network.parameters()),
        "code_size": size,
        **({"switches": count} if (count := network.switch_count) else {}),
        "compression_ratio": prod(data.image_shape) / size,
        "finished": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        **{f"versions/{name}": version for name, version in run.state()["versions"].items()},
    }


def _headline(module: Learner, data: ImageData, run: RunFolder) -> str:
    counts = ", ".join(f"{data.count(split):,} {split}" for split in ("train", "val", "test"))
    from diabolo.runs.terminal import short

    shape = "x".join(map(str, data.image_shape))
    network = module.trained()
    size: int = network.code_size  # type: ignore[assignment]
    parameters = sum(p.numel() for p in network.parameters())
    return (
        f"{shape} images ({counts}), a code of {size} ({prod(data.image_shape) / size:.4g}:1),"
        f" {parameters:,} parameters -> {short(run.path)}"
    )


if __name__ == "__main__":
    main()
