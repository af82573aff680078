"""A run's model, which encodes and decodes for TensorBoard's tab: `python -m diabolo.use.explore.server RUN`.

It answers on standard output what it is asked on standard input, until that ends or nothing has been asked for some
minutes. A request is a byte, `ENCODE` or `DECODE`, a length in bytes and so many bytes: an image in [0, 1] or a code,
float32. An answer is a byte, 1 before numbers and 0 before a sentence that says why there are none, a length and so
many bytes. All is little-endian.
"""

from __future__ import annotations

import os
import struct
import sys
import threading
from math import prod
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from diabolo.training.autoencoder_module import AutoencoderModule

ENCODE, DECODE = b"e", b"d"
REQUEST, ANSWER = struct.Struct("<cI"), struct.Struct("<?I")
IDLE = 600.0  # seconds after which it ends
LONGEST = 500  # characters of a sentence


def serve(run: str, requests: BinaryIO, answers: BinaryIO) -> None:
    """Answers until `requests` end; the model is loaded when the first comes."""
    module: AutoencoderModule | None = None
    while len(header := _next(requests)) == REQUEST.size:
        what, length = REQUEST.unpack(header)
        numbers = requests.read(length)
        try:
            module = module or _loaded(run)
            good, said = True, answer(module, what, numbers)
        except Exception as failure:  # a part of one's own may raise anything
            good, said = False, _sentence(failure).encode()
        answers.write(ANSWER.pack(good, len(said)) + said)
        answers.flush()


def answer(module: AutoencoderModule, what: bytes, numbers: bytes) -> bytes:
    """The code of one image, or the image of one code: float32 numbers, in and out.

    Raises:
        UserError: not as many numbers as the model takes.
    """
    import torch

    from diabolo.callbacks.pictures import decode
    from diabolo.errors import UserError

    network = module.autoencoder
    shape = network.image_shape if what == ENCODE else (network.code_size,)
    if len(numbers) != 4 * prod(shape):
        raise UserError(f"its network takes {prod(shape)} numbers, but was given {len(numbers)} bytes.")
    given = torch.frombuffer(bytearray(numbers), dtype=torch.float32).view(1, *shape)
    with torch.no_grad():
        made = module.encode(given) if what == ENCODE else decode(module, given)
    return made.float().contiguous().numpy().tobytes()


def _loaded(run: str) -> AutoencoderModule:
    from diabolo.callbacks.pictures import reconstructing
    from diabolo.runs.loading import load

    return reconstructing(load(run))


def _next(requests: BinaryIO) -> bytes:
    """The beginning of the next request; the process ends where none comes."""
    idle = threading.Timer(IDLE, os._exit, (0,))
    idle.daemon = True
    idle.start()
    try:
        return requests.read(REQUEST.size)
    finally:
        idle.cancel()


def _sentence(failure: Exception) -> str:
    from diabolo.errors import UserError
    from diabolo.runs.terminal import visible

    said = str(failure) if isinstance(failure, UserError) else f"its network fails: {type(failure).__name__}: {failure}"
    return visible(" ".join(said.split()))[:LONGEST]


if __name__ == "__main__":
    sys.path.append(os.getcwd())  # where parts of one's own lie; libraries come first
    answering = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a part of one's own prints is no answer
    serve(sys.argv[1], sys.stdin.buffer, answering)
