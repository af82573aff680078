"""Run folders: what a run writes down about itself, and how it is read back.

config.yaml     the whole resolved config
state.json      running, done, stopped or failed, with the reason, the command's overrides, what it chose of each group
                and the versions
metrics.json    the final metrics, flat, by TensorBoard's tags
history.jsonl   the metrics of each epoch, a line each
per_image.npz   the best weights' MSE, MAE, SSIM and further metrics of each test image
checkpoints/    best.ckpt and last.ckpt
pictures/       every picture as PNG
run.log         the log
events.*        TensorBoard
"""

from __future__ import annotations

import json
import os
import platform
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from diabolo.errors import ConfigError, UserError, out_of_memory
from diabolo.runs.config_check import check_config
from diabolo.runs.files_written import is_free, is_ours, remove_drafts, remove_written
from diabolo.runs.old_names import of_today
from diabolo.runs.safe_reading import Unreadable, read_metrics, read_state, read_text, read_yaml
from diabolo.runs.trusted_classes import check
from diabolo.runs.unwritable import unwritable
from diabolo.training.whole_files import write_whole

if TYPE_CHECKING:
    pass

GROUPS = ("data", "encoder", "bottleneck", "model", "optimizer", "trainer", "task")  # which every config has
RECORDED_VERSIONS = ("diabolo", "torch", "torchvision", "lightning", "hydra-core")


class Held(UserError):
    """Another process trains in the folder."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{str(path)!r} is being trained by another process: wait for it, or stop it first.")


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
        """The resolved config, its `_target_`s by their current names, to be looked at; see `trusted_config`."""
        return self._created(of_today(read_yaml(self.path / "config.yaml")))

    def trusted_config(self, trust: bool = False) -> DictConfig:
        """The config, to be made objects of.

        Args:
            trust: whether the reader answers for whoever made the run.

        Raises:
            Unreadable: it is damaged, as one whose end is missing.
            Distrusted: it names what is neither diabolo's nor the reader's own; see `diabolo.runs.trusted_classes`.
            UserError: values in it cannot be; see `diabolo.runs.config_check`.
        """
        plain = of_today(read_yaml(self.path / "config.yaml"))
        if missing := [group for group in GROUPS if not isinstance(plain.get(group), dict)]:
            raise Unreadable(self.path / "config.yaml", f"it has no group `{missing[0]}`, as every run's config has")
        if not trust:
            check(plain, self.path)
        try:
            check_config(plain)
        except UserError as failure:
            raise UserError(f"the config of {str(self.path)!r} cannot be: {failure}") from None
        return self._created(plain)

    def _created(self, plain: dict[str, Any]) -> DictConfig:
        with self.describes_a_run():
            return OmegaConf.create(plain)

    @contextmanager
    def describes_a_run(self) -> Iterator[None]:
        """What is made of the config within this context is refused in one sentence that names the file: its author is
        not at hand, and a part of it that is missing or of another kind is met in many places."""
        try:
            yield
        except (OmegaConfBaseException, TypeError, ValueError, LookupError, AttributeError, RuntimeError) as failure:
            if isinstance(failure, UserError):
                raise
            said = " ".join(str(failure).split())[:120] or type(failure).__name__
            why = f"it does not describe a run that can be built ({said})"
            raise out_of_memory(failure) or Unreadable(self.path / "config.yaml", why) from failure

    def state(self) -> dict[str, Any]:
        return read_state(self.path / "state.json")

    def metrics(self) -> dict[str, Any]:
        """The final metrics; empty before the run is done."""
        path = self.path / "metrics.json"
        return read_metrics(path) if path.exists() else {}

    def refuse_foreign(self) -> None:
        """Refuses a folder in which something else lies than a run, or what may lie there before one begins.

        Raises:
            UserError: so it is.
        """
        if not is_free(self.path) and not is_ours(self.path):
            raise UserError(
                f"{str(self.path)!r} is a folder that is not empty and holds no run of diabolo's: nothing in it was"
                " touched; choose another hydra.run.dir."
            )

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keeps other processes from training in this folder; a process that dies lets go.

        Raises:
            Held: another process holds it.
            UserError: the folder cannot be written.
        """
        lock = FileLock(self.path / ".lock", timeout=0.5)  # `is_held` of another process takes it for a moment
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except Timeout as failure:
            raise Held(self.path) from failure
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
            self.path.mkdir(parents=True, exist_ok=True)
            self.mark(  # first, since it says whose the folder is
                "running",
                overrides=overrides,
                **({"choices": dict(choices)} if choices else {}),
                pid=os.getpid(),
                host=socket.gethostname(),
                started=_now(),
                versions={"python": platform.python_version()} | {name: version(name) for name in RECORDED_VERSIONS},
            )
            remove_drafts(self.path)
            write_whole(self.path / "config.yaml", OmegaConf.to_yaml(config))
            self.checkpoints.mkdir(parents=True, exist_ok=True)
        except OSError as failure:
            raise unwritable(self.path, failure) from failure

    def record(self) -> dict[str, str]:
        """What `begin` will write over; empty for a new run."""
        names = ("config.yaml", "state.json") if self.is_run() else ()
        return {name: read_text(self.path / name) for name in names}

    def restore(self, record: Mapping[str, str]) -> None:
        """Undoes `begin`.

        Raises:
            OSError: a file cannot be written.
        """
        for name, text in record.items():
            if not (self.path / name).is_file() or read_text(self.path / name) != text:
                write_whole(self.path / name, text)

    def mark(self, state: str, **more: Any) -> None:
        """Sets the state, keeping what else is known. On a full disk a run that has failed or stopped still says so,
        where the file that is there has room for it: nothing else could.

        Raises:
            OSError: the file cannot be written.
        """
        known = self.state() if (self.path / "state.json").is_file() else {}
        known = {name: value for name, value in known.items() if name not in ("reason", "refused")}
        file = self.path / "state.json"
        text = (json.dumps(known | {"state": state, "changed": _now()} | more, indent=2) + "\n").encode()
        try:
            write_whole(file, text)
        except OSError:
            if state not in ("failed", "stopped") or not file.is_file() or len(text) > _room(file):
                raise
            with file.open("rb+", buffering=0) as place:
                if place.write(text) < len(text):
                    raise
                place.truncate()

    def clear(self) -> None:
        """Removes what a run writes, and nothing else, so that it can start afresh; the state stays, since it says
        whose the folder is.

        Raises:
            UserError: another process is training in the folder, or it holds something that is no run.
        """
        self.refuse_foreign()
        with self.held():
            if is_ours(self.path):
                remove_written(self.path, keep=["state.json"])
                self.mark("stopped", reason="cleared, to start afresh")

    def remove(self) -> list[Path]:
        """Removes what a run writes and, where nothing else lies there, the folder; returns what is left.

        Raises:
            UserError: another process is training in the folder, or it holds no run.
        """
        with self.held():
            left = [path for path in remove_written(self.path) if path.name != ".lock"]
        with suppress(OSError):
            (self.path / ".lock").unlink()
        self.take_away()
        return left

    def take_away(self) -> None:
        """Removes the folder if nothing but its lock is in it."""
        if Path.cwd().is_relative_to(self.path.resolve()):
            return
        if self.path.is_dir() and {entry.name for entry in self.path.iterdir()} <= {".lock"}:
            with suppress(OSError):  # another process has begun there meanwhile, or it is not ours to remove
                (self.path / ".lock").unlink(missing_ok=True)
                self.path.rmdir()

    def write_metrics(self, metrics: Mapping[str, Any]) -> None:
        write_whole(self.path / "metrics.json", json.dumps(dict(sorted(metrics.items())), indent=2) + "\n")


def named_folder(key: str, value: Any) -> Path:
    """The folder that a config key names; an empty text would be the current folder.

    Raises:
        ConfigError: it names none.
    """
    if not str(value).strip():
        raise ConfigError(key, "", "is empty: name a folder for the run, or leave the key out")
    return Path(str(value))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _room(file: Path) -> int:
    """The bytes that a file has on the disk, which may be more than it holds; 0 where the system does not say."""
    return 512 * getattr(file.stat(), "st_blocks", 0)
