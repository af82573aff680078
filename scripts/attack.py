"""Attacks diabolo, and says what gave way.

    uv run python scripts/attack.py [fuzz|damage|kill|tmpdir|strangers|surroundings|all] [--count N] [--seed S]

fuzz          command lines drawn from sense and nonsense: trained, or refused in a sentence that leaves nothing behind
damage        a file of a run, a sweep or a study is cut, zeroed, garbled, ...; then every command that opens it runs
kill          runs and sweeps get a signal at a random moment, and are issued again: all end as if nothing had been
tmpdir        as kill, with large checkpoints and TMPDIR on another file system: none is torn, nothing is left there
strangers     run folders whose config names other people's code: no command runs it
surroundings  hang-ups, closed pipes, few open files, no HOME, no terminal, two sweeps at once, `runs rm` beside one

Prints each try that something gave way in, and a table: tried, survived (no traceback, no hang, the right exit code),
nothing lost (all else is whole and as it would be undisturbed). The same seed attacks in the same way; Ctrl-C ends an
attack with what it has tried. All happens in folders that are thrown away. Exit code 1 where something gave way.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from attacks.commands import Attack, Outcome, warm
from attacks.damage import damage
from attacks.fuzz import fuzz
from attacks.kill import kill, tmpdir
from attacks.strangers import strangers
from attacks.surroundings import surroundings

ATTACKS: dict[str, tuple[Attack, int]] = {  # with how many tries are made where no number is named
    "fuzz": (fuzz, 1000),
    "damage": (damage, 500),
    "kill": (kill, 100),
    "tmpdir": (tmpdir, 20),
    "strangers": (strangers, 100),
    "surroundings": (surroundings, 20),
}


class Tally(NamedTuple):
    """One line of the table."""

    attack: str
    tried: int
    survived: int
    nothing_lost: int
    lost: Counter[str]  # how many of what

    def __str__(self) -> str:
        lost = ", ".join(f"{count} {what}" for what, count in sorted(self.lost.items()))
        return f"{self.attack:<14}{self.tried:>8}{self.survived:>10}{self.nothing_lost:>14}  {lost}".rstrip()


def tally(name: str, outcomes: Iterable[Outcome]) -> Tally:
    """Counts how the tries ended, and prints those that something gave way in; Ctrl-C ends it after the try at hand."""
    tried = survived = nothing_lost = 0
    lost: Counter[str] = Counter()
    stopped: list[int] = []
    before = signal.signal(signal.SIGINT, lambda *_: stopped.append(1))
    for outcome in outcomes:
        if stopped:  # the try at hand was disturbed
            print(f"{name}: stopped", flush=True)
            break
        tried, survived = tried + 1, survived + (not outcome.wrong)
        nothing_lost += not outcome.lost
        lost.update(said.partition(":")[0] for said in outcome.lost)
        if outcome.wrong or outcome.lost:
            print(f"{name}: {outcome.tried}: {'; '.join([*outcome.wrong, *outcome.lost])}", flush=True)
    signal.signal(signal.SIGINT, before)
    return Tally(name, tried, survived, nothing_lost, lost)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("attack", nargs="?", default="all", choices=[*ATTACKS, "all"])
    full = ", ".join(f"{name} {count}" for name, (_, count) in ATTACKS.items())
    parser.add_argument("--count", type=int, help=f"how many tries of each kind ({full})")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    os.environ["XDG_CONFIG_HOME"] = tempfile.mkdtemp(prefix="attack-")  # where own parts are noted
    warm()
    table = []
    for name, (attack, count) in ATTACKS.items():
        if given.attack in (name, "all"):
            table.append(tally(name, attack(given.count or count, random.Random(given.seed))))
    shutil.rmtree(os.environ["XDG_CONFIG_HOME"])
    print(f"\n{'attack':<14}{'tried':>8}{'survived':>10}{'nothing lost':>14}")
    print(*table, sep="\n")
    sys.exit(any(line.tried != line.survived or line.tried != line.nothing_lost for line in table))


if __name__ == "__main__":
    main()
