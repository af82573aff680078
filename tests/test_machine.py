"""What a training process asks of the machine, seen in a fresh process."""

import os
import subprocess
import sys

FAULTS = """
import resource, sys
from diabolo import machine
if sys.argv[1] == "settled":
    machine.settle()
import torch
for _ in range(20):
    torch.ones(4_000_000) + 1
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    torch.ones(4_000_000) + 1
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how: str) -> int:
    """Page faults of twenty additions of 16 MB."""
    ran = subprocess.run([sys.executable, "-c", FAULTS, how], capture_output=True, text=True, check=True)
    return int(ran.stdout)


def test_memory_that_was_freed_is_used_again():
    assert faults("settled") < 100 < 20 * 4_000_000 * 4 // 4096 // 10 < faults("as it is")


def test_threads_wait_asleep_unless_the_user_says_otherwise(monkeypatch):
    from diabolo.machine import wait_asleep

    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    wait_asleep()
    assert os.environ["OMP_WAIT_POLICY"] == "PASSIVE"
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    wait_asleep()
    assert os.environ["OMP_WAIT_POLICY"] == "ACTIVE"
