"""Damaged files: one file of a run, a sweep or a study is spoilt, and each command that opens it runs.

A command that does not open a file ends as it would with the whole one. So which files a command opens is noted once.
"""

from __future__ import annotations

import random
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from attacks.commands import BARE, TINY, Outcome, command, contents, thrown_away, verdict

RUN = ("train", *TINY, "trainer.max_epochs=2", "scheduler=none")
SWEEP = ("train", "-m", *BARE, "trainer.max_epochs=1", "seed=0,1", "hydra/launcher=basic", "hydra.sweep.dir=sweep")
SEARCH = ("search", *BARE, "trainer.max_epochs=1", "optimizer.lr=0.001,0.002", "--trials", "2", "--study", "study")
READING = (  # in BAD a file is damaged, ALL is what it lies in, which holds another run
    *(("runs", "ls", "."), ("runs", "show", "BAD"), ("runs", "best", "."), ("runs", "rm", "BAD", "--yes")),
    ("compare", ".", "--csv", "table.csv", "--markdown", "table.md"),
    ("compare", "ALL", "--html", "page.html", "--plots", "plots", "--tensorboard", "board"),
    *(("evaluate", "BAD"), ("probe", "BAD", "runs/whole"), ("load", "BAD"), ("train", "BAD", "trainer.max_epochs=3")),
    *(("encode", "BAD", "--split", "test", "--out", "codes.npz"), ("decode", "BAD", "codes.npz", "--out", "decoded")),
    *(("reconstruct", "BAD", "--split", "test", "--out", "restored"), ("sample", "BAD", "-n", "4", "--out", "drawn")),
    *(
        ("interpolate", "BAD", "test:0", "test:1", "--out", "strip.png"),
        ("neighbours", "BAD", "test:0", "--of", "test"),
    ),
    ("export", "BAD", "--format", "safetensors", "--out", "network.safetensors"),
    ("explore", "BAD", "runs/whole", "--out", "page.html"),
    ("train", *BARE, "trainer.max_epochs=1", "encoder.init_from=BAD", "hydra.run.dir=runs/new"),
    *((*RUN, "hydra.run.dir=BAD"), (*RUN, "hydra.run.dir=BAD", "rerun=true"), SWEEP, SEARCH),
)
ALWAYS = READING[0]
GOES_ON = (SWEEP, SEARCH)  # with the other jobs, and ends with 1 where one has failed
Spoil = Callable[[bytes, random.Random], bytes]


def damage(count: int, draw: random.Random) -> Iterator[Outcome]:
    with thrown_away() as folder:
        here, whole = folder / "here", folder / "whole"
        here.mkdir()
        (here / "precious").write_text("precious")
        for line in ((*RUN, "hydra.run.dir=runs/bad"), (*RUN, "seed=1", "hydra.run.dir=runs/whole"), SWEEP, SEARCH):
            ended = command(line, here)
            assert ended.code == 0, ended.said
        shutil.copytree(here, whole)
        files = openers(here, whole)
        names = sorted({(path.parts[0], path.name) for path in files})
        for _ in range(count):
            kind, (damaged, spoil) = draw.choice(names), draw.choice(sorted(DAMAGES.items()))
            path = draw.choice(sorted(path for path in files if (path.parts[0], path.name) == kind))
            content = spoil((whole / path).read_bytes(), draw)
            wrong, lost = [], []
            for line in files[path]:
                restore(here, whole)
                (here / path).write_bytes(content)
                ended = command(line, here, seconds=60)
                said = f"{' '.join(line[:3])} ..." if len(line) > 6 else " ".join(line)
                codes = (0, 1, 2) if line in GOES_ON else (0, 2)
                wrong += [f"`{said}`: {one}" for one in verdict(ended, codes)]
                lost += [f"a file: {one} after `{said}`" for one in others_changed(here, whole, path)]
            yield Outcome(f"{path} {damaged} ({len(files[path])} commands)", wrong, lost)


def restore(here: Path, whole: Path) -> None:
    shutil.rmtree(here)
    shutil.copytree(whole, here)


def bad(path: Path) -> Path:
    """The run folder that the file of this path lies in; of files of a sweep or a study its first run folder."""
    return Path(*path.parts[:2])


def openers(here: Path, whole: Path) -> dict[Path, list[tuple[str, ...]]]:
    """Every file, and the commands that open it; a file that none opens is there for the one that looks everywhere."""
    found: dict[Path, list[tuple[str, ...]]] = {
        path.relative_to(whole): [] for path in sorted(whole.rglob("*")) if path.is_file() and path.name != "precious"
    }
    of_groups = [path for path in found if len(path.parts) == 2]  # of a sweep or study, not of one of its runs
    for place in ("runs/bad", *(next(str(bad(p)) for p in found if p.parts[0] == g and p not in of_groups)
                                for g in ("sweep", "study"))):  # fmt: skip
        for template in READING:
            line = tuple(
                word.replace("BAD", quoted(word, place)).replace("ALL", Path(place).parts[0]) for word in template
            )
            opened: set[Path] = set()
            restore(here, whole)
            command(line, here, opened=opened)
            for path, lines in found.items():
                own = path.is_relative_to(place) or (path in of_groups and path.parts[0] == Path(place).parts[0])
                if own and (here / path in opened or template is ALWAYS):
                    lines.append(line)
    return {path: lines for path, lines in found.items() if lines}


def quoted(word: str, place: str) -> str:
    """The path of a run as it is written after the = of an override, where it has a = of its own."""
    return f"'{place}'" if "=" in word and "=" in place else place


def others_changed(here: Path, whole: Path, damaged: Path) -> list[str]:
    """Files of others that a command has changed or taken away: only the damaged run may be worked on."""
    root = bad(damaged) if len(damaged.parts) > 2 else Path(damaged.parts[0])
    own = [root, Path("sweep/multirun.yaml"), Path("study/study.db")]
    now = contents(here, [here / path for path in own])
    return [name for name, old in contents(whole, [whole / path for path in own]).items() if now.get(name) != old]


# --- How a file is spoilt ---------------------------------------------------------------------------------------------


def _flip(content: bytes, draw: random.Random) -> bytes:
    flipped = bytearray(content or b"\0")
    for _ in range(20):
        flipped[draw.randrange(len(flipped))] ^= 1 << draw.randrange(8)
    return bytes(flipped)


def _value(content: bytes, draw: random.Random, pattern: bytes, by: bytes) -> bytes:
    """One of the places of a text that fit the pattern is replaced; all of it, where none does."""
    places = list(re.finditer(pattern, content))
    if not places:
        return by
    start, end = draw.choice(places).span(1)
    return content[:start] + by + content[end:]


def _number(by: bytes) -> Spoil:
    return lambda content, draw: _value(content, draw, rb"[\s:\[](-?\d[\d.e-]*)", by)


def _word(by: bytes) -> Spoil:
    return lambda content, draw: _value(content, draw, rb": (\"[^\"\n]*\"|[a-z_.A-Z]+)", by)


ALIASES = b"a0: &a0 [banana]\n" + b"".join(b"a%d: &a%d [%s]\n" % (i, i, b",".join([b"*a%d" % (i - 1)] * 9))
                                           for i in range(1, 10))  # fmt: skip
DAMAGES: dict[str, Spoil] = {
    "cut": lambda content, draw: content[: draw.randrange(len(content) or 1)],
    "empty": lambda content, draw: b"",
    "zeroed": lambda content, draw: bytes(len(content)),
    "half zeroed": lambda content, draw: content[: len(content) // 2] + bytes(len(content) - len(content) // 2),
    "flipped": _flip,
    "doubled": lambda content, draw: content * 2,
    "Latin-1": lambda content, draw: content.replace(b"e", "ü".encode("latin-1"), 3),
    "a list": lambda content, draw: b"[1, 2, [3]]\n",
    "a word": lambda content, draw: b"banana\n",
    "nested": lambda content, draw: b"[" * 50_000 + b"]" * 50_000,
    "1000 deep": lambda content, draw: b'{"a": ' * 1000 + b"1" + b"}" * 1000,
    "a value 1000 deep": _word(b"[" * 1000 + b"]" * 1000),
    "5,000 digits": _number(b"9" * 5000),
    "NaN": _number(b"NaN"),
    "a huge number": _number(b"1e308"),
    "above int64": _number(b"9223372036854775808"),
    "a negative number": _number(b"-5"),
    "a list for a number": _number(b"[[1], {}]"),
    "a list for a name": _word(b"[banana, {a: 1}]"),
    "a mapping for a name": _word(b'{"banana": 1}'),
    "a name for a number": _number(b'"banana"'),
    "an object": lambda content, draw: b"a: !!python/object/apply:os.getcwd []\n",
    "an object for a name": _word(b"!!python/object/apply:os.getcwd []"),
    "aliases": lambda content, draw: ALIASES,
}
