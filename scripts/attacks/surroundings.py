"""What a terminal, a shell, a cluster or a second user does to a command."""

from __future__ import annotations

import os
import random
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from attacks.commands import TINY, Outcome, command, contents, thrown_away, verdict
from attacks.equality import differences, drafts, torn
from attacks.kill import SWEEP, Undisturbed, has_begun
from attacks.processes import Process, ended, left, start, until

RUN = ("train", *TINY, "callbacks.interpolation=null", "trainer.max_epochs=15", "hydra.run.dir=sweep/run")
READING = (("--help",), ("runs", "ls", "sweep"), ("compare", "sweep"), ("runs", "show", "sweep/run"))


def surroundings(count: int, draw: random.Random) -> Iterator[Outcome]:
    """Each situation in turn."""
    with thrown_away() as folder:
        whole = {"run": Undisturbed(RUN, folder / "run"), "sweep": Undisturbed(SWEEP, folder / "sweep")}
        for number in range(count):
            situation = SITUATIONS[number % len(SITUATIONS)]
            (place := folder / str(number)).mkdir()
            wrong, lost = situation(place, whole, draw)
            said = (place / "said").read_text(errors="replace") if (place / "said").exists() else ""
            if "Traceback" in said:
                wrong.append(f"traceback: {said.strip().splitlines()[-1][:160]}")
            yield Outcome((situation.__doc__ or "").rstrip("."), wrong, lost + torn(place))
            shutil.rmtree(place)


Whole = dict[str, Undisturbed]
Came = tuple[list[str], list[str]]  # what is wrong, and what was lost


def ends(process: Process, *right: int, seconds: float = 300) -> list[str]:
    """What is wrong with how a process ends."""
    code = ended(process, seconds)
    wrong = [] if code in right else ["its time was up" if code is None else f"exit code {code}"]
    return wrong + left(process.pid)


def same(place: Path, whole: Undisturbed) -> list[str]:
    return differences(place / "sweep", whole.place / "sweep")


def hang_up(place: Path, whole: Whole, draw: random.Random) -> Came:
    """The terminal is closed (SIGHUP), and the run is issued again."""
    process = start(RUN, place, os.environ)
    until(lambda: has_begun(place), 300)
    time.sleep(draw.uniform(0, whole["run"].rest / 2))
    process.send_signal(signal.SIGHUP)
    wrong = ends(process, 0, 129)
    again = command(RUN, place)
    return wrong + ([] if "done" in again.said and again.code == 2 else verdict(again, (0,))), same(place, whole["run"])


def hang_up_of_a_sweep(place: Path, whole: Whole, draw: random.Random) -> Came:
    """The terminal of a sweep is closed (SIGHUP to all of the group), and the sweep is issued again."""
    process = start(SWEEP, place, os.environ)
    until(lambda: has_begun(place), 300)
    time.sleep(draw.uniform(0, whole["sweep"].rest / 2))
    os.killpg(process.pid, signal.SIGHUP)
    wrong = ends(process, 0, 129)
    return wrong + verdict(command(SWEEP, place), (0,)), same(place, whole["sweep"])


def nohup(place: Path, whole: Whole, draw: random.Random) -> Came:
    """The terminal is closed under nohup, and the run goes on."""
    process = start(RUN, place, os.environ, preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    until(lambda: has_begun(place), 300)
    process.send_signal(signal.SIGHUP)
    return ends(process, 0), same(place, whole["run"])


def closed_pipe(place: Path, whole: Whole, draw: random.Random) -> Came:
    """`diabolo train | head -1`: nobody reads on, and the run goes on."""
    with subprocess.Popen(["head", "-1"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as head:
        process = start(RUN, place, os.environ, stdout=head.stdin)
        assert head.stdin
        head.stdin.close()
        wrong = ends(process, 0)
    return wrong, same(place, whole["run"])


def closed_pipe_of_a_sweep(place: Path, whole: Whole, draw: random.Random) -> Came:
    """`diabolo train -m | true`: nobody reads, and the sweep goes on."""
    reader, writer = os.pipe()
    os.close(reader)
    process = start(SWEEP, place, os.environ, stdout=writer)
    os.close(writer)
    return ends(process, 0), same(place, whole["sweep"])


def closed_pipes_of_readers(place: Path, whole: Whole, draw: random.Random) -> Came:
    """`| true`, `> /dev/full` and `>&-` of commands that only print."""
    shutil.copytree(whole["run"].place / "sweep", place / "sweep")
    before, wrong = contents(place, [place / "said"]), []
    for line in READING:
        reader, writer = os.pipe()
        os.close(reader)
        with open("/dev/full", "w") as full:
            for name, process in (
                ("| true", start(line, place, os.environ, stdout=writer)),
                ("> /dev/full", start(line, place, os.environ, stdout=full)),
                (">&-", start(line, place, os.environ, stdout=None, preexec_fn=lambda: os.close(1))),
            ):
                wrong += [f"{line[0]} {name}: {one}" for one in ends(process, 0, 1, 141)]
        os.close(writer)
    return wrong, [] if contents(place, [place / "said"]) == before else ["a file: changed by a reader"]


def few_files(place: Path, whole: Whole, draw: random.Random) -> Came:
    """A sweep with 64 open files (`ulimit -n 64`)."""
    process = start(SWEEP, place, os.environ, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)))
    return ends(process, 0), same(place, whole["sweep"])


def few_files_of_a_run(place: Path, whole: Whole, draw: random.Random) -> Came:
    """A run with 64 open files and worker processes that load its images."""
    line = (*RUN, "data.num_workers=2")
    process = start(line, place, os.environ, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)))
    return ends(process, 0), same(place, whole["run"])


def no_home(place: Path, whole: Whole, draw: random.Random) -> Came:
    """No HOME, and next to nothing in the environment."""
    arithmetic = {name: value for name, value in os.environ.items() if name.startswith(("OPENBLAS_", "MKL_"))}
    few = {"PATH": os.environ["PATH"], "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    process = start(RUN, place, arithmetic | few)
    return ends(process, 0), same(place, whole["run"])


def no_such_home(place: Path, whole: Whole, draw: random.Random) -> Came:
    """A HOME that is not there and cannot be made."""
    without = {name: value for name, value in os.environ.items() if not name.startswith("XDG")}
    process = start(RUN, place, without | {"HOME": "/dev/null/home"})
    return ends(process, 0), same(place, whole["run"])


def no_terminal(place: Path, whole: Whole, draw: random.Random) -> Came:
    """stdin, stdout and stderr are closed."""
    process = start(RUN, place, os.environ, stdout=None, stderr=None, preexec_fn=lambda: os.closerange(0, 3))
    return ends(process, 0), same(place, whole["run"])


def twice(place: Path, whole: Whole, draw: random.Random) -> Came:
    """Two identical sweeps at once: both end well, and each run is done once."""
    first = start(SWEEP, place, os.environ)
    time.sleep(draw.uniform(0, whole["sweep"].start + whole["sweep"].rest))
    second = start(SWEEP, place, os.environ)
    return [one for process in (first, second) for one in ends(process, 0)], same(place, whole["sweep"])


def twice_and_one_is_killed(place: Path, whole: Whole, draw: random.Random) -> Came:
    """Two identical sweeps at once, the first of which is killed: the second does all."""
    first, second = start(SWEEP, place, os.environ), start(SWEEP, place, os.environ)
    until(lambda: has_begun(place), 300)
    time.sleep(draw.uniform(0, whole["sweep"].rest))
    first.kill()
    wrong = ends(first, -signal.SIGKILL)
    wrong += ends(second, 0)
    return wrong, same(place, whole["sweep"])


def removed_meanwhile(place: Path, whole: Whole, draw: random.Random) -> Came:
    """`diabolo runs rm` beside a sweep: what is being trained stays; issued again, all is there."""
    process = start(SWEEP, place, os.environ)
    until(lambda: has_begun(place), 300)
    (place / "sweep" / "precious").write_text("precious")
    time.sleep(draw.uniform(0, whole["sweep"].rest))
    runs = [str(path.parent.relative_to(place)) for path in place.glob("sweep/*/state.json")]
    wrong = [f"runs rm: {one}" for one in verdict(command(("runs", "rm", *runs, "--yes"), place))]
    wrong += ends(process, 0)  # a job whose folder went under it would have failed
    lost = [] if (place / "sweep" / "precious").exists() else ["a file: precious"]
    lost += drafts(place / "sweep")
    wrong += [f"issued again: {one}" for one in verdict(command(SWEEP, place), (0,))]
    return wrong, lost + same(place, whole["sweep"])


SITUATIONS: tuple[Callable[[Path, Whole, random.Random], Came], ...] = (
    *(hang_up, hang_up_of_a_sweep, nohup, closed_pipe, closed_pipe_of_a_sweep, closed_pipes_of_readers, few_files),
    *(few_files_of_a_run, no_home, no_such_home, no_terminal, twice, twice_and_one_is_killed, removed_meanwhile),
)
