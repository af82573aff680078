"""The console command `diabolo`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

HELP = """\
diabolo: config-driven experiments with autoencoders on images

  diabolo train [KEY=VALUE ...]      train; every config key can be overridden, e.g.
                                     model=fc bottleneck.size=25 loss=mae data=mnist
  diabolo train -m KEY=A,B,C ...     a sweep over all combinations
  diabolo train RUN [KEY=VALUE ...]  continue the run in folder RUN
  diabolo search [KEY=RANGE ...]     search for the best values, e.g. optimizer.lr=tag(log,interval(1e-4,1e-2))
  diabolo inspect [KEY=VALUE ...]    print the walk of shapes of a model, without training
  diabolo evaluate RUN               measure a run's test metrics again
  diabolo probe RUN ...              what their codes know of the labels: linear probe and nearest neighbours
  diabolo compare [FOLDER ...]       compare runs: words, table, losses on every metric, plots, page
  diabolo runs ls|show|best|rm       list, show, choose and remove runs

  diabolo train --help               the config groups and Hydra's own flags
  diabolo train --cfg job            the whole config
  eval "$(diabolo -sc install=bash)" tab completion (or zsh, fish)
  diabolo --version
"""


def main() -> None:
    """Dispatches to a subcommand; a mistake of the user's ends with one sentence and exit code 2."""
    arguments = sys.argv[1:]
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(HELP, end="")
        return None
    command, rest = arguments[0], arguments[1:]
    if command == "--version":
        from importlib.metadata import version

        print(f"diabolo {version('diabolo')}")
        return None
    if command in ("-sc", "--shell-completion"):
        return _complete(arguments)
    commands = {
        "train": _train,
        "search": _search,
        "inspect": _inspect,
        "evaluate": _evaluate,
        "probe": _probe,
        "compare": _compare,
        "runs": _runs,
    }
    if command not in commands:
        _refuse(f"there is no command {command!r}; there are {', '.join(commands)} (see diabolo --help).")
    sys.path.insert(0, os.getcwd())  # a module beside the user's own yaml can be named in it
    from diabolo.errors import UserError

    try:
        commands[command](rest)
    except UserError as error:
        _refuse(str(error))
    except KeyboardInterrupt:  # while torch was loading; training itself stops with a checkpoint
        print("diabolo: stopped by SIGINT", file=sys.stderr)
        sys.exit(130)


def _train(arguments: list[str]) -> None:
    if arguments and not arguments[0].startswith("-") and ("=" not in arguments[0] or Path(arguments[0]).is_dir()):
        from diabolo.runs.train import resume

        resume(arguments[0], arguments[1:])
    else:
        _hydra(arguments)


def _hydra(arguments: list[str]) -> None:
    """Hands over to Hydra, which prints and exits 1 where we want one sentence and 2: so ask it to raise."""
    from diabolo.runs.config import concerns_overrides, explain, quoted_paths
    from diabolo.runs.folder import unwritable
    from diabolo.runs.train import main as run_hydra

    wants_trace = os.environ.get("HYDRA_FULL_ERROR") == "1"
    os.environ["HYDRA_FULL_ERROR"] = "1"
    sys.argv = [sys.argv[0], *quoted_paths(arguments)]
    try:
        run_hydra()
    except Exception as failure:
        if wants_trace:
            raise
        if concerns_overrides(failure):
            _refuse(explain(failure, arguments))
        if isinstance(failure, OSError) and failure.filename is not None:
            _refuse(str(unwritable(Path(failure.filename), failure)))
        raise


def _search(arguments: list[str]) -> None:
    import argparse

    parser = argparse.ArgumentParser(
        "diabolo search",
        description="Search for the best values with Optuna. A key is searched when it has several values:"
        " loss=mse,mae or model=choice(fc,lenet), bottleneck.size=range(2,33,2) (33 left out),"
        " optimizer.lr=interval(1e-4,1e-2), int(interval(2,64)) for whole numbers,"
        " and tag(log,...) around these for a logarithmic scale. The same command goes on with a stopped search.",
    )
    parser.add_argument("overrides", nargs="*", help="as for diabolo train")
    parser.add_argument("--trials", type=int, default=20, help="how many the study is to have (20)")
    parser.add_argument("--timeout", type=float, metavar="SECONDS", help="begin no trial after so many seconds")
    parser.add_argument("--objective", action="append", metavar="METRIC", help="of a run's final metrics (val/mse);"
                        " several, as val/mse and code_size, give a Pareto front")  # fmt: skip
    parser.add_argument("--study", type=Path, metavar="FOLDER", help="where it is kept (searches/<what is searched>)")
    parser.add_argument("--pruner", default="median", help="of trials that promise little: median, hyperband or none")
    parser.add_argument("--seed", type=int, default=0, help="of the points drawn, not of the runs (0)")
    parser.add_argument("-cd", "--config-dir", help="a folder of your own configs")
    parser.add_argument("-cn", "--config-name", default="train", help="the root config")
    given = parser.parse_intermixed_args(arguments)
    from diabolo.errors import UserError

    try:
        import optuna  # noqa: F401
    except ImportError:
        raise UserError("diabolo search needs Optuna: uv sync --extra search.") from None
    from diabolo.sweeping.search import Question, search

    question = Question(given.overrides, given.objective or ["val/mse"], given.config_dir, given.config_name)
    if not search(question, given.trials, given.timeout, given.study, given.pruner, given.seed):
        sys.exit(1)


def _inspect(arguments: list[str]) -> None:
    import argparse

    from diabolo.runs.config import compose_config, concerns_overrides, explain

    parser = argparse.ArgumentParser("diabolo inspect", description="Print the walk of shapes of a model.")
    parser.add_argument("overrides", nargs="*", help="as for diabolo train")
    parser.add_argument("-cd", "--config-dir", help="a folder of your own configs")
    parser.add_argument("-cn", "--config-name", default="train", help="the root config")
    parser.add_argument("--arithmetic", action="store_true", help="work out each layer's size and weights")
    parser.add_argument("--layer", action="append", metavar="LAYER", help="work out a layer alone instead:"
                        " conv, transposed, pool or upsample with its numbers, as conv:in=64,kernel=5 or, going on"
                        " from the one before, transposed:kernel=5,stride=2,padding=2,output_padding=1")  # fmt: skip
    given = parser.parse_intermixed_args(arguments)
    if given.layer:
        if given.overrides or given.arithmetic:
            _refuse("--layer works layers out that stand alone: leave the overrides and --arithmetic out.")
        from diabolo.lessons.inspection import print_layers

        return print_layers(given.layer)
    try:
        config = compose_config(given.overrides, given.config_dir, given.config_name)
    except Exception as failure:
        if not concerns_overrides(failure):
            raise
        _refuse(explain(failure, given.overrides))
    from diabolo.lessons.inspection import print_arithmetic, print_walk

    return print_arithmetic(config) if given.arithmetic else print_walk(config)


def _evaluate(arguments: list[str]) -> None:
    import argparse

    parser = argparse.ArgumentParser("diabolo evaluate", description="Measure a run's test metrics again.")
    parser.add_argument("run", help="a run folder")
    parser.add_argument("overrides", nargs="*", help="such as data.root=FOLDER where the data have moved")
    given = parser.parse_args(arguments)
    from diabolo.runs.evaluation import evaluate, print_evaluation

    print_evaluation(given.run, evaluate(given.run, given.overrides))


def _probe(arguments: list[str]) -> None:
    from diabolo.report.probe import probe

    probe(arguments)


def _compare(arguments: list[str]) -> None:
    from diabolo.report.command import compare

    compare(arguments)


def _runs(arguments: list[str]) -> None:
    from diabolo.report.manage import manage

    manage(arguments)


def _complete(arguments: list[str]) -> None:
    """Hydra's completion, with the subcommand taken off the line first."""
    words = os.environ.get("COMP_LINE", "").split(" ")
    if len(words) > 1 and arguments[1:] and arguments[1].startswith("query"):
        if len(words) == 2:
            names = ("train", "search", "inspect", "evaluate", "probe", "compare", "runs")
            print(" ".join(name for name in names if name.startswith(words[1])))
            return
        if words[1] in ("evaluate", "probe", "compare", "runs"):
            return  # folders: the shell's own completion
        os.environ["COMP_LINE"] = " ".join([words[0], *words[2:]])
    _hydra(arguments)


def _refuse(sentence: str) -> None:
    print(f"diabolo: {sentence}", file=sys.stderr)
    sys.exit(2)
