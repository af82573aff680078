"""The worker processes of a sweep, without Hydra and without training, and the launcher that Hydra itself tests."""

import ast
import ctypes
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from multiprocessing import forkserver
from pathlib import Path

import pytest
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.test_utils.launcher_common_tests import IntegrationTestSuite, LauncherTestSuite
from hydra.version import VersionBase
from omegaconf import OmegaConf
from packaging.version import Version

from diabolo.errors import ConfigError
from hydra_plugins.diabolo_pool import _processes, _progress
from hydra_plugins.diabolo_pool.launcher import PoolLauncher, longest_first, visible_gpus

Died, Ended, Pool, Started, Stopped = (
    getattr(_processes, name) for name in ("Died", "Ended", "Pool", "Started", "Stopped")
)


@pytest.fixture(scope="module", autouse=True)
def server():
    """The fork server of these tests, which imports nothing, is not that of tests to come."""
    yield
    forkserver._forkserver._stop()


def run(work, jobs, environments=({}, {})) -> tuple[list, list]:
    """The events of a pool in their order, and the results by job."""
    events = list(Pool(work, environments).run(jobs))
    return events, [e.result for e in sorted((e for e in events if isinstance(e, Ended)), key=lambda e: e.job)]


def test_a_free_place_takes_the_next_job_and_processes_are_kept():
    def work(seconds):
        time.sleep(seconds)
        return os.getpid(), True

    events, pids = run(work, [1.5, 0.0, 0.0, 0.0])
    assert events[:2] == [Started(0), Started(1)]
    assert [e.job for e in events if isinstance(e, Ended)] == [1, 2, 3, 0]  # nobody waits for the slow one
    assert pids[1] == pids[2] == pids[3]
    assert len({*pids, os.getpid()}) == 3


def test_each_place_has_its_environment():
    def work(_):
        time.sleep(0.5)
        getenv = ctypes.CDLL(None).getenv  # as CUDA reads it
        getenv.restype = ctypes.c_char_p
        return {name: getenv(name.encode()).decode() for name in ("OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES")}, True

    places = [{"OMP_NUM_THREADS": "3", "CUDA_VISIBLE_DEVICES": str(i)} for i in range(2)]
    _, seen = run(work, [0, 1], places)
    assert seen == places
    assert os.environ["OMP_NUM_THREADS"] == "1"
    assert os.environ.get("CUDA_VISIBLE_DEVICES") != "1"


FORKS = """
    import json, os, pathlib, signal, sys, time
    from hydra_plugins.diabolo_pool import _processes, _progress
    def work(job):
        if job == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if job == "kill server":
            os.kill(os.getppid(), signal.SIGKILL)
            time.sleep(20)
        threads = os.listdir("/proc/self/task")
        return ("made" in sys.modules, os.getppid(), len(threads)), True
    def results(jobs):
        pool = _processes.Pool(work, [{"OMP_NUM_THREADS": "3"}], ["made"])
        return [e.result for e in pool.run(jobs) if isinstance(e, _processes.Ended)]
    if __name__ == "__main__":
        JOBS
"""


def forked(tmp_path, jobs: str) -> subprocess.CompletedProcess:
    """Runs `jobs` in a process whose fork server imports a module that notes each import of it."""
    note = "import os; open('imports', 'a').write(os.environ['OMP_NUM_THREADS'] + '\\n')"
    (tmp_path / "made.py").write_text(note)
    (tmp_path / "script.py").write_text(textwrap.dedent(FORKS).replace("JOBS", jobs))
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "script.py"]
    return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600)


def test_what_is_heavy_is_imported_once_for_all_workers(tmp_path):
    ended = forked(tmp_path, 'print(json.dumps([str(r) if r else r for r in results(["a", "kill", "b"])]))')
    assert ended.returncode == 0, ended.stderr
    first, died, second = json.loads(ended.stdout)
    assert "SIGKILL" in died
    assert first == second  # the module is there, the same parent, as many threads
    assert first.startswith("(True, ")
    assert (tmp_path / "imports").read_text() == "3\n"


def test_a_signal_to_all_processes_leaves_the_server_to_the_workers(tmp_path):
    kill = "[os.kill(before[0][1], signum) for signum in (signal.SIGTERM, signal.SIGINT)]; time.sleep(0.2)"
    ended = forked(tmp_path, f'before = results(["a"]); {kill}; assert results(["b"]) == before')
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""


def test_a_killed_server_costs_what_was_running_alone(tmp_path):
    ended = forked(tmp_path, 'print([str(r)[:40] for r in results(["a", "kill server", "b"])])')
    first, died, second = ast.literal_eval(ended.stdout)
    assert died == "its process ended with exit code 255"
    assert first.startswith("(True, ")
    assert second.startswith("(True, ")
    assert first != second
    assert (tmp_path / "imports").read_text() == "3\n3\n"


def test_a_worker_that_dies_costs_its_job_alone_and_leaves_nothing_running(tmp_path):
    def work(job):
        if job == "killed":
            child = os.fork()  # it inherits the worker's pipes, as the processes of a data loader do
            if child == 0:
                time.sleep(60)
                os._exit(0)
            (tmp_path / "child").write_text(str(child))
            os.kill(os.getpid(), signal.SIGKILL)
        if job == "exits":
            os._exit(3)
        return job, True

    _, results = run(work, ["a", "killed", "b", "exits", "c"], [{}])
    child = (tmp_path / "child").read_text()
    assert results == ["a", Died(-9), "b", Died(3), "c"]
    assert [str(results[1]), str(results[3])] == [
        "its process was ended by SIGKILL (out of memory?)",
        "its process ended with exit code 3",
    ]
    deadline = time.monotonic() + 10
    while Path(f"/proc/{child}/cmdline").exists() and Path(f"/proc/{child}/cmdline").read_bytes():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_process_that_is_not_fit_for_another_job_is_replaced():
    _, pids = run(lambda fit: (os.getpid(), fit), [True, False, True], [{}])
    assert pids[0] == pids[1] != pids[2]


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_reaches_each_worker_once_as_sigterm_and_ends_the_pool(signum, tmp_path):
    def work(job):
        got = []
        signal.signal(signal.SIGTERM, lambda signum, _: got.append(signum))
        (tmp_path / f"began{job}").touch()
        time.sleep(0.2)
        while not got:
            time.sleep(0.01)
        time.sleep(0.5)  # a second signal would come now
        (tmp_path / f"ended{job}").write_text(str(got))
        os._exit(143)

    def interrupt():
        while len(list(tmp_path.glob("began*"))) < 2:
            time.sleep(0.01)
        os.kill(os.getpid(), signum)

    before = signal.getsignal(signum)
    events = []
    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(Stopped) as stopped:
        events.extend(Pool(work, [{}, {}]).run([0, 1, 2]))
    assert stopped.value.exit_code == 128 + signum
    assert sorted(path.name for path in tmp_path.glob("ended*")) == ["ended0", "ended1"]
    assert (tmp_path / "ended0").read_text() == "[15]"
    assert not (tmp_path / "began2").exists()
    assert signal.getsignal(signum) == before


def test_workers_whose_parent_is_killed_are_asked_to_stop(tmp_path):
    script = f"""
        import os, pathlib, signal, time
        from hydra_plugins.diabolo_pool._processes import Pool
        def work(job):
            def stop(signum, _):
                pathlib.Path({str(tmp_path / "stopped")!r}).write_text(str(signum))
                os._exit(143)
            signal.signal(signal.SIGTERM, stop)
            pathlib.Path({str(tmp_path / "began")!r}).touch()
            time.sleep(60)
        if __name__ == "__main__":
            list(Pool(work, [{{}}]).run([0]))
    """
    (tmp_path / "script.py").write_text(textwrap.dedent(script))
    parent = subprocess.Popen([sys.executable, str(tmp_path / "script.py")])
    deadline = time.monotonic() + 30
    while not (tmp_path / "began").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    parent.kill()
    parent.wait()
    while not (tmp_path / "stopped").exists() or not (tmp_path / "stopped").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert (tmp_path / "stopped").read_text() == "15"


def test_the_progress_line_counts_jobs_and_the_time_left(monkeypatch):
    now = 100.0
    monkeypatch.setattr(_progress.time, "monotonic", lambda: now)
    progress = _progress.Progress(["a", "b", "c", "d"], 2, "1")
    said = [str(progress)]
    now = 160.0  # what starting takes is no measure of a job
    progress.started()
    said.append(str(progress))
    for now, status in ((220.0, JobStatus.COMPLETED), (230.0, JobStatus.FAILED), (240.0, JobStatus.COMPLETED)):  # noqa: B007  the clock
        progress.started()
        progress.ended(0, JobReturn(status=status, _return_value=ValueError("it is not")))
        said.append(str(progress))
    progress.ended(0, JobReturn(status=JobStatus.COMPLETED))
    assert [*said, str(progress)] == [
        "0 of 4 done, starting",
        "0 of 4 done, 2 running, 0 failed",
        "1 of 4 done, 2 running, 0 failed, 3 min left",
        "1 of 4 done, 2 running, 1 failed, 70 s left",
        "2 of 4 done, 1 running, 1 failed, 27 s left",
        "3 of 4 done, 0 running, 1 failed",
    ]


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
        with pytest.raises(ConfigError) as refused:
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
