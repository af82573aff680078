"""What all tests share: one thread, a command line in this process or in its own, small data written on the spot."""

import logging
import os
import tempfile

os.environ["XDG_CONFIG_HOME"] = tempfile.mkdtemp(prefix="diabolo-tests-")  # where own parts are noted
os.environ["DIABOLO_STRICT"] = "1"  # a picture that cannot be drawn fails the test
os.environ["HF_HOME"] = tempfile.mkdtemp(prefix="diabolo-tests-")  # where Datasets keeps what it has read
os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp(prefix="diabolo-tests-")  # where decoded images are kept
os.environ["OMP_NUM_THREADS"] = "1"  # before torch: two threads fall off a cliff beside a busy neighbour
os.environ.pop("DIABOLO_CACHE", None)
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # processes that compile everything anew take twice as long

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from processes import all_ended
from support import TINY, Ended, write_mnist

torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def event_files_in_order() -> None:
    """TensorBoard reads a run's event files in the order of their names, which end in a count that is not padded: of
    two files of one second, the 100th of a process would be read before the 99th."""
    from tensorboard.summary.writer import event_file_writer

    event_file_writer._global_uid = event_file_writer.AtomicCounter(100_000)


@pytest.fixture
def diabolo(monkeypatch, capsys, tmp_path) -> Callable[..., Ended]:
    """Runs the command line in this process, in an empty folder: `diabolo("train", "model=fc")`."""
    from hydra import version as hydra_version
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.hydra_config import HydraConfig

    from diabolo.cli import main

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(logging.root, "handlers", logging.root.handlers[:])  # Hydra adds one with this test's stdout
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")

    def run(*arguments: str) -> Ended:
        GlobalHydra.instance().clear()
        HydraConfig.instance().cfg = None
        hydra_version.setbase("1.3")  # Hydra's own tests, which run here too, leave another
        monkeypatch.setattr(sys, "argv", ["diabolo", *arguments])
        os.environ["HYDRA_FULL_ERROR"] = "0"
        capsys.readouterr()
        code = 0
        try:
            main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
        return Ended(code, *capsys.readouterr())

    return run


@pytest.fixture(scope="session")
def trained(tmp_path_factory) -> Callable:
    """Trains what the overrides describe, without the command line, and returns the run folder."""
    from diabolo.runs.config import compose_config
    from diabolo.runs.folder import RunFolder
    from diabolo.runs.train import train

    def run(*overrides: str) -> RunFolder:
        folder = RunFolder(tmp_path_factory.mktemp("runs") / "run")
        train(compose_config(overrides), folder, list(overrides))
        return folder

    return run


@pytest.fixture
def process(tmp_path) -> Callable[..., subprocess.Popen]:
    """Starts the command line as a process of its own, in an empty folder."""

    def start(*arguments: str) -> subprocess.Popen:
        command = [sys.executable, "-m", "diabolo", *arguments]
        pipe = subprocess.PIPE
        started.append(subprocess.Popen(command, cwd=tmp_path, stdout=pipe, stderr=pipe, text=True))
        return started[-1]

    with all_ended() as started:
        yield start


@pytest.fixture
def tiny() -> tuple[str, ...]:
    return TINY


@pytest.fixture(scope="session")
def compared(trained, tmp_path_factory) -> Path:
    """A folder with three runs of small networks: two losses at 4 numbers, one at 2."""
    folder = tmp_path_factory.mktemp("compared")
    quiet = ("callbacks.codes=null", "callbacks.projector=null", "callbacks.hparams=null", "logger=none")
    for name, more in (("mse_4", ()), ("mae_4", ("loss=mae",)), ("mse_2", ("bottleneck.size=2",))):
        shutil.copytree(trained(*TINY, *quiet, *more).path, folder / name)
    return folder


@pytest.fixture
def any_cifar10(monkeypatch) -> None:
    """Has torchvision take the files of a CIFAR10 for the true ones, whatever is in them."""
    monkeypatch.setattr("torchvision.datasets.cifar.check_integrity", lambda *_: True)


@pytest.fixture
def mnist_root(tmp_path) -> Path:
    """A folder with a made MNIST of 64 training and 32 test images."""
    return write_mnist(tmp_path / "mnist")
