"""Attacks diabolo, and says what gave way.

    uv run python scripts/attack.py [fuzz|damage|kill|strangers|tmpdir|all] [--count N] [--seed S]

fuzz       command lines drawn from sense and nonsense: trained, or refused in a sentence that leaves nothing behind
damage     a file of a finished run is cut, zeroed, garbled, ...; every command that reads runs then says so
kill       runs and sweeps get a signal at a random moment, and are issued again: all end as if nothing had been
strangers  run folders whose config names other people's code: no command runs it
tmpdir     as kill, with TMPDIR on another file system: no checkpoint is torn, and nothing is left there

Prints a table (tried, survived) and each line that did not survive; the same seed attacks in the same way. All happens
in folders that are thrown away. Exit code 1 where something gave way.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

os.environ |= {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
ROOT = Path(__file__).parent.parent
TINY = (
    *("model=fc", "model.hidden=[16]", "bottleneck.size=4", "data.image_shape=[1,8,8]", "data.limit=96"),
    *("data.test_limit=32", "data.batch_size=32", "trainer.accelerator=cpu"),
)
BARE = (*TINY, "callbacks=none", "logger=none")
MARK = "DIABOLO_ATTACK"  # in the environment of every process that is started here
OF_THE_CLOCK = ("seconds", "finished", "train/images_per_second")
MEMORY = 8 << 30  # bytes of address space that a fuzzed command may take


class Ended(NamedTuple):
    """How a command ended; `code` is None where its time was up, negative after a signal."""

    code: int | None
    said: str


Outcome = tuple[str, list[str]]  # what was tried, and what is wrong with what came of it


# --- Commands in processes that are forked from this one, which has imported everything -------------------------------


def command(arguments: Sequence[str], folder: Path, seconds: float = 120) -> Ended:
    """Runs `diabolo` with these arguments in `folder`."""
    with tempfile.TemporaryFile() as said:
        if (pid := os.fork()) == 0:
            _child(arguments, folder, said.fileno())
        end = time.monotonic() + seconds
        while (ended := os.waitpid(pid, os.WNOHANG)) == (0, 0) and time.monotonic() < end:
            time.sleep(0.005)
        if late := ended == (0, 0):
            os.kill(pid, signal.SIGKILL)
            ended = os.waitpid(pid, 0)
        said.seek(0)
        text = said.read().decode(errors="replace")
    return Ended(None if late else os.waitstatus_to_exitcode(ended[1]), text)


def _child(arguments: Sequence[str], folder: Path, said: int) -> None:
    code = 1
    try:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        os.chdir(folder)
        os.dup2(said, 1)
        os.dup2(said, 2)
        sys.argv = ["diabolo", *arguments]
        from diabolo.cli import main

        main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def verdict(ended: Ended) -> list[str]:
    """What is wrong with how a command ended: it does what was asked, or refuses in a sentence."""
    lines = ended.said.strip().splitlines() or [""]
    wrong = ["its time was up"] if ended.code is None else []
    wrong += [f"traceback: {lines[-1][:160]}"] if "Traceback (most recent call last)" in ended.said else []
    if not wrong and ended.code not in (0, 2):
        wrong.append(f"exit code {ended.code}: {lines[-1][:160]}")
    return wrong


def warm() -> None:
    """Imports what a command needs, and computes nothing, so that children can be forked."""
    import torch.utils.tensorboard
    import torchvision  # noqa: F401

    import diabolo.report.command
    import diabolo.runs.build
    import diabolo.runs.train
    import diabolo.training.trainer  # noqa: F401

    torch.set_num_threads(1)


# --- The attacks: each yields what it tried ---------------------------------------------------------------------------

NONSENSE = (
    *("banana", "''", "null", "true", "-1", "0", "1", "0.5", "1.5", "-0.0", "nan", "inf", "-inf", "1e308", "1e-300"),
    *("4294967296", "1000000000000", "1" * 40, "[]", "[1,[2]]", "[a,b]", "{}", "{a:1}", "'ü'", "'a b'", "'${nothing}'"),
    *("'../..'", "'/dev/null'", "'[bold]'", "{_target_:os.getcwd}", "diabolo.network.FCEncoder", "???"),
)
KEPT = ("hydra", "data.root", "trainer.devices", "trainer.strategy", "trainer.accelerator", "trainer.max_epochs")
FREE_GROUPS = ("augmentation", "bottleneck", "callbacks", "corruption", "decoder", "encoder", "loss", "logger", "model",
               "optimizer", "penalty", "scheduler", "task")  # fmt: skip


def fuzz(count: int, draw: random.Random) -> Iterator[Outcome]:
    keys, groups = (
        _keys(),
        {group: sorted(p.stem for p in (ROOT / "conf" / group).glob("*.yaml")) for group in FREE_GROUPS},
    )
    for _ in range(count):
        line = [*TINY, "trainer.max_epochs=1"]
        if draw.random() < 0.6:
            line += ["callbacks=none", "logger=none"]
        for _ in range(draw.choice((1, 1, 2, 3))):
            if draw.random() < 0.25:
                group = draw.choice(sorted(groups))
                line.append(f"{group}={draw.choice([*groups[group], 'banana', 'null'])}")
            else:
                key = draw.choice(sorted(keys))
                value = draw.choice((*NONSENSE, keys[key], keys[draw.choice(sorted(keys))]))
                line.append(f"{draw.choice(('', '', '', '', '+', '++', '~'))}{key}={value}")
        with thrown_away() as folder:
            ended = command(["train", *line], folder)
            wrong = verdict(ended)
            states = [json.loads(path.read_text()) for path in folder.rglob("state.json")]
            failed = bool(states) and all(state["state"] == "failed" for state in states)  # after training had begun
            if (
                ended.code == 2
                and not failed
                and (left := sorted(path.name for path in folder.rglob("*") if path != folder / "runs"))
            ):
                wrong.append(f"refused, and left {', '.join(left[:5])}")
        own = [one for one in line if one not in (*TINY, "trainer.max_epochs=1")]
        yield f"train {' '.join(own)}", wrong


def _keys() -> dict[str, str]:
    """Every key of the config, with a value that makes sense."""
    from omegaconf import DictConfig, OmegaConf

    from diabolo.runs.config import compose_config

    def leaves(node: Any, at: str = "") -> Iterator[tuple[str, str]]:
        for key, value in node.items():
            path = f"{at}.{key}".lstrip(".")
            if isinstance(value, dict):
                yield from leaves(value, path)
            yield path, "null" if value is None else json.dumps(value).replace('"', "'").replace(": ", ":")

    found: dict[str, str] = {}
    for choices in (
        (),
        ("bottleneck=variational", "scheduler=plateau", "callbacks=[default,probe]", "corruption=block"),
    ):
        config: DictConfig = compose_config(choices)
        found |= dict(leaves(OmegaConf.to_container(config)))
    return {key: value for key, value in found.items() if not key.startswith(KEPT)}


def damage(count: int, draw: random.Random) -> Iterator[Outcome]:
    with thrown_away() as folder:
        begun = command(["train", *TINY, "trainer.max_epochs=2", "scheduler=none", "hydra.run.dir=whole"], folder)
        assert begun.code == 0, begun.said
        files = sorted(
            p for p in (folder / "whole").rglob("*") if p.suffix in (".json", ".jsonl", ".yaml", ".npz", ".ckpt")
        )
        for _ in range(count):
            file, (name, spoil) = draw.choice(files), draw.choice(sorted(DAMAGES.items()))
            for arguments in READING:
                shutil.rmtree(folder / "runs", ignore_errors=True)
                shutil.copytree(folder / "whole", folder / "runs" / "whole")
                shutil.copytree(folder / "whole", folder / "runs" / "bad")
                path = folder / "runs" / "bad" / file.relative_to(folder / "whole")
                path.write_bytes(spoil(path.read_bytes(), draw))
                yield f"{path.name} {name}: {' '.join(arguments)}", verdict(command(arguments, folder))


def _flip(content: bytes, draw: random.Random) -> bytes:
    flipped = bytearray(content)
    for _ in range(20):
        flipped[draw.randrange(len(flipped))] ^= 1 << draw.randrange(8)
    return bytes(flipped)


def _number(content: bytes, draw: random.Random, by: bytes) -> bytes:
    """One of the numbers of a text is replaced."""
    places = [i for i in range(1, len(content)) if content[i : i + 1].isdigit() and content[i - 1 : i] in b" [:"]
    place = draw.choice(places or [0])
    return content[:place] + by + content[place + 1 :]


DAMAGES: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "cut": lambda content, draw: content[: draw.randrange(len(content))],
    "empty": lambda content, draw: b"",
    "zeroed": lambda content, draw: bytes(len(content)),
    "half zeroed": lambda content, draw: content[: len(content) // 2] + bytes(len(content) - len(content) // 2),
    "flipped": _flip,
    "Latin-1": lambda content, draw: content.replace(b"e", "ü".encode("latin-1"), 3),
    "a list": lambda content, draw: b"[1, 2, [3]]\n",
    "a word": lambda content, draw: b"banana\n",
    "nested": lambda content, draw: b"[" * 50_000 + b"]" * 50_000,
    "a huge number": lambda content, draw: _number(content, draw, b"9" * 5000),
    "NaN": lambda content, draw: _number(content, draw, b"NaN"),
    "a list for a number": lambda content, draw: _number(content, draw, b"[[1], {}]"),
    "an object": lambda content, draw: b"a: !!python/object/apply:os.getcwd []\n",
}
READING = (
    *(("runs", "ls", "runs"), ("runs", "show", "runs/bad"), ("runs", "best", "runs"), ("compare", "runs")),
    *(("compare", "runs", "--html", "page.html"), ("evaluate", "runs/bad"), ("probe", "runs/bad", "runs/whole")),
    ("train", "runs/bad", "trainer.max_epochs=3"),
    ("train", *BARE, "trainer.max_epochs=1", "encoder.init_from=runs/bad", "hydra.run.dir=runs/new"),
)


def strangers(count: int, draw: random.Random) -> Iterator[Outcome]:
    tests = _tests_of_trust()
    from diabolo.runs.folder import RunFolder

    with thrown_away() as folder:
        begun = command(["train", *BARE, "trainer.max_epochs=2", "scheduler=none", "hydra.run.dir=whole"], folder)
        assert begun.code == 0, begun.said
        names = sorted(tests.STRANGERS)
        for name in draw.sample(names, min(count, len(names))):
            (place := folder / name.replace(" ", "_")).mkdir()
            os.chdir(place)
            tests.strange(RunFolder(folder / "whole"), tests.STRANGERS[name])
            for arguments in tests.COMMANDS:
                wrong = verdict(command(arguments, place))
                if Path("harmed").exists() or Path("precious").read_text() != "precious":
                    wrong.append("the stranger's code ran")
                yield f"{name}: {' '.join(arguments)}", wrong


def _tests_of_trust() -> ModuleType:
    """The malicious folders that the tests try, too."""
    sys.path.append(str(ROOT / "tests"))
    spec = importlib.util.spec_from_file_location("test_trust", ROOT / "tests" / "runs" / "test_trusted_classes.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# --- Processes of their own that get signals --------------------------------------------------------------------------

SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
LONG = (*TINY, "callbacks.interpolation=null", "trainer.max_epochs=30")
SWEEP = ("-m", *BARE, "trainer.max_epochs=30", "seed=0,1,2", "hydra.launcher.workers=2", "hydra.sweep.dir=sweep")


def kill(count: int, draw: random.Random, **environment: str) -> Iterator[Outcome]:
    with thrown_away() as folder:
        for sweep in (False, True):
            line = [sys.executable, "-m", "diabolo", "train", *(SWEEP if sweep else (*LONG, "hydra.run.dir=sweep/run"))]
            began = time.monotonic()
            (whole := folder / f"whole{sweep}").mkdir()
            subprocess.run(line, cwd=whole, check=True, capture_output=True)
            seconds = time.monotonic() - began
            for i in range(count // 5 if sweep else count - count // 5):
                (place := folder / f"{sweep}{i}").mkdir()
                yield _kill_and_issue_again(line, place, whole, seconds, draw, environment)
                shutil.rmtree(place)


def _kill_and_issue_again(
    line: Sequence[str], place: Path, whole: Path, seconds: float, draw: random.Random, environment: dict[str, str]
) -> Outcome:
    signum, victim, moment = draw.choice(SIGNALS), draw.random(), draw.uniform(0, seconds)
    marked = os.environ | environment | {MARK: str(place)}
    with (place / "said").open("wb") as said:
        process = subprocess.Popen(line, cwd=place, env=marked, stdout=said, stderr=said, start_new_session=True)
        time.sleep(moment)
        pids = started(place)
        pid = process.pid if victim < 0.6 or not pids else pids[int(victim * 1000) % len(pids)]
        try:
            os.kill(pid, signum)
        except ProcessLookupError:
            pid = 0  # it was faster
        try:
            code = process.wait(90)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            code = process.wait()
            wrong = ["its time was up"]
        else:
            wrong = []
    end = time.monotonic() + 10
    while (left := started(place)) and time.monotonic() < end:
        time.sleep(0.1)
    wrong += [f"{len(left)} processes are left after 10 s"] if left else []
    for one in left:
        os.kill(one, signal.SIGKILL)
    if pid == process.pid and signum != signal.SIGKILL and code not in (0, -signum, 128 + signum):
        wrong.append(f"exit code {code} after {signum.name}")
    if signum == signal.SIGTERM and "Traceback" in (place / "said").read_text():
        wrong.append(f"traceback: {(place / 'said').read_text().splitlines()[-1][:160]}")
    wrong += [f"torn: {path.name}" for path in place.rglob("*.ckpt") if not is_whole(path)]
    for _ in range(2):
        again = subprocess.run(line, cwd=place, env=marked, capture_output=True, text=True)
        if again.returncode == 0 or "is done" in again.stderr:  # a single run is not done twice
            break
    else:
        wrong.append(f"issued again: exit code {again.returncode}: {(again.stderr or again.stdout)[-160:]}")
    wrong += differences(place / "sweep", whole / "sweep")
    return f"{signum.name} after {moment:.2f} s to {'a child' if pid != process.pid else 'the process'}", wrong


def started(place: Path) -> list[int]:
    """The living processes that were started for `place`."""
    mark, found = f"{MARK}={place}\0".encode(), []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (process / "environ").read_bytes():
                found.append(int(process.name))
        except OSError:
            continue
    return sorted(found)


def is_whole(path: Path) -> bool:
    import torch

    try:
        torch.load(path, weights_only=True, map_location="cpu")
    except Exception:
        return False
    return True


def differences(folder: Path, whole: Path) -> list[str]:
    """In what the runs below `folder` are not those below `whole`, but for the time that things took."""
    import torch

    wrong = []
    for theirs in sorted(path.parent for path in whole.rglob("state.json")):
        ours = folder / theirs.relative_to(whole)
        try:
            if json.loads((ours / "state.json").read_text())["state"] != "done":
                wrong.append(f"{ours.name} is not done")
                continue
            for name in ("best", "last"):
                a, b = (
                    torch.load(run / "checkpoints" / f"{name}.ckpt", weights_only=True)["state_dict"]
                    for run in (ours, theirs)
                )
                wrong += [f"{ours.name}: {name} weights differ"] * any(not torch.equal(a[key], b[key]) for key in b)
            wrong += [
                f"{ours.name}: {f} differs"
                for f in ("metrics.json", "history.jsonl")
                if figures(ours / f) != figures(theirs / f)
            ]
            wrong += [f"{ours.name}: {path.name} is left" for path in (ours / "checkpoints").glob(".*")]
        except OSError as failure:
            wrong.append(f"{ours.name}: {failure}")
    return wrong


def figures(path: Path) -> list[dict[str, Any]]:
    text = path.read_text()
    rows = [json.loads(line) for line in text.splitlines()] if path.suffix == ".jsonl" else [json.loads(text)]
    return [{key: value for key, value in row.items() if key not in OF_THE_CLOCK} for row in rows]


def tmpdir(count: int, draw: random.Random) -> Iterator[Outcome]:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as elsewhere:
        for tried, wrong in kill(count, draw, TMPDIR=elsewhere):
            left = [path.name for path in Path(elsewhere).iterdir() if not path.name.startswith("pymp-")]
            yield tried, wrong + ([f"left in TMPDIR: {', '.join(left[:3])}"] if left else [])


@contextmanager
def thrown_away() -> Iterator[Path]:
    """A new folder, which goes at the end; this process is then where it was."""
    here = Path.cwd()
    with tempfile.TemporaryDirectory(prefix="attack-") as folder:
        try:
            yield Path(folder)
        finally:
            os.chdir(here)


ATTACKS = {"fuzz": fuzz, "damage": damage, "kill": kill, "strangers": strangers, "tmpdir": tmpdir}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("attack", nargs="?", default="all", choices=[*ATTACKS, "all"])
    parser.add_argument("--count", type=int, default=20, help="how many of each kind (20)")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    os.environ["XDG_CONFIG_HOME"] = tempfile.mkdtemp(prefix="attack-")  # where own parts are noted
    warm()
    table = []
    for name in ATTACKS if given.attack == "all" else [given.attack]:
        tried = survived = 0
        for what, wrong in ATTACKS[name](given.count, random.Random(given.seed)):
            tried, survived = tried + 1, survived + (not wrong)
            if wrong:
                print(f"{name}: {what}: {'; '.join(wrong)}", flush=True)
        table.append((name, tried, survived))
    shutil.rmtree(os.environ["XDG_CONFIG_HOME"])
    print(f"\n{'attack':<12}{'tried':>8}{'survived':>10}")
    for name, tried, survived in table:
        print(f"{name:<12}{tried:>8}{survived:>10}")
    sys.exit(any(tried != survived for _, tried, survived in table))


if __name__ == "__main__":
    main()
