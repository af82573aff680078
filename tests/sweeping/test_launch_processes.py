"""Sweeps of real processes that are killed, stopped, or run several processes a job."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from diabolo.runs.folder import RunFolder
from processes import children, gone
from support import TINY, stamps

BARE = (*(o for o in TINY if not o.startswith("bottleneck")), "callbacks=none", "logger=none")
OF_THE_CLOCK = {"seconds", "finished", "train/images_per_second"}
KILLED = ("train", "-m", *BARE, "trainer.max_epochs=60", "bottleneck.size=2,3", "loss=mse,mae", "hydra.sweep.dir=sweep")


@pytest.mark.slow
def test_a_sweep_whose_parent_and_a_worker_are_killed_ends_as_one_undisturbed(process, diabolo, tmp_path):
    assert diabolo(*KILLED, "hydra.sweep.dir=whole", "hydra/launcher=basic").code == 0
    folder = tmp_path / "sweep"

    first = process(*KILLED)
    working = workers(first, until=lambda: list(folder.glob("*/checkpoints/last.ckpt")))
    first.kill()
    gone(working)
    states = [json.loads(path.read_text())["state"] for path in folder.glob("*/state.json")]
    assert set(states) <= {"done", "stopped"}
    assert "stopped" in states
    finished = stamps(folder)

    second = process(*KILLED)
    (victim, *_) = workers(second, until=lambda: len(working_on(folder)) == 2)
    os.kill(victim, signal.SIGKILL)
    out, _ = second.communicate(timeout=600)
    assert second.returncode == 1
    assert out.count("failed: ") == 1
    assert "its process was ended by SIGKILL (out of memory?)" in out
    assert sorted(json.loads(path.read_text())["state"] for path in folder.glob("*/state.json")) == [
        *["done"] * 3,
        "failed",
    ]
    assert finished.items() <= stamps(folder).items()
    finished = stamps(folder)

    third = process(*KILLED)
    out, err = third.communicate(timeout=600)
    assert third.returncode == 0, err
    assert "1 done, 3 skipped, 0 failed" in out
    assert finished.items() < stamps(folder).items()
    metrics = [outcomes(tmp_path / name) for name in ("sweep", "whole")]
    assert metrics[0] == metrics[1]
    assert len(metrics[0]) == 4
    assert {len(path.read_text().splitlines()) for path in folder.glob("*/history.jsonl")} == {60}


@pytest.mark.slow
def test_a_sweep_that_is_asked_to_stop_stops_its_workers_and_goes_on(process, tmp_path):
    line = (*KILLED, "bottleneck.size=2", "hydra.launcher.workers=1")
    first = process(*line)
    working = workers(first, until=lambda: list(tmp_path.glob("sweep/*/history.jsonl")))
    first.send_signal(signal.SIGINT)
    out, err = first.communicate(timeout=600)
    assert first.returncode == 130, err
    assert "stopped by SIGINT: 0 of 2 done; the same command goes on." in out
    gone(working)
    (run,) = (RunFolder(path.parent) for path in tmp_path.glob("sweep/*/state.json"))
    assert run.state()["state"] == "stopped"
    assert run.checkpoint("last")
    again = process(*line)
    out, err = again.communicate(timeout=600)
    assert again.returncode == 0, err
    assert "2 done, 0 skipped, 0 failed" in out
    assert "continued" in out


@pytest.mark.slow
def test_the_same_sweep_twice_at_once_trains_each_run_once(process, tmp_path):
    both = [process(*KILLED, "bottleneck.size=2", "hydra.launcher.workers=1") for _ in range(2)]
    for one in both:
        out, err = one.communicate(timeout=600)
        assert one.returncode == 0, (out, err)
        assert "0 failed" in out
    assert {len(path.read_text().splitlines()) for path in tmp_path.glob("sweep/*/history.jsonl")} == {60}
    assert sorted(path.parent.name for path in tmp_path.glob("sweep/*/metrics.json")) == sorted(
        path.name for path in tmp_path.glob("sweep/*/")
    )


@pytest.mark.slow
def test_runs_of_several_processes_work_within_a_sweep(process, tmp_path):
    ddp = ("trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "hydra.launcher.workers=1")
    ended = process("train", "-m", *BARE, *ddp, "bottleneck.size=2,0", "hydra.sweep.dir=sweep")
    out, err = ended.communicate(timeout=600)
    assert ended.returncode == 1, (out, err)
    assert "1 done, 0 skipped, 1 failed" in out
    assert "`bottleneck.size` (= 0) must be a whole number of at least 1." in out
    assert err == ""
    assert out.count("epoch") == 0  # the runs talk to their logs alone
    (metrics,) = tmp_path.glob("sweep/bottleneck.size=2*/metrics.json")
    assert json.loads(metrics.read_text())["test/mse"] > 0
    assert "epoch 2/2" in (metrics.parent / "run.log").read_text()


def working_on(folder: Path) -> list[Path]:
    """The runs that are being trained at this moment."""
    states = [(path, json.loads(path.read_text())) for path in folder.glob("*/state.json")]
    return [path for path, state in states if state["state"] == "running"]


def test_a_folder_called_diabolo_is_not_taken_for_the_program(tmp_path):
    (tmp_path / "diabolo" / "runs").mkdir(parents=True)  # as in the folder that the clone lies in
    command = [Path(sys.executable).with_name("diabolo"), "train", "-m", *BARE, "trainer.max_epochs=1"]
    sweep = [*command, "bottleneck.size=2,3", "hydra.sweep.dir=sweep", "hydra.launcher.workers=2"]
    ended = subprocess.run(sweep, cwd=tmp_path, capture_output=True, text=True)
    assert "2 done, 0 skipped, 0 failed" in ended.stdout, ended.stderr


def workers(process, until) -> list[int]:
    """The ids of a sweep's workers, as soon as something has happened."""
    deadline = time.monotonic() + 90
    while not until():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    (server,) = (pid for pid in children(process.pid) if b"forkserver" in Path(f"/proc/{pid}/cmdline").read_bytes())
    assert children(server)
    return children(server)


def outcomes(folder: Path) -> dict[str, dict]:
    """The final metrics of each run, but for the time that things took."""
    return {
        path.parent.name: {k: v for k, v in json.loads(path.read_text()).items() if k not in OF_THE_CLOCK}
        for path in folder.glob("*/metrics.json")
    }
