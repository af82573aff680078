"""`diabolo reconstruct`: images through the model, each under its own name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from diabolo.callbacks.layout import ERROR_LIMIT, diverging, headed, rows
from diabolo.runs.terminal import say
from diabolo.use.arguments import add_images, add_label, add_out, parser_of
from diabolo.use.images import given_images
from diabolo.use.progress import progress
from diabolo.use.trained import Passed, Trained, open_trained
from diabolo.use.writing import ImageWriter, save_picture

COLUMN = 112  # pixels, the least width of an image beside others, which its head needs


def reconstruct(arguments: Sequence[str]) -> None:
    """The command `diabolo reconstruct`.

    Raises:
        UserError: no run, no image, one that cannot be read, or a file that is there or cannot be written.
    """
    parser = parser_of(
        "reconstruct",
        "Write the reconstruction of each image under its name. A run that was trained to undo a corruption restores"
        " the images that it is given, which are taken as corrupted ones unless --corrupt is said.",
    )
    add_images(parser)
    add_label(parser, "the label of all images; those of a --split have their own")
    add_out(parser, "FOLDER", "where the reconstructions go")
    parser.add_argument("--side-by-side", action="store_true", help="image, reconstruction and error beside each other")
    given = parser.parse_intermixed_args(arguments)
    out: Path = given.out
    trained = open_trained(given.run, given.trust, given.data_root, gives_labels=True)
    images = given_images(trained, given.images, given.split, given.skip)
    labels = trained.labels(given.label, len(images.names), given.split)
    files = ImageWriter(trained.data.image_shape, trained.data.depth, trained.data.value_range)
    places = files.places(images.names, out, given.overwrite, ".png" if given.side_by_side else None)
    total, count = 0.0, 0
    with progress("reconstructing", len(images.names)) as advance:
        for batch in images.batches():
            passed = trained.through(batch.images, given.corrupt, None if labels is None else labels[batch.places])
            for row, place in enumerate(batch.places):
                if given.side_by_side:
                    save_picture(places[place], side_by_side(trained, passed, row, given.corrupt))
                else:
                    files.write(places[place], passed.reconstructions[row])
            total, count = total + float(passed.errors.double().sum()), count + len(batch.places)
            advance(len(batch.places))
    say(f"{count:,} reconstructions -> {out} (mean MSE {total / max(count, 1):.5f} to the images given)")


def side_by_side(trained: Trained, passed: Passed, row: int, corrupt: bool) -> Tensor:
    """One image, what the network saw of it where it was corrupted, its reconstruction and the error, with heads:
    3 x H' x W' in [0, 1]."""
    restores = trained.module.corruption is not None
    columns = {"image": passed.images[row]}
    if corrupt and restores:
        columns["corrupted"] = passed.seen[row]
    columns["restored" if restores else "reconstruction"] = passed.reconstructions[row]
    shown = [trained.data.shown(image).expand(3, -1, -1) for image in columns.values()]
    error = diverging((passed.reconstructions[row] - passed.images[row])[None], ERROR_LIMIT)
    strip = torch.cat([torch.stack(shown), error])  # N x 3 x H x W
    return headed(rows([strip], smallest=COLUMN, largest=max(strip.shape[2:])), [*columns, "error"])
