"""Ways to damage a file of a run folder, each by a name that a test can show."""

import json
import os
from collections.abc import Callable
from pathlib import Path

Harm = Callable[[Path], object]


def text(content: str) -> Harm:
    return lambda path: path.write_text(content)


def changed(**values) -> Harm:
    return lambda path: path.write_text(json.dumps(json.loads(path.read_text()) | values))


def fifo(path: Path) -> None:
    path.unlink(missing_ok=True)
    os.mkfifo(path)


def device(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to("/dev/zero")


def folder(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.mkdir()


def nested(deep: int, opening: str, closing: str) -> Harm:
    return text(opening * deep + closing * deep)


def flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[0] ^= 0xFF
    path.write_bytes(content)


ANY_FILE: dict[str, Harm] = {
    "zeroed": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "flipped": flipped,
    "latin-1": lambda path: path.write_bytes('{"größe": 1}'.encode("latin-1")),
    "fifo": fifo,
    "device": device,
    "folder": folder,
    "empty": text(""),
    "a list": text("[1]"),
}
JSON_FILE: dict[str, Harm] = {
    **ANY_FILE,
    "cut short": lambda path: path.write_bytes(path.read_bytes()[:-5]),
    "deep lists": nested(100_000, "[", "]"),
    "deep mappings": nested(100, '{"a": ', "}"),
    "5,000 digits": text('{"state": "done", "a": ' + "9" * 5000 + "}"),
    "400 digits": text('{"state": "done", "a": ' + "9" * 400 + "}"),
}
CONFIG_FILE: dict[str, Harm] = {
    **ANY_FILE,
    "cut short": text("bottleneck: {size: 4"),
    "python object": text("a: !!python/object/apply:os.getcwd []"),
    "aliases": text("a: &a [1]\nb: *a\n"),
    "a date": text("seed: 2026-11-20\n"),
    "a set": text("seed: !!set {1, 2}\n"),
    "a number as key": text("1: 2\n"),
    "deep": nested(2_000, "{a: ", "}"),
    "400 digits": text("seed: " + "9" * 400),
}
