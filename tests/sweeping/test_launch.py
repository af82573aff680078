"""The launcher of sweeps: the order of jobs, whose result is whose; and what Hydra itself tests of a launcher."""

import os
import subprocess
import sys
from multiprocessing import forkserver
from types import SimpleNamespace

import pytest
from hydra.core.plugins import Plugins
from hydra.test_utils.launcher_common_tests import IntegrationTestSuite, LauncherTestSuite
from hydra.version import VersionBase
from omegaconf import OmegaConf
from packaging.version import Version

from diabolo.runs.config import compose_config, quoted
from diabolo.sweeping import launch, worker
from diabolo.sweeping.launch import longest_first
from diabolo.sweeping.pool import Ended, Pool
from diabolo.sweeping.worker import NO_THREADS, Died


@pytest.mark.parametrize(
    ("jobs", "order"),
    [
        (["bottleneck.size=5", "bottleneck.size=25", "bottleneck.size=125"], [2, 1, 0]),
        (["loss=mse", "loss=mae", "seed=99"], [0, 1, 2]),
        (["model.hidden=[64,32] seed=1", "model.hidden=[512] seed=9", "model.hidden=[64,32] seed=0"], [0, 2, 1]),
        (["bottleneck.size=9 trainer.max_epochs=2", "bottleneck.size=4 trainer.max_epochs=5", "seed=7"], [1, 0, 2]),
    ],
)
def test_what_promises_to_take_longest_begins_first(jobs, order):
    assert longest_first([job.split() for job in jobs]) == order


@pytest.fixture
def given(monkeypatch):
    """The jobs that the pool was given; all of them have died with exit codes 101, 102, ..."""
    given = []
    results = lambda _, jobs: (given.append(j) or Ended(i, Died(101 + i)) for i, j in enumerate(jobs))  # noqa: E731
    monkeypatch.setattr(Pool, "run", results)
    monkeypatch.setattr(launch, "start_server", lambda *_: None)
    return given


def test_each_result_goes_to_its_job_whatever_began_first(diabolo, given):
    ended = diabolo("train", "-m", "bottleneck.size=2,3", "hydra.sweep.dir=sweep")
    assert [number for number, *_ in given] == [1, 0], "the longer one begins, under its own number"
    failed = [line for line in ended.out.splitlines() if line.startswith("failed: ")]
    assert {("size=3" in line, "101" in line) for line in failed} == {(True, True), (False, False)}


def test_a_job_gets_the_config_that_its_overrides_compose_to(diabolo, given, tmp_path):
    diabolo("train", "-m", "bottleneck.size=2,3", "model=fc", "hydra.sweep.dir=sweep")
    for _, overrides, config in given:
        own = [override for override in overrides if not override.startswith("hydra.")]
        assert OmegaConf.masked_copy(config, [key for key in config if key not in ("hydra", "rerun")]) == (
            compose_config(own)
        )
        folder = config.hydra.sweep
        assert overrides[-2:] == [
            f"hydra.sweep.dir={quoted(folder.dir)}",
            f"hydra.sweep.subdir={quoted(folder.subdir)}",
        ]
        assert config.hydra.overrides.task == own


@pytest.mark.parametrize(
    ("gpus", "overrides", "refused"),
    [("0,1", "trainer=auto,ddp", True), ("0,1", "trainer=ddp trainer.devices=1,2", True),
     ("0,1", "trainer=cpu,ddp trainer.accelerator=cpu", False), ("", "trainer=auto,ddp", False)],
)  # fmt: skip
def test_a_run_on_several_gpus_is_refused_before_any_is_started(diabolo, monkeypatch, given, gpus, overrides, refused):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", gpus)
    ended = diabolo("train", "-m", *overrides.split(), "hydra.sweep.dir=sweep")
    assert len(given) == (0 if refused else 2)
    if refused:
        assert ended.code == 2
        assert ended.err == (
            "diabolo: a run with trainer=ddp takes several GPUs, but the pool gives each run one: take"
            " hydra/launcher=basic, or trainer.accelerator=cpu.\n"
        )


def test_what_the_fork_server_imports_is_what_a_run_needs_and_starts_no_thread():
    script = """if True:
        import os, sys
        from importlib import import_module
        from diabolo.runs.config import compose_config
        from diabolo.runs.train import main
        from diabolo.sweeping.launch import preloaded
        names = preloaded(compose_config(["model=fc"]), main)
        assert not {"torch", "lightning"} & set(sys.modules)
        for name in names:
            import_module(name)
        import torch
        own = {"diabolo.network.families.fc", "diabolo.callbacks.codes", "lightning.pytorch", "torch.utils.tensorboard"}
        assert not {"torchvision", "matplotlib.pyplot", "scipy.signal"} & set(sys.modules), "what no run needs"
        print(sorted(own - set(sys.modules)), len(os.listdir("/proc/self/task")), torch.cuda.is_initialized())
    """
    environment = os.environ | NO_THREADS
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment)
    assert ended.stdout == "[] 1 False\n", ended.stderr


def test_hydra_finds_the_plugin():
    assert "PoolLauncher" in {plugin.__name__ for plugin in Plugins.instance().discover()}


@pytest.mark.slow
@pytest.mark.parametrize(("launcher_name", "overrides"), [("pool", [])])
class TestLauncher(LauncherTestSuite):
    """Hydra's own tests of a launcher."""

    @pytest.fixture(autouse=True)
    def as_hydra_1_1(self, monkeypatch):
        """What the suite expects where no version is given, whatever the tests before it have set."""
        monkeypatch.setattr(VersionBase.instance(), "version_base", Version("1.1"))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")  # the suite's own scripts give no version_base
@pytest.mark.parametrize(
    ("task_launcher_cfg", "extra_flags"),
    [({}, ["-m", "hydra/launcher=pool", "hydra.launcher.workers=1", "hydra.launcher.output=printed.txt"])],
)
class TestIntegration(IntegrationTestSuite):
    """Hydra's own tests of a launcher in a script."""


def test_the_fork_server_starts_in_an_environment_of_its_own(monkeypatch):
    seen = {}
    monkeypatch.setattr(forkserver, "ensure_running", lambda: seen.update(os.environ))
    monkeypatch.setattr(worker, "FORKS", True)
    monkeypatch.setattr(worker, "CONTEXT", SimpleNamespace(set_forkserver_preload=lambda modules: None))
    monkeypatch.delenv(next(iter(NO_THREADS)), raising=False)
    before = dict(os.environ)
    worker.start_server({"OMP_NUM_THREADS": "3"}, ["json"])
    assert (seen | NO_THREADS | {"OMP_NUM_THREADS": "3", worker.PARENT: str(os.getpid())}) == seen
    assert dict(os.environ) == before
