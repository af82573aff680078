"""`diabolo explore RUN...`: a page in which the models of runs are explored."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from diabolo.errors import UserError, printable
from diabolo.use.arguments import add_out, refuse_existing


def explore(arguments: Sequence[str]) -> None:
    """The command `diabolo explore`.

    Raises:
        UserError: no such run, a classifier, data that are gone, or runs that one page cannot show.
    """
    given = _parsed(arguments)
    refuse_existing([given.out], given.overwrite)
    if given.images < 2:
        raise UserError(f"`--images` (= {given.images}) must be 2 or more, so that there is something to blend.")
    from diabolo.runs.terminal import console, visible
    from diabolo.training.whole_files import write_whole
    from diabolo.use.explore.page import page_of
    from diabolo.use.trained import open_trained

    with console.status("encoding images, fitting PCA"):
        runs = [open_trained(run, given.trust, given.data_root) for run in given.runs]
        page = page_of(runs, given.images, given.half, given.in_tab)
    try:
        given.out.parent.mkdir(parents=True, exist_ok=True)
        write_whole(given.out, page)
    except OSError as failure:
        said = failure.strerror or failure
        raise UserError(f"{printable(given.out)!r} cannot be written ({said}); name another --out.") from failure
    console.print(
        f"{visible(printable(given.out))}: {given.out.stat().st_size / 1e6:.1f} MB, to be opened in a browser",
        soft_wrap=True,
        markup=False,
    )


def _parsed(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "diabolo explore",
        description="Write a page in which the models of runs are explored, beside each other and beside PCA of the"
        " same size. Their networks run in the page, which needs no network.",
    )
    parser.add_argument(
        "runs", nargs="+", metavar="RUN", help="run folders; the images are those of the first one's data"
    )
    parser.add_argument("--images", type=int, default=1000, metavar="N", help="test images on the map, at most (1000)")
    parser.add_argument("--half", action="store_true", help="weights of 16 bits: half the size, errors of about .001")
    parser.add_argument("--in-tab", action="store_true", help=argparse.SUPPRESS)  # of TensorBoard, which makes it so
    parser.add_argument("--data-root", metavar="FOLDER", help="where the images have moved")
    parser.add_argument("--trust", action="store_true", help="trust the configs: run whatever code they name")
    add_out(parser, "PAGE.html", "the page to write")
    return parser.parse_args(arguments)
