"""`diabolo export RUN`: the trained network as a file that other programs read."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from diabolo.errors import UserError, printable
from diabolo.use.arguments import add_out, parser_of, refuse_existing

if TYPE_CHECKING:
    from torch import Tensor

    from diabolo.use.exported import Part
    from diabolo.use.trained import Trained

MOST = 1e-4  # difference from the run's own output, relative to its largest number where that is above 1
CHECKED = 64  # test images
ENDINGS = {".onnx": "onnx", ".safetensors": "safetensors", ".pt2": "torch"}


class Checked(NamedTuple):
    """How far a file's answers are from the run's own."""

    difference: float  # the largest, relative to the largest number of the answer where that is above 1
    images: int  # of the test split


def export(arguments: Sequence[str]) -> None:
    """The command `diabolo export`.

    Raises:
        UserError: no such run, an extra that is missing, what the format cannot hold, or a file whose answers differ.
    """
    given = _parsed(arguments)
    refuse_existing([given.out], given.overwrite)
    from diabolo.runs.terminal import console, visible
    from diabolo.use.trained import open_trained

    with console.status("writing the file, and asking it what the run is asked"):
        trained = open_trained(given.run, given.trust, given.data_root)
        checked = write_exported(trained, given.out, given.format, given.part, given.scale)
    console.print(
        f"{visible(printable(given.out))}: {given.out.stat().st_size:,} bytes\n"
        f"largest difference from the run's own output, on {checked.images} test images: {checked.difference:.1e}",
        soft_wrap=True,
        markup=False,
    )


def write_exported(trained: Trained, file: Path, format: str, part: str = "both", scale: str | None = None) -> Checked:
    """Writes encoder, decoder or both, checks the file against the run's own output, and only then puts it in place.

    Args:
        format: "onnx", "torch" (a program of torch.export) or "safetensors" (the weights alone).
        part: "encoder" (images to codes), "decoder" (codes to images) or "both" (images to codes and reconstructions).
        scale: "inside" where images are floats in [0, 1], "outside" where they are in the network's own scale; None
            for inside, but for bare weights, which hold none.

    Raises:
        UserError: an extra is missing, the format cannot hold the part, its answers differ by more than `MOST`, or the
            file cannot be written.
    """
    import torch

    from diabolo.training.whole_files import whole
    from diabolo.use.exported import FORMATS, Part, about, plain_copy

    scaled = _is_scaled(format, scale)
    trained.module.cpu()
    _check_holds(trained, format, part)
    exported = plain_copy(Part(trained.module, part, scaled))
    values, wanted = _asked(trained, exported)
    how = FORMATS[format]
    with torch.no_grad():
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            with whole(file) as draft:
                how.write(exported, values, about(trained, part, scaled), draft, trained.config)
                answer = how.open(draft, exported, trained.config)
                differences = [_difference(answer(values), wanted)]
                differences.append(_difference(answer(values[:1]), [one[:1] for one in wanted]))  # a batch of its own
                if not max(differences) <= MOST:  # nor NaN
                    raise UserError(
                        f"what the {format} file answers differs from the run's own output by {max(differences):.1e},"
                        f" more than {MOST:g}: it was not written; take another --format, and please report this."
                    )
        except OSError as failure:
            raise UserError(
                f"{printable(file)!r} cannot be written ({failure.strerror or failure}); name another --out."
            ) from failure
    return Checked(max(differences), len(values))


def _parsed(arguments: Sequence[str]) -> argparse.Namespace:
    parser = parser_of("export", "Write the trained network as a file for other programs, checked against the run.")
    parser.add_argument("--format", choices=("onnx", "safetensors", "torch"),
                        help="onnx; safetensors: the weights alone; torch: a program of torch.export (by default what"
                        " the file's ending says: .onnx, .safetensors, .pt2)")  # fmt: skip
    parser.add_argument("--part", default="both", choices=("encoder", "decoder", "both"),
                        help="images to codes; codes to images; images to codes and their images (both)")  # fmt: skip
    parser.add_argument("--scale", choices=("inside", "outside"),
                        help="inside (the default): images are floats in [0, 1]; outside: in the network's own"
                        " scale, whose mean and std stand in the file. Weights alone have it outside")  # fmt: skip
    add_out(parser, "FILE", "the file to write")
    given = parser.parse_args(arguments)
    ending = ENDINGS.get(given.out.suffix.lower())
    if given.format is None and ending is None:
        raise UserError(f"--out ({printable(given.out)!r}) must end in {', '.join(ENDINGS)}, or say a --format.")
    if given.format is not None and ending not in (None, given.format):
        raise UserError(f"--out ({printable(given.out)!r}) ends as a file of {ending}, not of --format {given.format}.")
    given.format = given.format or ending
    return given


def _is_scaled(format: str, scale: str | None) -> bool:
    if format == "safetensors" and scale == "inside":
        raise UserError(
            "--scale inside is not for --format safetensors, which holds weights and no steps: leave it out; the mean"
            " and std of the pixels stand in the file's metadata."
        )
    return format != "safetensors" and scale != "outside"


def _check_holds(trained: Trained, format: str, part: str) -> None:
    from diabolo.network.protocols import TiesWeights

    if format == "safetensors" and part == "decoder" and isinstance(trained.module.autoencoder.decoder, TiesWeights):
        raise UserError("this decoder uses the encoder's weights, so that they are no part of it: take --part both.")


def _asked(trained: Trained, part: Part) -> tuple[Tensor, tuple[Tensor, ...]]:
    """What the file is asked, from test images, and what the run itself answers, on its own way."""
    import torch

    from diabolo.data.pixels import unit_interval

    data, module = trained.images(), trained.module
    images = unit_interval(data.images("test", range(min(CHECKED, data.count("test")))))
    images = images if len(images) > 1 else images.repeat(2, 1, 1, 1)  # torch takes a batch of one for a constant
    with torch.no_grad():
        codes, restored, decoded = (
            module.encode(images),
            module.reconstruct(images),
            module.decode(module.encode(images)),
        )
        if part.pixels is None:
            images, restored, decoded = map(module.pixels.to_network, (images, restored, decoded))
    return {
        "encoder": (images, (codes,)),
        "decoder": (codes, (decoded,)),
        "both": (images, (codes, restored)),
    }[part.part]


def _difference(answer: Sequence[Tensor], wanted: Sequence[Tensor]) -> float:
    return max(
        float((one - other).abs().max() / other.abs().max().clamp(min=1)) if one.shape == other.shape else float("inf")
        for one, other in zip(answer, wanted, strict=True)
    )
