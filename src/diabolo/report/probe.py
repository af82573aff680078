"""`diabolo probe RUN...`: what the codes of runs know of the labels, beside PCA codes of the same size and pixels."""

from __future__ import annotations

import argparse
from collections.abc import Hashable, Sequence
from math import prod

from omegaconf import DictConfig

from diabolo.report.command import console, count
from diabolo.runs.folder import RunFolder
from diabolo.runs.identity import flat, seen
from diabolo.runs.loading import load
from diabolo.runs.resume import revised
from diabolo.runs.terminal import text_table


def probe(arguments: Sequence[str]) -> None:
    """The command `diabolo probe`.

    Raises:
        UserError: no such run, it has no checkpoint, or its data are gone or have no labels.
    """
    parser = argparse.ArgumentParser(
        "diabolo probe", description="Accuracy of a linear probe and of the nearest neighbours on the codes of runs."
    )
    parser.add_argument("runs", nargs="+", metavar="RUN", help="run folders")
    parser.add_argument("--codes", type=count, default=10_000, metavar="N", help="fit on at most N codes (10000)")
    parser.add_argument("--neighbours", type=count, default=5, metavar="K", help="how many nearest neighbours vote (5)")
    parser.add_argument("--data-root", metavar="FOLDER", help="where the data have moved")
    parser.add_argument("--trust", action="store_true", help="trust the configs: run whatever code they name")
    given = parser.parse_args(arguments)
    moved = [f"data.root={given.data_root}"] if given.data_root else []
    configs = {folder: revised(RunFolder.find(folder), moved, trust=given.trust) for folder in given.runs}
    sets: dict[Hashable, list[str]] = {}
    for folder, config in configs.items():
        sets.setdefault(seen(flat(config)), []).append(folder)
    for alike in sets.values():
        _print_set({folder: configs[folder] for folder in alike}, given.codes, given.neighbours, given.trust)


def _print_set(configs: dict[str, DictConfig], most_codes: int, neighbours: int, trust: bool) -> None:
    """A table for runs on the same images."""
    from diabolo.measures.probes import Probe
    from diabolo.runs.build import build_data

    first, config = next(iter(configs.items()))
    with RunFolder(first).describes_a_run():
        data = build_data(config)
        data.setup()
    probe = Probe(data, most_codes, neighbours)
    sizes = {folder: config.bottleneck.size for folder, config in configs.items()}
    lines = [_line(folder, sizes[folder], probe.measure(*probe.codes(load(folder, trust=trust)))) for folder in configs]
    lines += [_line("PCA", size, probe.measure(*probe.pca(size))) for size in sorted(set(sizes.values()))]
    lines += [_line("pixels", prod(data.image_shape), probe.measure(*probe.pixels()))]
    out = console()
    heads = ["test accuracy of", "numbers", "linear probe (%)", f"{neighbours} nearest (%)"]
    out.print(text_table(heads, lines, right=heads[1:]))
    fitted, measured = (len(probe.chosen[split]) for split in ("train", "test"))
    out.print(f"fitted on {fitted:,} training images, measured on {measured:,} test images\n")


def _line(name: str, size: int, measured: dict[str, float]) -> list[str]:
    return [name, str(size), *(f"{100 * value:.2f}" for value in measured.values())]
