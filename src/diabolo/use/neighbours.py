"""`diabolo neighbours`: the images whose codes are nearest to that of an image."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from diabolo.callbacks.layout import headed, rows
from diabolo.callbacks.pictures import SPLITS
from diabolo.data.pixels import unit_interval
from diabolo.errors import UserError, check_int, printable
from diabolo.runs.terminal import console, say, text_table
from diabolo.use.arguments import add_out, parser_of, refuse_existing
from diabolo.use.images import Images, chosen_images, given_images
from diabolo.use.progress import progress
from diabolo.use.trained import Trained, open_trained
from diabolo.use.writing import save_picture

COLUMN = 112  # pixels, the least width of an image, which its head needs


class Neighbour(NamedTuple):
    """An image near another."""

    distance: float  # Euclidean, of the codes
    place: int  # in the set
    image: Tensor  # C x H x W, as stored


def neighbours(arguments: Sequence[str]) -> None:
    """The command `diabolo neighbours`.

    Raises:
        UserError: no run, no image, one that cannot be read, or a picture that cannot be written.
    """
    parser = parser_of("neighbours", "Print, and draw with --out, the images with the nearest codes (Euclidean).")
    parser.add_argument("image", metavar="IMAGE", help="a file, or one of the run's own images as test:5")
    parser.add_argument("--of", required=True, metavar="FOLDER", help="among these images; or train, val or test")
    parser.add_argument("-k", type=int, default=8, metavar="K", help="how many (8)")
    parser.add_argument("--skip", action="store_true", help="go on without files that cannot be read, naming them")
    add_out(parser, "FILE", "a picture of them, .png", required=False)
    given = parser.parse_args(arguments)
    k = check_int("-k", given.k)
    if given.out is not None:
        if given.out.suffix.lower() != ".png":
            raise UserError(f"{printable(given.out)!r} must end in .png.")
        refuse_existing([given.out], given.overwrite)
    trained = open_trained(given.run, given.trust, given.data_root)
    (image,) = chosen_images(trained, [given.image])
    own = given.of in SPLITS and not Path(given.of).is_dir()
    images = given_images(trained, [] if own else [given.of], given.of if own else None, given.skip)
    found = nearest_codes(trained, image, images, k)
    lines = [
        [str(rank), f"{one.distance:.4f}", images.labels[one.place], images.names[one.place]]
        for rank, one in enumerate(found, 1)
    ]
    console.print(text_table(["", "distance", "label", "image"], lines, right=["", "distance"]))
    if given.out is not None:
        strip = torch.stack([unit_interval(image), *(unit_interval(one.image) for one in found)])
        heads = ["image", *(f"{one.distance:.2f}  {images.labels[one.place]}"[:16] for one in found)]
        picture = rows([trained.data.shown(strip)], smallest=COLUMN)
        save_picture(given.out, headed(picture, heads))
        say(f"-> {given.out}")


def nearest_codes(trained: Trained, image: Tensor, images: Images, k: int) -> list[Neighbour]:
    """The `k` images of a set whose codes are nearest to that of `image`, C x H x W, as stored; the nearest first."""
    code = trained.through(image[None]).codes
    best: list[Neighbour] = []
    with progress("encoding", len(images.names)) as advance:
        for batch in images.batches():
            distances = (trained.through(batch.images).codes - code).norm(dim=1)
            near = distances.argsort(stable=True)[:k].tolist()
            best += [Neighbour(float(distances[i]), batch.places[i], batch.images[i].clone()) for i in near]
            best = sorted(best, key=lambda one: (one.distance, one.place))[:k]
            advance(len(batch.places))
    return best
