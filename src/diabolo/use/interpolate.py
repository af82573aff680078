"""`diabolo interpolate`: from image to image, through the codes in between."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

from diabolo.callbacks.layout import labelled, rows
from diabolo.data.pixels import unit_interval
from diabolo.errors import UserError, check_choice, check_int, printable
from diabolo.runs.terminal import say
from diabolo.use.arguments import add_out, parser_of, refuse_existing
from diabolo.use.images import chosen_images
from diabolo.use.trained import Trained, open_trained
from diabolo.use.writing import save_film, save_picture

PATHS = ("straight", "sphere")
FILM = 256  # pixels, the least side of a film


def interpolate(arguments: Sequence[str]) -> None:
    """The command `diabolo interpolate`.

    Raises:
        UserError: no run, fewer than two images, one that cannot be read, or a file that cannot be written.
    """
    parser = parser_of(
        "interpolate",
        "Draw the way from one image to the next: in a strip, blended in pixels and in codes, or as a film, in codes"
        " alone. An image is a file, or one of the run's own as test:5.",
    )
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="two or more, each a file or test:5")
    parser.add_argument("--steps", type=int, default=10, help="images from one to the next, both ends included (10)")
    parser.add_argument("--path", help="straight, or sphere: along the sphere that the codes lie near, which is the"
                        " default where codes have a Gaussian prior")  # fmt: skip
    add_out(parser, "FILE", "strip.png, or a film, film.gif")
    given = parser.parse_intermixed_args(arguments)
    check_film_or_strip(given)
    trained = open_trained(given.run, given.trust, given.data_root)
    paths = [given.path] if given.path else list(PATHS) if has_prior(trained) else ["straight"]
    images = chosen_images(trained, given.images)
    codes = trained.through(images).codes
    if given.out.suffix.lower() == ".gif":
        paths = paths[-1:]  # a film shows one way
        blended = blends(codes, given.steps, *paths)  # legs x steps x size
        save_film(given.out, trained.data.shown(trained.decoded(blended.flatten(0, 1))), FILM)
    else:
        save_picture(given.out, strip(trained, unit_interval(images), codes, given.steps, paths))
    say(f"{len(images)} images, {given.steps} steps from one to the next, {' and '.join(paths)} -> {given.out}")


def check_film_or_strip(given: argparse.Namespace) -> None:
    """Refuses what cannot be drawn, before a model is loaded."""
    if len(given.images) < 2:
        raise UserError("name two images or more, between which to go.")
    check_int("--steps", given.steps, 2)
    if given.path is not None:
        check_choice("--path", given.path, PATHS)
    if given.out.suffix.lower() not in (".png", ".gif"):
        raise UserError(f"{printable(given.out)!r} must end in .png, for a strip, or in .gif, for a film.")
    refuse_existing([given.out], given.overwrite)


def has_prior(trained: Trained) -> bool:
    """Whether codes lie near a sphere: those of a Gaussian of many dimensions do."""
    return trained.module.autoencoder.has_prior


def strip(trained: Trained, images: Tensor, codes: Tensor, steps: int, paths: Sequence[str]) -> Tensor:
    """From each image to the next: a row blended in pixels and one a path blended in codes, the images themselves at
    both ends: C x H' x W' in [0, 1].

    Args:
        images: N x C x H x W float32 in [0, 1].
        codes: theirs, N x size.
    """
    lines, names = [], []
    named = {"straight": "in codes", "sphere": "in codes, along the sphere"}
    decoded = {path: trained.decoded(blends(codes, steps, path).flatten(0, 1)).split(steps) for path in paths}
    for leg, (start, end) in enumerate(pairwise(images)):
        share = torch.linspace(0, 1, steps).view(-1, 1, 1, 1)
        blended = {"in pixels": torch.lerp(start, end, share)}
        blended |= {named[path]: decoded[path][leg] for path in paths}
        lines += [torch.cat([start[None], line, end[None]]) for line in blended.values()]
        names += list(blended)
    return labelled(rows(map(trained.data.shown, lines)), names)


def blends(codes: Tensor, steps: int, path: str = "straight") -> Tensor:
    """Codes on the way from each to the next: N x size -> N-1 x `steps` x size, both ends included.

    Args:
        path: "straight", or "sphere": the angle between two codes goes evenly from one to the other, as in White,
            "Sampling generative networks", 2016; straight where they point in one direction, or one is 0.
    """
    share = torch.linspace(0, 1, steps).view(1, -1, 1)
    start, end = codes[:-1, None], codes[1:, None]  # N-1 x 1 x size
    straight = torch.lerp(start, end, share)
    if path == "straight":
        return straight
    cosine = torch.cosine_similarity(start, end, dim=2)[..., None].clamp(-1, 1)
    angle = cosine.acos()
    turned = ((1 - share) * angle).sin() / angle.sin() * start + (share * angle).sin() / angle.sin() * end
    shortest = torch.minimum(start.norm(dim=2, keepdim=True), end.norm(dim=2, keepdim=True))
    return torch.where((angle.sin() > 1e-4) & (shortest > 0), turned, straight)
