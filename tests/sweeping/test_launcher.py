"""The launcher of sweeps: places, threads, GPUs and the order of jobs; and what Hydra itself tests of a launcher."""

import os
import sys

import pytest
from hydra.core.plugins import Plugins
from hydra.test_utils.launcher_common_tests import IntegrationTestSuite, LauncherTestSuite
from hydra.version import VersionBase
from omegaconf import OmegaConf
from packaging.version import Version

from diabolo.errors import UserError
from hydra_plugins.diabolo_pool import _processes
from hydra_plugins.diabolo_pool.launcher import PoolLauncher, longest_first, visible_gpus

Died, Ended, Pool = (getattr(_processes, name) for name in ("Died", "Ended", "Pool"))


def places(config=None, jobs=16, workers=None, threads=None, gpus=None, runs_per_gpu=1) -> list[dict[str, str]]:
    launcher = PoolLauncher(workers, threads, gpus, runs_per_gpu, "run.log")
    launcher.config = OmegaConf.create(config or {})
    return launcher.places(jobs)


@pytest.fixture
def machine(monkeypatch):
    """A machine of 8 cores with the given GPUs."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    return lambda gpus: monkeypatch.setenv("CUDA_VISIBLE_DEVICES", gpus)


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


def test_each_result_goes_to_its_job_whatever_began_first(diabolo, monkeypatch):
    given = []
    results = lambda _, jobs: (given.append(j) or Ended(i, Died(101 + i)) for i, j in enumerate(jobs))  # noqa: E731
    monkeypatch.setattr(Pool, "run", results)
    ended = diabolo("train", "-m", "bottleneck.size=2,3", "hydra.sweep.dir=sweep")
    assert [job for job, _ in given] == [1, 0], "the longer one begins, under its own number"
    failed = [line for line in ended.out.splitlines() if line.startswith("failed: ")]
    assert {("size=3" in line, "101" in line) for line in failed} == {(True, True), (False, False)}


@pytest.mark.parametrize(
    ("asked", "workers", "threads"),
    [({}, 8, "1"), ({"workers": 3}, 3, "2"), ({"workers": 2, "threads": 3}, 2, "3"),
     ({"workers": 4, "threads": 8}, 4, "2"), ({"workers": 20}, 16, "1"), ({"workers": 2, "jobs": 1}, 1, "4")],
)  # fmt: skip
def test_the_cores_are_shared_out_and_never_more_than_there_are(machine, asked, workers, threads):
    machine("")
    made = places(**asked)
    assert len(made) == workers
    assert {(p["OMP_NUM_THREADS"], p["MKL_NUM_THREADS"], p["CUDA_VISIBLE_DEVICES"]) for p in made} == {
        (threads, threads, "")
    }


def test_each_worker_sees_one_gpu(machine):
    machine("4,6")
    seen = lambda **asked: [p["CUDA_VISIBLE_DEVICES"] for p in places(**asked)]  # noqa: E731
    assert seen() == ["4", "6"]
    assert seen(runs_per_gpu=3) == ["4", "6", "4", "6", "4", "6"]
    assert seen(gpus=1, runs_per_gpu=2) == ["4", "4"]
    assert seen(workers=1) == ["4"]
    assert seen(gpus=0, workers=2) == ["", ""]
    assert seen(config={"trainer": {"accelerator": "cpu"}}, workers=2) == ["", ""]
    assert [p["OMP_NUM_THREADS"] for p in places()] == ["4", "4"]


def test_numbers_that_cannot_be_are_refused(machine):
    machine("0")
    for asked, words in (
        ({"workers": 0}, "`hydra.launcher.workers` (= 0) must be a whole number of at least 1"),
        ({"threads": 0}, "`hydra.launcher.threads` (= 0) must be a whole number of at least 1"),
        ({"gpus": 2}, "`hydra.launcher.gpus` (= 2) is more than the 1 that are here"),
    ):
        with pytest.raises(UserError) as refused:
            places(**asked)
        assert words in str(refused.value)


@pytest.mark.parametrize(
    ("gpus", "overrides", "refused"),
    [("0,1", "trainer=auto,ddp", True), ("0,1", "trainer=ddp trainer.devices=1,2", True),
     ("0,1", "trainer=cpu,ddp trainer.accelerator=cpu", False), ("", "trainer=auto,ddp", False)],
)  # fmt: skip
def test_a_run_on_several_gpus_is_refused_before_any_is_started(
    machine, diabolo, monkeypatch, gpus, overrides, refused
):
    machine(gpus)
    given = []
    monkeypatch.setattr(Pool, "run", lambda _, jobs: (given.append(j) or Ended(i, Died(1)) for i, j in enumerate(jobs)))
    ended = diabolo("train", "-m", *overrides.split(), "hydra.sweep.dir=sweep")
    assert len(given) == (0 if refused else 2)
    if refused:
        assert ended.code == 2
        assert ended.err == (
            "diabolo: a run with trainer=ddp takes several GPUs, but the pool gives each run one: take"
            " hydra/launcher=basic, or trainer.accelerator=cpu.\n"
        )


def test_gpus_are_counted_without_torch(monkeypatch, tmp_path):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert visible_gpus() == []
    listing = "GPU 0: NVIDIA (UUID: GPU-a)\\n  MIG 1g Device 0: (UUID: MIG-b)\\nGPU 1: NVIDIA (UUID: GPU-c)\\n"
    (tmp_path / "nvidia-smi").write_text(f"#!{sys.executable}\nprint({listing!r}, end='')\n".replace("\\\\n", "\\n"))
    (tmp_path / "nvidia-smi").chmod(0o755)
    assert visible_gpus() == ["0", "1"]


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
