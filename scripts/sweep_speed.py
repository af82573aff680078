"""How much faster a sweep of small runs is in the pool than one run after the other.

    uv run python scripts/sweep_speed.py [--jobs 8] [--rounds 3] [KEY=VALUE ...]

Both launchers take turns on the same sweep, in folders that are thrown away, so that a busy machine slows both; the
figure is the median of the rounds' ratios.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time

SMALL = ("model=fc", "bottleneck.size=8", "trainer.accelerator=cpu", "trainer.max_epochs=40", "callbacks=none")


def seconds(launcher: str, jobs: int, overrides: list[str]) -> float:
    """The wall time of a sweep over `jobs` seeds."""
    swept = "seed=" + ",".join(map(str, range(jobs)))
    command = [sys.executable, "-m", "diabolo", "train", "-m", f"hydra/launcher={launcher}", *SMALL, *overrides, swept]
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
        return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("overrides", nargs="*", help="more overrides of the sweep")
    given = parser.parse_args()
    ratios = []
    for round_ in range(given.rounds):
        taken = {}
        for launcher in ("basic", "pool") if round_ % 2 == 0 else ("pool", "basic"):
            taken[launcher] = seconds(launcher, given.jobs, given.overrides)
        ratios.append(taken["basic"] / taken["pool"])
        load = f"load {os.getloadavg()[0]:.1f} on {len(os.sched_getaffinity(0))} cores"
        print(f"basic {taken['basic']:.1f} s, pool {taken['pool']:.1f} s: {ratios[-1]:.2f} times ({load})", flush=True)
    print(f"median: {statistics.median(ratios):.2f} times as fast")


if __name__ == "__main__":
    main()
