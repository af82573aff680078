"""`diabolo sample`: images of random codes, beside the training images that are nearest to them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from diabolo.callbacks.layout import labelled, rows, stacked, titled
from diabolo.callbacks.sampling import COMPONENTS, SOURCES, drawn
from diabolo.data.datamodule import ImageData
from diabolo.data.pixels import unit_interval
from diabolo.data.subsets import evenly_spaced
from diabolo.errors import UserError, check_choice, check_int, printable
from diabolo.runs.terminal import say
from diabolo.use.arguments import add_out, parser_of, refuse_existing
from diabolo.use.codes import Codes, write_codes
from diabolo.use.nearest import Nearest, nearest_images
from diabolo.use.trained import Trained, open_trained
from diabolo.use.writing import ImageWriter, save_picture

COLUMNS = 12  # of the sheet
MOST_TESTED = 256  # test images whose nearest training images are asked for, too


def sample(arguments: Sequence[str]) -> None:
    """The command `diabolo sample`.

    Raises:
        UserError: no run, its data are gone, a prior is asked for where there is none, or files that are there already.
    """
    parser = parser_of(
        "sample",
        "Draw random codes and decode them. Beside each image stands the training image that is nearest to it, pixel by"
        " pixel, so that one sees whether it is new.",
    )
    parser.add_argument("-n", type=int, default=64, metavar="N", help="how many (64)")
    parser.add_argument("--from", dest="source", help="prior: the bottleneck's own; gaussian, mixture: fitted to the"
                        " codes of the training images (prior where there is one, else mixture)")  # fmt: skip
    parser.add_argument("--components", type=int, default=COMPONENTS, metavar="K", help="Gaussians of the mixture (10)")
    parser.add_argument("--seed", type=int, default=0, help="of the random codes (0)")
    add_out(parser, "FOLDER|FILE", "a folder for images, codes and sheet, or sheet.png for the sheet alone")
    given = parser.parse_args(arguments)
    count, out = check_int("-n", given.n), given.out
    check_int("--seed", given.seed, 0, 2**32 - 1)
    if given.source is not None:
        check_choice("--from", given.source, SOURCES)
    alone = bool(out.suffix)
    if alone and out.suffix.lower() != ".png":
        raise UserError(f"{printable(out)!r} must be a folder, or a file that ends in .png.")
    sheet = out if alone else out / "sheet.png"
    refuse_existing([sheet] if alone else [sheet, out / "codes.npz"], given.overwrite)
    trained = open_trained(given.run, given.trust, given.data_root)
    components = check_int("--components", given.components)
    codes, source = drawn(trained.module, trained.images(), count, given.source, components, given.seed)
    images = trained.decoded(codes)
    nearest, usual = _nearest(images, trained.images())
    if not alone:
        _write_each(trained, out, codes, images, nearest, given.overwrite)
    save_picture(
        sheet, titled(_sheet(images, trained.data, nearest), f"{source}; below each the nearest training image")
    )
    say(f"{count:,} {source} -> {out}")
    least = int(nearest.errors.argmin())
    say(
        f"MSE to the nearest training image: median {float(nearest.errors.median()):.5f}, least"
        f" {float(nearest.errors[least]):.5f} (sample {least + 1}, training image {int(nearest.places[least])});"
        f" of {len(usual):,} test images: median {float(usual.median()):.5f}"
    )


def _nearest(images: Tensor, data: ImageData) -> tuple[Nearest, Tensor]:
    """The nearest training image of each, and how near those of test images are."""
    tested = data.images("test", evenly_spaced(data.count("test"), MOST_TESTED))
    found = nearest_images(torch.cat([images.clamp(0, 1), unit_interval(tested)]), data)
    return Nearest(found.places[: len(images)], found.errors[: len(images)]), found.errors[len(images) :]


def _sheet(images: Tensor, data: ImageData, nearest: Nearest) -> Tensor:
    """Rows of samples, each over a row of the training images that are nearest to them."""
    found = unit_interval(data.images("train", nearest.places))
    bands = [
        labelled(rows(map(data.shown, band)), ["sample", "nearest"])
        for band in zip(images.split(COLUMNS), found.split(COLUMNS), strict=True)
    ]
    return stacked(bands)


def _write_each(trained: Trained, out: Path, codes: Tensor, images: Tensor, nearest: Nearest, overwrite: bool) -> None:
    names = [f"{place:0{len(str(len(images)))}}" for place in range(1, len(images) + 1)]
    files = ImageWriter(trained.data.image_shape, trained.data.depth, trained.data.value_range)
    for place, image in zip(files.places(names, out, overwrite), images, strict=True):
        files.write(place, image)
    figures: dict[str, np.ndarray] = {"nearest": nearest.places.numpy(), "nearest_mse": nearest.errors.numpy()}
    write_codes(out / "codes.npz", Codes(codes.numpy(), names, figures=figures))
