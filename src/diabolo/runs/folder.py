"""Run folders: what a run writes down about itself, and how it is read back.

config.yaml     the whole resolved config
state.json      running, done, stopped or failed, with the reason, the command's overrides, what it chose of each group
                and the versions
metrics.json    the final metrics, flat, by TensorBoard's tags
history.jsonl   the metrics of each epoch, a line each
per_image.npz   the best weights' MSE, MAE and SSIM of each test image
checkpoints/    best.ckpt and last.ckpt
pictures/       every picture as PNG
run.log         the log
events.*        TensorBoard
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout
from omegaconf import DictConfig, OmegaConf

from diabolo.errors import UserError
from diabolo.runs.old_names import with_current_names
from diabolo.training.files import write_whole

if TYPE_CHECKING:
    from diabolo.training.autoencoder_module import AutoencoderModule
    from diabolo.training.classifier_module import ClassifierModule

WRITTEN = (
    *(
        "state.json",
        "config.yaml",
        "metrics.json",
        "history.jsonl",
        "per_image.npz",
        "checkpoints",
        "pictures",
        "run.log",
        "run.*.log",
    ),
    *("events.out.tfevents.*", "hparams.yaml", "projector_config.pbtxt", "[0-9][0-9][0-9][0-9][0-9]"),
)
RECORDED_VERSIONS = ("diabolo", "torch", "torchvision", "lightning", "hydra-core")


class RunFolder:
    """One run's folder. Nothing is read or written until it is asked for."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.checkpoints = self.path / "checkpoints"
        self.pictures = self.path / "pictures"
        self.log = self.path / "run.log"
        self.history = self.path / "history.jsonl"

    @classmethod
    def find(cls, path: str | Path) -> RunFolder:
        """The run folder at `path`.

        Raises:
            UserError: there is none.
        """
        run = cls(path)
        if not run.is_run():
            raise UserError(f"{str(path)!r} is not a run folder: it has no config.yaml with a state.json beside it.")
        return run

    def is_run(self) -> bool:
        return (self.path / "config.yaml").is_file() and (self.path / "state.json").is_file()

    def checkpoint(self, name: str) -> Path | None:
        """The checkpoint called "best" or "last", if it is there."""
        path = self.checkpoints / f"{name}.ckpt"
        return path if path.is_file() else None

    def best(self) -> Path:
        """The checkpoint that stands for the run: the best on validation, or the last where none was chosen.

        Raises:
            UserError: the run has no checkpoint.
        """
        path = self.checkpoint("best") or self.checkpoint("last")
        if path is None:
            raise UserError(f"{str(self.path)!r} has no checkpoint yet (state: {self.state()['state']}).")
        return path

    def config(self) -> DictConfig:
        """The resolved config, its `_target_`s by their current names."""
        loaded = OmegaConf.load(self.path / "config.yaml")
        assert isinstance(loaded, DictConfig)
        return OmegaConf.create(with_current_names(OmegaConf.to_container(loaded)))

    def state(self) -> dict[str, Any]:
        return _read(self.path / "state.json")

    def metrics(self) -> dict[str, Any]:
        """The final metrics; empty before the run is done."""
        path = self.path / "metrics.json"
        return _read(path) if path.is_file() else {}

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keeps other processes from training in this folder; a process that dies lets go.

        Raises:
            UserError: another process holds it, or the folder cannot be written.
        """
        lock = FileLock(self.path / ".lock", blocking=False)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except Timeout as failure:
            raise UserError(
                f"{str(self.path)!r} is being trained by another process: wait for it, or stop it first."
            ) from failure
        except OSError as failure:
            raise unwritable(self.path, failure) from failure
        with lock:
            yield

    def is_held(self) -> bool:
        """Whether a process trains in this folder at this moment."""
        if not (self.path / ".lock").is_file():
            return False
        try:
            with FileLock(self.path / ".lock", blocking=False):
                return False
        except Timeout:
            return True
        except OSError:  # a folder in which one may only read: nobody can tell
            return False

    def begin(self, config: DictConfig, overrides: list[str], choices: Mapping[str, str] | None = None) -> None:
        """Writes the config and marks the run as running; without `choices` those of an earlier sitting stay.

        Raises:
            UserError: the folder cannot be written.
        """
        try:
            self.checkpoints.mkdir(parents=True, exist_ok=True)
            write_whole(self.path / "config.yaml", OmegaConf.to_yaml(config))
            self.mark(
                "running",
                overrides=overrides,
                **({"choices": dict(choices)} if choices else {}),
                pid=os.getpid(),
                host=socket.gethostname(),
                started=_now(),
                versions={"python": platform.python_version()} | {name: version(name) for name in RECORDED_VERSIONS},
            )
        except OSError as failure:
            raise unwritable(self.path, failure) from failure

    def record(self) -> dict[str, str]:
        """What `begin` will write over; empty for a new run."""
        return {name: (self.path / name).read_text() for name in ("config.yaml", "state.json")} if self.is_run() else {}

    def restore(self, record: Mapping[str, str]) -> None:
        """Undoes `begin`."""
        for name, text in record.items():
            write_whole(self.path / name, text)

    def mark(self, state: str, **more: Any) -> None:
        """Sets the state, keeping what else is known."""
        known = self.state() if (self.path / "state.json").is_file() else {}
        known = {name: value for name, value in known.items() if name not in ("reason", "refused")}
        write_whole(
            self.path / "state.json", json.dumps(known | {"state": state, "changed": _now()} | more, indent=2) + "\n"
        )

    def clear(self) -> None:
        """Removes what a run writes, and nothing else that may lie there.

        Raises:
            UserError: another process is training in the folder.
        """
        with self.held():
            for pattern in WRITTEN:
                for path in self.path.glob(pattern):
                    shutil.rmtree(path) if path.is_dir() else path.unlink()

    def write_metrics(self, metrics: Mapping[str, Any]) -> None:
        write_whole(self.path / "metrics.json", json.dumps(dict(sorted(metrics.items())), indent=2) + "\n")


def load(run_folder: str | Path, checkpoint: str | None = None) -> AutoencoderModule | ClassifierModule:
    """The trained model of a run, in evaluation mode on the CPU: `encode`, `decode`, `reconstruct`; of a classifier
    `encode` and `classify`.

    Args:
        run_folder: the folder that `diabolo train` left.
        checkpoint: "best" or "last"; by default the best on validation where there is one.

    Raises:
        UserError: no run folder, or no such checkpoint.
    """
    import torch

    from diabolo.runs.build import build_module

    run = RunFolder.find(run_folder)
    path = run.checkpoint(checkpoint) if checkpoint else run.best()
    if path is None:
        raise UserError(f"{str(run_folder)!r} has no checkpoint {checkpoint!r}.")
    module = build_module(run.config())
    module.load_state_dict(torch.load(path, map_location="cpu", weights_only=True)["state_dict"])
    return module.eval()  # type: ignore[return-value]


def unwritable(path: Path, failure: OSError) -> UserError:
    """The sentence for a run folder that cannot be written."""
    return UserError(
        f"the run folder {str(path)!r} cannot be written ({failure.strerror or failure}); free some space or choose"
        " another place with hydra.run.dir=."
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _read(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text())
    except (OSError, json.JSONDecodeError) as failure:
        raise UserError(f"{path} cannot be read ({failure}).") from failure
