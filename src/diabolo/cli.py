"""The console command `diabolo`: one table of commands, each with its line of help and what it runs."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import NamedTuple, NoReturn

from diabolo.runs.output import printing

Arguments = list[str]
TRUST = "--trust"  # of commands that make objects of what a run folder's config names


class Command(NamedTuple):
    """One subcommand."""

    run: Callable[[Arguments], None]
    usage: tuple[tuple[str, str], ...]  # pairs of arguments and what they do, for the help
    takes_folders: bool = False  # then completion is the shell's own
    runs_own_parts: bool = True  # whether modules in the current folder may be named
    only_prints: bool = True  # then nothing is left to do when nobody reads any more


def main() -> None:
    """Runs a command; one that only prints, into what is closed or full, ends with 141, as by SIGPIPE, or 1."""
    arguments = sys.argv[1:]
    with printing() as out:
        try:
            dispatch(arguments)
        finally:
            out.flush()
            only_prints = not arguments or arguments[0] not in COMMANDS or COMMANDS[arguments[0]].only_prints
            if out.failure is not None and only_prints:
                if isinstance(out.failure, BrokenPipeError):
                    sys.exit(141)
                print(f"diabolo: the output cannot be written ({out.failure.strerror}).", file=sys.stderr)
                sys.exit(1)


def dispatch(arguments: Arguments) -> None:
    """Runs a subcommand; a mistake of the user's ends with one sentence and exit code 2."""
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(help_text(), end="")
        return
    name, rest = arguments[0], arguments[1:]
    if name == "--version":
        from importlib.metadata import version

        print(f"diabolo {version('diabolo')}")
        return
    if name in ("-sc", "--shell-completion"):
        complete(arguments)
        return
    if name not in COMMANDS:
        refuse(f"there is no command {name!r}; there are {', '.join(COMMANDS)} (see diabolo --help).")
    if COMMANDS[name].runs_own_parts:  # a module beside the user's own yaml can be named in it; libraries come first
        sys.path.append(os.getcwd())
    sys.path.append(str(Path(__file__).parents[1]))  # for processes that start where a folder is called diabolo, too
    from diabolo.errors import UserError
    from diabolo.runs.collecting import collect_seldom
    from diabolo.runs.deferred import defer

    defer()
    collect_seldom()
    try:
        COMMANDS[name].run(rest)
    except UserError as error:
        refuse(str(error))
    except KeyboardInterrupt:  # while torch was loading; training itself stops with a checkpoint
        print("diabolo: stopped by SIGINT", file=sys.stderr)
        sys.exit(130)


def train(arguments: Arguments) -> None:
    if arguments and not arguments[0].startswith("-") and ("=" not in arguments[0] or Path(arguments[0]).is_dir()):
        from diabolo.runs.train import resume

        resume(arguments[0], [one for one in arguments[1:] if one != TRUST], trust=TRUST in arguments)
    else:
        run_hydra(arguments)


def search(arguments: Arguments) -> None:
    parser = argparse.ArgumentParser(
        "diabolo search",
        description="Search for the best values with Optuna. A key is searched when it has several values:"
        " loss=mse,mae or model=choice(fc,lenet), bottleneck.size=range(2,33,2) (33 left out),"
        " optimizer.lr=interval(1e-4,1e-2), int(interval(2,64)) for whole numbers,"
        " and tag(log,...) around these for a logarithmic scale. The same command goes on with a stopped search.",
    )
    add_config_arguments(parser)
    parser.add_argument("--trials", type=int, default=20, help="how many the study is to have (20)")
    parser.add_argument("--timeout", type=float, metavar="SECONDS", help="begin no trial after so many seconds")
    parser.add_argument("--objective", action="append", metavar="METRIC", help="of a run's final metrics (val/mse);"
                        " several, as val/mse and code_size, give a Pareto front")  # fmt: skip
    parser.add_argument("--study", type=Path, metavar="FOLDER", help="where it is kept (searches/<what is searched>)")
    parser.add_argument("--pruner", default="median", help="of trials that promise little: median, hyperband or none")
    parser.add_argument("--seed", type=int, default=0, help="of the points drawn, not of the runs (0)")
    given = parser.parse_intermixed_args(arguments)
    from diabolo.errors import UserError

    try:
        import optuna  # noqa: F401
    except ImportError:
        raise UserError("diabolo search needs Optuna: uv sync --extra search.") from None
    from diabolo.sweeping.search import Question
    from diabolo.sweeping.search import search as run_search

    question = Question(given.overrides, given.objective or ["val/mse"], given.config_dir, given.config_name)
    if not run_search(question, given.trials, given.timeout, given.study, given.pruner, given.seed):
        sys.exit(1)


def inspect(arguments: Arguments) -> None:
    from diabolo.runs.config import compose_config, concerns_overrides, explain

    parser = argparse.ArgumentParser("diabolo inspect", description="Print the walk of shapes of a model.")
    add_config_arguments(parser)
    parser.add_argument("--arithmetic", action="store_true", help="work out each layer's size and weights")
    parser.add_argument("--layer", action="append", metavar="LAYER", help="work out a layer alone instead:"
                        " conv, transposed, pool or upsample with its numbers, as conv:in=64,kernel=5 or, going on"
                        " from the one before, transposed:kernel=5,stride=2,padding=2,output_padding=1")  # fmt: skip
    given = parser.parse_intermixed_args(arguments)
    if given.layer:
        if given.overrides or given.arithmetic:
            refuse("--layer works layers out that stand alone: leave the overrides and --arithmetic out.")
        from diabolo.lessons.inspection import print_layers

        print_layers(given.layer)
        return
    try:
        config = compose_config(given.overrides, given.config_dir, given.config_name)
    except Exception as failure:
        if not concerns_overrides(failure):
            raise
        refuse(explain(failure, given.overrides))
    from diabolo.lessons.inspection import print_arithmetic, print_walk

    (print_arithmetic if given.arithmetic else print_walk)(config)


def data(arguments: Arguments) -> None:
    if arguments[:1] == ["cache"]:
        from diabolo.runs.cache_command import cache

        cache(arguments[1:])
    else:
        from diabolo.runs.data_command import data

        data(arguments)


def evaluate(arguments: Arguments) -> None:
    parser = argparse.ArgumentParser("diabolo evaluate", description="Measure a run's test metrics again.")
    parser.add_argument("run", help="a run folder")
    parser.add_argument("overrides", nargs="*", help="such as data.root=FOLDER where the data have moved")
    parser.add_argument("--generation", action="store_true", help="measure generated images instead, beside real ones"
                        " and PCA, and write the figures into the run folder")  # fmt: skip
    parser.add_argument("--features", metavar="RUN", help="for --generation: a classifier's run (task=classify) on the"
                        " same images, in whose features they are measured")  # fmt: skip
    parser.add_argument("--count", type=int, metavar="N", help="for --generation: images of each kind, at most (10000)")
    parser.add_argument("--seed", type=int, metavar="SEED", help="for --generation: of the random codes (0)")
    parser.add_argument(TRUST, action="store_true", help="trust the config: run whatever code it names")
    given = parser.parse_intermixed_args(arguments)
    settings = {"features": given.features, "count": given.count, "seed": given.seed}
    settings = {name: value for name, value in settings.items() if value is not None}
    if given.generation:
        from diabolo.runs import generation

        figures = generation.measure_generation(given.run, settings, given.overrides, given.trust)
        generation.print_generation(figures)
        generation.record_generation(given.run, figures)
        return
    if settings:
        refuse(f"--{next(iter(settings))} is for diabolo evaluate --generation: say that, too, or leave it out.")
    from diabolo.runs import evaluation

    evaluation.print_evaluation(given.run, evaluation.evaluate(given.run, given.overrides, given.trust))


def command(module: str, name: str) -> Callable[[Arguments], None]:
    """The function of this name in a module of diabolo, which is imported when it is called."""
    return lambda arguments: getattr(import_module(f"diabolo.{module}"), name)(arguments)


def use(usage: str, does: str, name: str, file: str | None = None) -> Command:
    """A command on run folders: the function of this name of the room `use`, in a file of this name unless told."""
    return Command(command(f"use.{file or name}", name), ((usage, does),), takes_folders=True, only_prints=False)


COMMANDS = {
    "train": Command(
        train,
        (
            (
                "[KEY=VALUE ...]",
                "train; every config key can be overridden, e.g.\nmodel=fc bottleneck.size=25 loss=mae data=mnist",
            ),
            ("-m KEY=A,B,C ...", "a sweep over all combinations"),
            ("RUN [KEY=VALUE ...]", "continue the run in folder RUN"),
        ),
        only_prints=False,
    ),
    "search": Command(
        search,
        (("[KEY=RANGE ...]", "search for the best values, e.g. optimizer.lr=tag(log,interval(1e-4,1e-2))"),),
        only_prints=False,
    ),
    "inspect": Command(inspect, (("[KEY=VALUE ...]", "print the walk of shapes of a model, without training"),)),
    "data": Command(
        data,
        (
            ("FOLDER", "what a folder of images is understood as, and a contact sheet"),
            ("cache ls|rm", "list and remove images kept decoded"),
        ),
        takes_folders=True,
    ),
    "evaluate": Command(
        evaluate,
        (
            ("RUN", "measure a run's test metrics again"),
            ("RUN --generation", "how near the images that it generates are to real ones"),
        ),
        takes_folders=True,
    ),
    "probe": Command(
        command("report.probe", "probe"),
        (("RUN ...", "what their codes know of the labels: linear probe and nearest neighbours"),),
        takes_folders=True,
    ),
    "encode": use("RUN IMAGES", "the codes of images, as .npz, .csv or .parquet", "encode"),
    "decode": use("RUN CODES", "the images of codes", "decode"),
    "reconstruct": use("RUN IMAGES", "images through the model, which restores corrupted ones", "reconstruct"),
    "interpolate": use("RUN A B", "from image to image, as a strip or a GIF", "interpolate"),
    "sample": use("RUN", "new images, beside the nearest training ones", "sample"),
    "neighbours": use("RUN IMAGE", "the images with the nearest codes", "neighbours"),
    "export": use("RUN --out FILE.onnx", "the network for other programs; also .pt2 (torch), .safetensors", "export"),
    "explore": use(
        "RUN ... --out PAGE", "a page in which models are explored, their networks in it", "explore", "explore.command"
    ),
    "compare": Command(
        command("report.command", "compare"),
        (("[FOLDER ...]", "compare runs: words, table, losses on every metric, plots, page"),),
        takes_folders=True,
        runs_own_parts=False,
    ),
    "runs": Command(
        command("report.manage", "manage"),
        (("ls|show|best|rm", "list, show, choose and remove runs"),),
        takes_folders=True,
        runs_own_parts=False,
    ),
}


def help_text() -> str:
    """What `diabolo --help` prints."""
    width = 39
    lines = [
        f"  {f'diabolo {name} {usage}':<{width - 2}}" + f"\n{' ' * width}".join(does.splitlines())
        for name, command in COMMANDS.items()
        for usage, does in command.usage
    ]
    return "\n".join([
        "diabolo: config-driven experiments with autoencoders on images",
        "",
        *lines,
        "",
        f"  {'diabolo train --help':<{width - 2}}the config groups and Hydra's own flags",
        f"  {'diabolo train --cfg job':<{width - 2}}the whole config",
        '  eval "$(diabolo -sc install=bash)"   tab completion (or zsh, fish)',
        "  diabolo --version",
        "",
    ])  # fmt: skip


def run_hydra(arguments: Arguments) -> None:
    """Hands over to Hydra, which prints and exits 1 where we want one sentence and 2: so ask it to raise."""
    from diabolo.runs.config import concerns_overrides, explain, quoted_paths
    from diabolo.runs.train import main as hydra_main
    from diabolo.runs.unwritable import unwritable

    wants_trace = os.environ.get("HYDRA_FULL_ERROR") == "1"
    os.environ["HYDRA_FULL_ERROR"] = "1"
    sys.argv = [sys.argv[0], *quoted_paths(arguments)]
    try:
        hydra_main()
    except Exception as failure:
        if wants_trace:
            raise
        if concerns_overrides(failure):
            refuse(explain(failure, arguments))
        if isinstance(failure, OSError) and failure.filename is not None:
            refuse(str(unwritable(Path(failure.filename), failure)))
        raise


def add_config_arguments(parser: argparse.ArgumentParser) -> None:
    """The overrides, and Hydra's flags for where the config lies."""
    parser.add_argument("overrides", nargs="*", help="as for diabolo train")
    parser.add_argument("-cd", "--config-dir", help="a folder of your own configs")
    parser.add_argument("-cn", "--config-name", default="train", help="the root config")


def complete(arguments: Arguments) -> None:
    """Hydra's completion, with the subcommand taken off the line first."""
    words = os.environ.get("COMP_LINE", "").split(" ")
    if len(words) > 1 and arguments[1:] and arguments[1].startswith("query"):
        if len(words) == 2:
            print(" ".join(name for name in COMMANDS if name.startswith(words[1])))
            return
        if words[1] in COMMANDS and COMMANDS[words[1]].takes_folders:
            return
        os.environ["COMP_LINE"] = " ".join([words[0], *words[2:]])
    run_hydra(arguments)


def refuse(sentence: str) -> NoReturn:
    from diabolo.runs.terminal import visible

    print(f"diabolo: {visible(sentence)}", file=sys.stderr)
    sys.exit(2)
