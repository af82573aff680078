"""Other systems, simulated: what they lack is taken away before anything is imported."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from support import TINY

SPAWNS = """
import multiprocessing.context as context
of_default = context.DefaultContext.get_context
def get_context(self, method=None):
    if method in ("fork", "forkserver"):
        raise ValueError(f"cannot find context for {method!r}")
    return of_default(self, method)
context.DefaultContext.get_context = get_context
import multiprocessing
multiprocessing.get_context = context._default_context.get_context
multiprocessing.set_start_method("spawn")
"""
LACKS = {  # where sys.platform is set, urllib and others look for libraries of that system
    "macOS": {"os": ["sched_getaffinity", "sched_setaffinity"]},
    "Windows": {
        "os": ["fork", "forkpty", "killpg", "setpgrp", "setpgid", "setsid", "sched_getaffinity"],
        "signal": [
            *("SIGUSR2", "SIGHUP", "SIGALRM", "SIGCHLD", "SIGQUIT"),
            *("pthread_sigmask", "pthread_kill", "setitimer", "alarm", "SIG_BLOCK", "SIG_UNBLOCK", "SIG_SETMASK"),
        ],
    },
}
SWEEP = ("train", "-m", *TINY, "seed=0,1,2", "trainer.max_epochs=60", "hydra.sweep.dir=sweep")


@pytest.fixture(params=LACKS)
def start(request, tmp_path):
    """Starts a command of diabolo in an empty folder on such a system."""
    place = tmp_path / "system"
    place.mkdir()
    lines = [f"import {module}\nfor n in {names}: hasattr({module}, n) and delattr({module}, n)"
             for module, names in LACKS[request.param].items()]  # fmt: skip
    (place / "sitecustomize.py").write_text("\n".join([*lines, SPAWNS]), encoding="utf-8")
    folder = tmp_path / "work"
    folder.mkdir()
    environment = os.environ | {"PYTHONPATH": str(place), "PYTHONIOENCODING": "cp1252", "OMP_NUM_THREADS": "1"}

    def begin(*arguments: str) -> subprocess.Popen:
        command = [sys.executable, "-m", "diabolo", *arguments]
        return subprocess.Popen(
            command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            encoding="cp1252", start_new_session=True,
        )  # fmt: skip

    return begin


def ended(process: subprocess.Popen) -> str:
    out, _ = process.communicate(timeout=600)
    assert process.returncode == 0, out
    assert "Traceback" not in out
    return out


def until_a_run_is_under_way(sweep: subprocess.Popen, folder: Path) -> None:
    deadline = time.monotonic() + 300
    while sum(len(path.read_text().splitlines()) > 5 for path in folder.glob("sweep/*/history.jsonl")) < 1:
        assert time.monotonic() < deadline
        assert sweep.poll() is None, sweep.communicate()
        time.sleep(0.1)


@pytest.mark.slow
def test_a_killed_sweep_finishes_every_run_once_and_the_other_commands_work(start, tmp_path):
    folder = tmp_path / "work"
    ended(start("train", *TINY, "hydra.run.dir=run", "trainer.max_epochs=2"))
    sweep = start(*SWEEP)
    until_a_run_is_under_way(sweep, folder)
    os.killpg(sweep.pid, signal.SIGKILL)
    sweep.communicate()
    assert "0 failed" in ended(start(*SWEEP))
    histories = [path.read_text().splitlines() for path in folder.glob("sweep/*/history.jsonl")]
    assert [[json.loads(line)["epoch"] for line in lines] for lines in histories] == [list(range(1, 61))] * 3
    assert "0 done, 3 skipped, 0 failed" in ended(start(*SWEEP))
    searched = ended(start("search", *TINY, "bottleneck.size=int(2,4)", "--trials", "2", "--objective", "val/mse"))
    assert "2 complete" in searched
    assert "3 runs, 1 setting: 3 done" in ended(start("compare", "sweep"))
    assert "mse" in ended(start("evaluate", "run")).lower()
    assert "done" in ended(start("runs", "ls", "sweep"))


@pytest.mark.slow
def test_a_sweep_that_is_asked_to_stop_stops_its_runs_and_goes_on(start, tmp_path):
    folder = Path(tmp_path / "work")
    sweep = start(*SWEEP)
    until_a_run_is_under_way(sweep, folder)
    sweep.send_signal(signal.SIGINT)  # as Ctrl-C
    out, _ = sweep.communicate(timeout=120)
    assert sweep.returncode == 130, out
    states = [json.loads(path.read_text())["state"] for path in folder.glob("sweep/*/state.json")]
    assert "stopped" in states
    assert "running" not in states
    assert "0 failed" in ended(start(*SWEEP))
