"""The memory and the threads of a training process, seen in a fresh one."""

import json
import os
import platform
import subprocess
import sys

import pytest

from diabolo.training.machine import usable_cores

FAULTS = """
import resource, sys
from diabolo.training import machine
if sys.argv[1] == "settled":
    machine.keep_freed_memory()
import torch
torch.set_num_threads(1)
net = torch.nn.Sequential(torch.nn.Conv2d(1, 16, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv2d(16, 16, 3, padding=1))
images = torch.rand(128, 1, 28, 28)
faults = []
for _ in range(10):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    net(images).mean().backward()
    faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
print(sorted(faults)[5])  # in one or other the memory may grow, or lie there by chance
"""


def faults(how: str) -> int:
    """Page faults of a training step once memory has grown, the median of ten."""
    ran = subprocess.run([sys.executable, "-c", FAULTS, how], capture_output=True, text=True, check=True)
    return int(ran.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have other ways")
def test_memory_that_was_freed_is_used_again():
    assert faults("settled") < 100
    assert faults("as it is") > 1000


THREADS = """
import json
from pathlib import Path
import numpy, scipy.linalg, torch
from threadpoolctl import threadpool_info
from diabolo.training.trainer import make_trainer
make_trainer(Path("."), [], [], None, False, max_epochs=1, accelerator="cpu", threads=3)
print(json.dumps([torch.get_num_threads(), sorted({library["num_threads"] for library in threadpool_info()})]))
"""


def test_threads_are_those_of_every_library():
    free = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    ran = subprocess.run([sys.executable, "-c", THREADS], capture_output=True, text=True, check=True, env=free)
    assert json.loads(ran.stdout.splitlines()[-1]) == [3, [3]]


def test_the_cores_are_those_of_this_process_or_where_the_system_does_not_say_all(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 3, 5}, raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 7)
    assert usable_cores() == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    assert usable_cores() == 7
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert usable_cores() == 1
