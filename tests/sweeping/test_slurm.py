"""Sweeps through submitit: on a real Slurm of one node where Debian's packages are installed, else by local jobs."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hydra import compose, initialize_config_module

from diabolo.runs.config import register_resolvers
from diabolo.runs.folder import RunFolder
from support import ROOT, TINY

MISSING = [name for name in ("munged", "slurmctld", "slurmd", "sbatch", "srun") if shutil.which(name) is None]
WHY_NOT = f"{', '.join(MISSING)} missing" if MISSING else "slurmd needs root" if os.getuid() else ""

BARE = [o for o in TINY if not o.startswith(("bottleneck", "trainer.max_epochs"))] + ["callbacks=none", "logger=none"]
OF_THE_CLOCK = {"seconds", "finished", "train/images_per_second"}


def test_the_launcher_is_submitits_with_values_that_sbatch_takes():
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    from submitit.slurm.slurm import _make_sbatch_string

    register_resolvers()
    with initialize_config_module("diabolo.conf", version_base="1.3"):
        config = compose("train", ["hydra/launcher=slurm", "hydra.launcher.gpus_per_node=1"], return_hydra_config=True)
    launcher = {key: value for key, value in config.hydra.launcher.items() if key != "submitit_folder"}
    assert launcher["_target_"].endswith("SlurmLauncher")
    assert launcher["max_num_timeout"] == 50
    passed = {"array_parallelism", "cpus_per_task", "gpus_per_node", "signal_delay_s", "additional_parameters"}
    script = _make_sbatch_string(
        "true", "folder", map_count=100, time=launcher["timeout_min"], **{name: launcher[name] for name in passed}
    )
    wanted = {
        "--array=0-99%16",
        "--time=240",
        "--cpus-per-task=4",
        "--gpus-per-node=1",
        "--signal=USR2@120",
        "--requeue",
    }
    assert {f"#SBATCH {option}" for option in wanted} <= set(script.splitlines())


@pytest.mark.parametrize(("launcher", "extra"), {"slurm": "slurm", "ray": "ray"}.items())
def test_a_launcher_that_is_not_installed_is_one_sentence(tmp_path, launcher, extra):
    script = f"""if True:
        import sys
        from hydra.core.config_store import ConfigStore
        from hydra.core.plugins import Plugins
        from diabolo.cli import main
        Plugins.instance()
        known = ConfigStore.instance().repo["hydra"]["launcher"]
        for name in [name for name in known if name.startswith(("submitit", "ray"))]:
            del known[name]
        sys.argv = ["diabolo", "train", "-m", "hydra/launcher={launcher}", "seed=1,2"]
        main()
    """
    ended = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert line == f"diabolo: this launcher comes with an extra that is not installed: uv sync --extra {extra}."


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """A Slurm of this one machine; SLURM_CONF points at it."""
    script = str(ROOT / "scripts" / "slurm_single_node.sh")
    started = subprocess.run([script, "start", str(tmp_path / "slurm")], capture_output=True, text=True)
    assert started.returncode == 0, started.stderr
    monkeypatch.setenv("SLURM_CONF", started.stdout.strip().partition("=")[2])
    yield
    subprocess.run([script, "stop", str(tmp_path / "slurm")], check=True)


@pytest.mark.slow
@pytest.mark.skipif(bool(WHY_NOT), reason=f"no Slurm here: {WHY_NOT}")
def test_an_array_on_slurm_and_a_job_that_is_queued_again(slurm, process, trained, tmp_path):
    def out_of_time(run: RunFolder) -> None:  # what Slurm itself sends before the time is up, without the wait
        (job,) = subprocess.check_output(["squeue", "--noheader", "--format=%i", "--name=long"], text=True).split()
        subprocess.run(["scancel", "--signal=USR2", job], check=True)

    assert_sweeps("slurm", out_of_time, process, trained, tmp_path)


@pytest.mark.slow
@pytest.mark.skipif(not WHY_NOT, reason="the real Slurm is tested instead")
def test_submitits_local_jobs_and_one_that_is_queued_again(process, trained, tmp_path):
    def out_of_time(run: RunFolder) -> None:
        os.kill(run.state()["pid"], signal.SIGUSR2)

    assert_sweeps("submitit_local", out_of_time, process, trained, tmp_path)


def assert_sweeps(launcher: str, out_of_time, process, trained, tmp_path: Path) -> None:
    """Of two jobs one fails and the other ends; a job that is out of time goes on from its checkpoint."""
    sweep = ("train", "-m", f"hydra/launcher={launcher}", "hydra.launcher.cpus_per_task=1", *BARE)
    subdir = "hydra.sweep.subdir=${bottleneck.size}"
    long_run = (*BARE, "bottleneck.size=4", "trainer.max_epochs=150")
    long = process(*sweep, *long_run[-2:], "hydra.sweep.dir=long", "hydra.launcher.name=long", "hydra.sweep.subdir=run")
    array = process(*sweep, "bottleneck.size=0,3", "trainer.max_epochs=2", "hydra.sweep.dir=array", subdir)

    run = RunFolder(tmp_path / "long" / "run")
    wait_for(lambda: run.history.exists() and len(run.history.read_text().splitlines()) > 5, long)
    out_of_time(run)
    wait_for(lambda: run.state()["state"] == "stopped", long)
    assert run.state()["reason"] == "stopped by SIGUSR2"

    out, err = array.communicate(timeout=600)
    assert array.returncode != 0
    assert "`bottleneck.size` (= 0) must be a whole number of at least 1" in out + err
    runs = {size: RunFolder(tmp_path / "array" / str(size)) for size in (0, 3)}
    assert not runs[0].is_run(), "what is refused before training leaves no run"
    assert runs[3].state()["state"] == "done"
    alone = trained(*BARE, "bottleneck.size=3", "trainer.max_epochs=2")
    assert runs[3].metrics()["test/mse"] == alone.metrics()["test/mse"]

    out, err = long.communicate(timeout=600)
    assert long.returncode == 0, out + err
    assert run.state()["state"] == "done"
    (said,) = (path.read_text() for path in (tmp_path / "long" / ".submitit").glob("*/*_log.out"))
    assert said.count("Starting with JobEnvironment") == 2  # by submitit, within one job
    undisturbed = trained(*long_run)
    assert without_times(run.metrics()) == without_times(undisturbed.metrics())
    epochs = [json.loads(line)["epoch"] for line in run.history.read_text().splitlines()]
    assert epochs == list(range(1, 151))


def wait_for(condition, process) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def without_times(metrics: dict) -> dict:
    return {name: value for name, value in metrics.items() if name not in OF_THE_CLOCK}
