"""What the commands of this room have in common on the command line."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from diabolo.errors import UserError, printable


def parser_of(command: str, description: str) -> argparse.ArgumentParser:
    """A parser with what all of them take: the run, whether it is trusted, where its images have moved."""
    parser = argparse.ArgumentParser(f"diabolo {command}", description=description)
    parser.add_argument("run", metavar="RUN", help="a run folder")
    parser.add_argument("--data-root", metavar="FOLDER", help="where the run's own images have moved")
    parser.add_argument("--trust", action="store_true", help="trust the config: run whatever code it names")
    return parser


def add_images(parser: argparse.ArgumentParser) -> None:
    """Images to be read: files, folders, or a split."""
    parser.add_argument("images", nargs="*", metavar="IMAGES", help="files, and folders with all images below"
                        " them; or one file of arrays: .npy, .npz, .pt, .h5")  # fmt: skip
    parser.add_argument("--split", help="instead: train, val or test of the run's own data")
    parser.add_argument("--skip", action="store_true", help="go on without files that cannot be read, naming them")
    parser.add_argument("--corrupt", action="store_true", help="corrupt the images first, as the run was trained")


def add_label(parser: argparse.ArgumentParser, text: str) -> None:
    """The label that a conditional network is given."""
    parser.add_argument("--label", type=int, metavar="N", help=f"of a conditional run: {text}")


def add_out(parser: argparse.ArgumentParser, metavar: str, text: str, required: bool = True) -> None:
    """Where the result goes."""
    parser.add_argument("--out", required=required, type=Path, metavar=metavar, help=text)
    parser.add_argument("--overwrite", action="store_true", help="write over files that are there")


def refuse_existing(paths: Sequence[Path], overwrite: bool) -> None:
    """Refuses to write over files, or where nothing can be written, before hours of work.

    Raises:
        UserError: one of `paths` is there and `overwrite` is false, is a folder, or lies where one may not write.
    """
    for folder in {path.parent for path in paths}:
        there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
        if not there.is_dir() or not os.access(there, os.W_OK):
            raise UserError(f"nothing can be written in {printable(there)!r}: name another --out.")
    for path in paths:
        if path.is_dir():
            raise UserError(f"{printable(path)!r} is a folder, and a file is to be written there: name another --out.")
        if path.exists() and not overwrite:
            raise UserError(f"{printable(path)!r} is there already: name another --out, or say --overwrite.")
