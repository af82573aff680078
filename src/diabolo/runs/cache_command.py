"""`diabolo data cache ls | rm`: the images that are kept decoded."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from diabolo.errors import UserError, did_you_mean
from diabolo.runs.terminal import console, say, text_table

if TYPE_CHECKING:
    from diabolo.data.cache.store import Entry

HELP = """\
diabolo data cache: images that are kept decoded

  diabolo data cache ls           list what is kept
  diabolo data cache rm NAME ...  remove some of it
  diabolo data cache rm --all     remove all of it
"""


def cache(arguments: Sequence[str]) -> None:
    """The command `diabolo data cache`.

    Raises:
        UserError: no such part or entry, or an entry that is in use.
    """
    name, *rest = arguments or ["--help"]
    if name in ("-h", "--help"):
        print(HELP, end="")
    elif name == "ls":
        argparse.ArgumentParser("diabolo data cache ls", description="List images kept decoded.").parse_args(rest)
        _list()
    elif name == "rm":
        parser = argparse.ArgumentParser("diabolo data cache rm", description="Remove images kept decoded.")
        parser.add_argument("names", nargs="*", metavar="NAME", help="as diabolo data cache ls lists them")
        parser.add_argument("--all", action="store_true", help="remove all")
        given = parser.parse_intermixed_args(rest)
        _remove(given.names, given.all)
    else:
        raise UserError(f"there is no `diabolo data cache {name}`; there are ls, rm.")


def _list() -> None:
    from diabolo.data.cache.store import caches

    entries = caches()
    if not entries:
        say("Nothing is kept.")
        return
    lines = [
        [
            entry.name,
            f"{entry.images:,}",
            _size(entry.bytes),
            time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.last_used)),
            entry.of if entry.whole else f"{entry.of} (not whole)",
        ]
        for entry in entries
    ]
    lines.append(["all", f"{sum(e.images for e in entries):,}", _size(sum(e.bytes for e in entries)), "", ""])
    console.print(text_table(["name", "images", "size", "last used", "of"], lines, right=("images", "size")))


def _remove(names: Sequence[str], everything: bool) -> None:
    from diabolo.data.cache.store import caches, remove

    entries: dict[str, Entry] = {entry.name: entry for entry in caches()}
    if bool(names) == everything:
        raise UserError("say what is to be removed: the names that diabolo data cache ls lists, or --all.")
    if strange := [name for name in names if name not in entries]:
        raise UserError(f"nothing of the name {strange[0]!r} is kept{did_you_mean(strange[0], entries)}.")
    refused = []
    for name in entries if everything else dict.fromkeys(names):
        try:
            remove(entries[name])
        except UserError as failure:
            refused.append(str(failure))
        else:
            say(f"removed {name} ({_size(entries[name].bytes)})")
    if refused:
        raise UserError(" ".join(refused))


def _size(count: float) -> str:
    """E.g. 1.2 GB."""
    units = ["bytes", "kB", "MB", "GB", "TB"]
    while count >= 1000 and len(units) > 1:
        count /= 1000
        del units[0]
    return f"{count:.3g} {units[0]}"
