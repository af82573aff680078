"""`diabolo encode`: the codes of images, with the error of each one's reconstruction."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from diabolo.runs.terminal import say
from diabolo.use.anomalies import RARE, finds_anomalies, normal_errors, shares_below
from diabolo.use.arguments import add_images, add_label, add_out, parser_of, refuse_existing
from diabolo.use.codes import Codes, check_codes_file, write_codes
from diabolo.use.images import Images, given_images
from diabolo.use.progress import progress
from diabolo.use.trained import Trained, open_trained


def encode(arguments: Sequence[str]) -> None:
    """The command `diabolo encode`.

    Raises:
        UserError: no run, no image, one that cannot be read, or a file that cannot be written.
    """
    parser = parser_of(
        "encode",
        "Encode images: the names, the labels where there are folders of classes, the codes, and the mean squared error"
        " of each reconstruction per pixel in [0, 1]. A run that was trained on some classes alone adds to that an"
        " anomaly score: the share of its normal test images whose error is smaller.",
    )
    add_images(parser)
    add_label(parser, "the label of all images; those of a --split have their own")
    add_out(parser, "FILE", "codes.npz, codes.csv or codes.parquet")
    given = parser.parse_intermixed_args(arguments)
    out: Path = given.out
    check_codes_file(out)
    refuse_existing([out], given.overwrite)
    trained = open_trained(given.run, given.trust, given.data_root, gives_labels=True)
    images = given_images(trained, given.images, given.split, given.skip)
    codes = encoded(trained, images, given.corrupt, trained.labels(given.label, len(images.names), given.split))
    normal = normal_errors(trained) if finds_anomalies(trained) else None
    if normal is not None:
        codes.figures["anomaly"] = shares_below(codes.figures["mse"], normal)
    write_codes(out, codes)
    mean = float(np.mean(codes.figures["mse"]))
    say(f"{len(codes.codes):,} codes of {codes.codes.shape[1]} numbers -> {out} (mean MSE {mean:.5f})")
    if normal is not None:
        beyond = int((codes.figures["anomaly"] >= RARE).sum())
        say(
            f"anomalies: {beyond:,} of {len(codes.codes):,} images have a larger error than {RARE:.0%} of the run's"
            f" {len(normal):,} normal test images (above {np.quantile(normal, RARE):.5f})"
        )


def encoded(trained: Trained, images: Images, corrupt: bool = False, labels: Tensor | None = None) -> Codes:
    """The codes of images, which are read batch by batch; `labels` are theirs, where the network is conditional."""
    places: list[int] = []
    codes, errors = [], []
    with progress("encoding", len(images.names)) as advance:
        for batch in images.batches():
            passed = trained.through(batch.images, corrupt, None if labels is None else labels[batch.places])
            places += batch.places
            codes.append(passed.codes)
            errors.append(passed.errors)
            advance(len(batch.places))
    return Codes(
        torch.cat(codes).numpy(),
        [images.names[place] for place in places],
        [images.labels[place] for place in places],
        {"mse": torch.cat(errors).numpy()},
    )
