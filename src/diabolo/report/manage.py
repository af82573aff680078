"""`diabolo runs ls | show | best | rm`: what lies in a folder of runs."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from diabolo.errors import UserError
from diabolo.measures.metric_names import described
from diabolo.report.collect import Run, read
from diabolo.report.command import add_selection, console, count, say_skipped, selected
from diabolo.report.names import Names, order_key
from diabolo.report.numbers import head, in_unit, with_unit
from diabolo.report.select import check_key, ranked
from diabolo.runs.files_written import behind_link, is_ours
from diabolo.runs.folder import RunFolder
from diabolo.runs.identity import plain
from diabolo.runs.terminal import text_table, visible

HELP = """\
diabolo runs: what lies in a folder of runs

  diabolo runs ls [FOLDER ...]    list runs
  diabolo runs show RUN           all about one run
  diabolo runs best [FOLDER ...]  print the path of the best run, for $(...)
  diabolo runs rm FOLDER ...      remove runs, after asking

  ls, best and rm take --where, such as --where "bottleneck.size>=25" --where loss=mse,mae
"""
LISTED = ("val/mse", "test/mse", "test/ssim", "val/accuracy", "test/accuracy")


def manage(arguments: Sequence[str]) -> None:
    """The command `diabolo runs`.

    Raises:
        UserError: what the chosen part of it cannot do, in one sentence.
    """
    name, *rest = arguments or ["--help"]
    if name in PARTS:
        PARTS[name](rest)
    elif name in ("-h", "--help"):
        print(HELP, end="")
    else:
        raise UserError(f"there is no `diabolo runs {name}`; there are {', '.join(PARTS)}.")


def _ls(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser("diabolo runs ls", description="List runs.")
    add_selection(parser)
    parser.add_argument(
        "--sort", metavar="KEY", help="a metric, best first, or a config key; by default the time of the start"
    )
    parser.add_argument("--top", type=count, metavar="N", help="the first N only")
    given = parser.parse_intermixed_args(arguments)
    runs, skipped = selected(given.folders, given.where)
    settings = Names(runs).columns[:]
    if any(run.get("seed") != runs[0].get("seed") for run in runs):
        settings.append("seed")
    listed = [*LISTED, *(metric.key for metric in described())]
    metrics = [key for key in listed if any(run.number(key) is not None for run in runs)]
    if given.sort:
        runs = ranked(runs, given.sort, runs)
        if given.sort not in (*settings, *metrics):
            metrics.append(given.sort)
    else:
        runs = sorted(runs, key=lambda run: order_key(run.started or None))
    lines = [
        [
            str(run.path),
            run.state,
            *("" if run.get(key) is None else plain(run.get(key)) for key in settings),
            *(_cell(run, key) for key in metrics),
        ]
        for run in runs[: given.top]
    ]
    console().print(text_table(["run", "state", *settings, *map(head, metrics)], lines))
    say_skipped(skipped)


def _show(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser("diabolo runs show", description="All about one run.")
    parser.add_argument("run", metavar="RUN", help="a run folder")
    given = parser.parse_args(arguments)
    folder = RunFolder.find(given.run)
    run = read(folder.path, folder.path.name)
    state = folder.state()
    out = console()
    lines = [["run", str(folder.path)], ["state", run.state + (f": {run.reason}" if run.reason else "")]]
    lines += [[name, str(state[name])] for name in ("started", "changed", "host") if name in state]
    lines += [["overrides", " ".join(map(str, state.get("overrides", []))) or "none"]]
    if run.choices:
        lines += [["choices", " ".join(f"{group}={name}" for group, name in run.choices.items())]]
    lines += [["config", str(folder.path / "config.yaml")]]
    lines += [["versions", " ".join(f"{name} {version}" for name, version in run.versions.items())]]
    out.print(text_table(["", ""], lines, header=False))
    if run.metrics:
        out.print("\nmetrics", style="bold")
        metrics = [[k, plain(v)] for k, v in sorted(run.metrics.items()) if not k.startswith("versions/")]
        out.print(text_table(["", ""], metrics, header=False))
    pictures = sorted(folder.pictures.rglob("*.png"))
    if pictures:
        out.print("\npictures", style="bold")
        for picture in pictures:
            out.print(visible(str(picture)), markup=False, soft_wrap=True)


def _best(arguments: Sequence[str]) -> None:
    """Prints the path alone to stdout, and why it is the best to stderr."""
    parser = argparse.ArgumentParser("diabolo runs best", description="Print the path of the best run, for $(...).")
    add_selection(parser)
    parser.add_argument("--by", default="val/mse", metavar="KEY", help="the metric that decides (default: val/mse)")
    given = parser.parse_intermixed_args(arguments)
    runs, skipped = selected(given.folders, given.where)
    check_key("--by", given.by, runs)
    measured = [run for run in runs if run.state == "done" and run.number(given.by) is not None]
    if not measured:
        raise UserError(f"none of the {len(runs)} runs is done with a number as `{given.by}`.")
    best = ranked(measured, given.by, measured)[0]
    _print_path(best.path)
    shown = with_unit(given.by, best.number(given.by) or 0.0)
    print(f"{Names(runs).run(best)}: {given.by} {shown}, the best of {len(measured)} runs", file=sys.stderr)
    say_skipped(skipped)


def _print_path(path: Path) -> None:
    """Prints a path: with all letters visible on a terminal, and byte for byte into a pipe, as `$(...)` needs it."""
    if sys.stdout.isatty():
        print(visible(str(path)))
    else:
        sys.stdout.flush()
        sys.stdout.buffer.write(os.fsencode(path) + b"\n")
        sys.stdout.buffer.flush()


def _rm(arguments: Sequence[str]) -> None:
    """Raises UserError where nobody can be asked, and where a run had to be left."""
    parser = argparse.ArgumentParser("diabolo runs rm", description="Remove runs, after asking.")
    add_selection(parser, folders="+")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    given = parser.parse_intermixed_args(arguments)
    runs, skipped = selected(given.folders, given.where)
    sizes = [_size(run.path) for run in runs]
    out = console()
    lines = [[str(run.path), run.state, _mb(size)] for run, size in zip(runs, sizes, strict=True)]
    out.print(text_table(["run", "state", "size"], lines, right=["size"]))
    what = f"{len(runs)} run{'s' if len(runs) != 1 else ''}, {_mb(sum(sizes))}"
    if not given.yes:
        if not sys.stdin.isatty():
            raise UserError(f"nothing was removed of {what}: say --yes where nobody can be asked.")
        if input(f"Remove {what}? [y/N] ").strip().lower() not in ("y", "yes"):
            out.print("Nothing was removed.")
            return
    left = [sentence for run in runs if (sentence := _remove(run)) is not None]
    out.print(f"Removed {len(runs) - len(left)} of {what}.")
    say_skipped(skipped)
    if left:
        raise UserError(f"left: {'; '.join(left)}.")


def _remove(run: Run) -> str | None:
    """Removes what the run has written into its folder, or says why something is left."""
    folder = RunFolder(run.path)
    if link := behind_link(run.path):
        return f"{run.path} ({link} is a link)"
    if Path.cwd().is_relative_to(run.path.resolve()):
        return f"{run.path} (it is the current folder or one above it)"
    if not is_ours(run.path):
        return f"{run.path} (no run any more, or none of diabolo's)"
    try:
        left = folder.remove()
    except UserError as busy:
        return str(busy).rstrip(".")
    except OSError as failure:
        return f"{run.path} ({failure.strerror or failure})"
    return f"{run.path} (what no run writes: {', '.join(path.name for path in left)})" if left else None


def _size(folder: Path) -> int:
    """Bytes of all files below `folder`."""
    places = ((Path(place), files) for place, _, files in os.walk(folder))
    return sum((place / name).lstat().st_size for place, files in places for name in files)


def _mb(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"


def _cell(run: Run, key: str) -> str:
    """A metric in its unit, or what else the run has under the key."""
    if (number := run.number(key)) is not None:
        return in_unit(key, number)
    return "" if run.get(key) is None else plain(run.get(key))


PARTS = {"ls": _ls, "show": _show, "best": _best, "rm": _rm}
