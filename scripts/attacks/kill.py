"""Runs and sweeps get a signal at a random moment, and are issued again: all ends as if nothing had been.

Each is forked from this process, but for those that get the signal while they begin, which start afresh.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import stat
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from attacks.commands import BARE, TINY, Outcome, command, thrown_away, verdict
from attacks.equality import differences, finished, torn
from attacks.processes import Forked, Process, ended, left, parts, start, started, until

SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
VICTIMS = ("parent", "worker", "server", "all")  # of a sweep, in turn
RUN = ("train", *TINY, "callbacks.interpolation=null", "trainer.max_epochs=30", "hydra.run.dir=sweep/run")
SWEEP = ("train", "-m", *BARE, "seed=0,1,2", "trainer.max_epochs=40", "hydra.launcher.workers=2",
         "hydra.sweep.dir=sweep")  # fmt: skip
LARGE = ("model.hidden=[1024,512]", "trainer.max_epochs=8")  # checkpoints of 15 MB, which take a while to write


SECONDS_OF_IMPORTS = 3


@dataclass
class Undisturbed:
    """A command as it ends when it is let alone."""

    arguments: Sequence[str]
    place: Path
    start: float = 0.0  # seconds until its first run has begun
    rest: float = 0.0  # seconds from then to its end

    def __post_init__(self) -> None:
        self.place.mkdir()
        began = time.monotonic()
        process = Forked(self.arguments, self.place, {})
        until(lambda: has_begun(self.place), 300)
        self.start = time.monotonic() - began
        assert ended(process) == 0, (self.place / "said").read_text()
        self.rest = time.monotonic() - began - self.start


def kill(
    count: int, draw: random.Random, environment: Mapping[str, str] | None = None, more: Sequence[str] = ()
) -> Iterator[Outcome]:
    """A third of the tries are sweeps."""
    with thrown_away() as folder:
        run, sweep = (Undisturbed([*line, *more], folder / name) for line, name in ((RUN, "run"), (SWEEP, "sweep")))
        for number in range(count):
            victim = VICTIMS[number // 3 % len(VICTIMS)] if number % 3 == 2 else ""
            (place := folder / str(number)).mkdir()
            yield kill_and_issue_again(sweep if victim else run, victim, place, draw, environment or {})
            shutil.rmtree(place)


def kill_and_issue_again(
    whole: Undisturbed, victim: str, place: Path, draw: random.Random, environment: Mapping[str, str]
) -> Outcome:
    signum, early = draw.choice(SIGNALS), draw.random() < 0.25
    moment = draw.uniform(0, whole.start + SECONDS_OF_IMPORTS) if early else draw.uniform(0, whole.rest)
    process: Process
    if early:
        process = start(whole.arguments, place, os.environ | environment)
    else:
        process = Forked(whole.arguments, place, environment)
        until(lambda: has_begun(place) or process.poll() is not None, 300)
    time.sleep(moment)
    pids = chosen(victim, process.pid, draw)
    for pid in pids:
        with suppress(ProcessLookupError):  # it was faster
            os.kill(pid, signum)
    code = ended(process)
    wrong = ["its time was up"] if code is None else []
    wrong += left(process.pid)
    said = (place / "said").read_text(errors="replace")
    if process.pid in pids and signum != signal.SIGKILL and code not in (0, -signum, 128 + signum, None):
        wrong.append(f"exit code {code}: {said[-160:]!r}")
    if "Traceback" in said and not (early and signum == signal.SIGINT):  # Python's own, while it imports
        wrong.append(f"traceback: {said.splitlines()[-1][:160]}")
    lost, before = torn(place), finished(place / "sweep")
    again = command(whole.arguments, place, environment=environment)
    single_is_done = not victim and again.code == 2 and "done" in again.said  # it was faster than the signal
    if not single_is_done:
        wrong += [f"issued again: {one}" for one in verdict(again, codes=(0,))]
    lost += differences(place / "sweep", whole.place / "sweep")
    after = finished(place / "sweep")
    lost += [f"done twice: {name}" for name, text in before.items() if after.get(name) != text]
    moment_said = f"{moment:.2f} s after its {'start' if early else 'first run began'}"
    return Outcome(f"{signum.name} to {victim or 'the process'} {moment_said}", wrong, lost)


def has_begun(place: Path) -> bool:
    return any(place.glob("sweep/*/state.json"))


def chosen(victim: str, parent: int, draw: random.Random) -> list[int]:
    """The processes that get the signal; of workers one."""
    if victim == "all":
        return list(started(parent))
    if not victim:
        return [parent]
    pids = until(lambda: parts(parent)[victim] or (not started(parent) and [0]), 5) or [0]
    return [draw.choice(pids)] if pids[0] else []


def tmpdir(count: int, draw: random.Random) -> Iterator[Outcome]:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as elsewhere:
        for outcome in kill(count, draw, {"TMPDIR": elsewhere}, LARGE):
            files = [path for path in Path(elsewhere).rglob("*") if stat.S_ISREG(path.lstat().st_mode)]
            yield outcome._replace(lost=[*outcome.lost, *(f"left in TMPDIR: {path.name}" for path in files)])
            for path in files:
                path.unlink()
