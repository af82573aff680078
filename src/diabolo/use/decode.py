"""`diabolo decode`: the images of codes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from diabolo.runs.terminal import say
from diabolo.use.arguments import add_label, add_out, parser_of
from diabolo.use.codes import read_codes
from diabolo.use.progress import progress
from diabolo.use.trained import open_trained
from diabolo.use.writing import ImageWriter


def decode(arguments: Sequence[str]) -> None:
    """The command `diabolo decode`.

    Raises:
        UserError: no run, a file of codes that cannot be read or is of another size, or files that are there already.
    """
    parser = parser_of("decode", "Write the image of each code of a file, as diabolo encode writes it or made by hand.")
    parser.add_argument("codes", type=Path, metavar="FILE", help="codes.npz, codes.csv or codes.parquet")
    add_label(parser, "the label of all codes")
    add_out(parser, "FOLDER", "where the images go")
    given = parser.parse_args(arguments)
    trained = open_trained(given.run, given.trust, given.data_root, gives_labels=True)
    codes = read_codes(given.codes, trained.module.autoencoder.code_size)
    count = len(codes.codes)
    labels = trained.labels(given.label, count)
    files = ImageWriter(trained.data.image_shape, trained.data.depth, trained.data.value_range)
    names = codes.names or [f"code_{place:0{len(str(count))}}" for place in range(1, count + 1)]
    places = files.places(names, given.out, given.overwrite)
    with progress("decoding", count) as advance:
        for part in torch.arange(count).split(trained.data.eval_batch_size):
            images = trained.decoded(
                torch.from_numpy(codes.codes[part.numpy()]), None if labels is None else labels[part]
            )
            for place, image in zip(part.tolist(), images, strict=True):
                files.write(places[place], image)
            advance(len(part))
    say(f"{count:,} images -> {given.out}")
