"""A part of a trained autoencoder as a file for other programs: ONNX, torch.export or safetensors.

Each format is a pair of functions, one that writes the file and one that asks it what the part would be asked.
"""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from omegaconf import OmegaConf
from torch import Tensor, nn

from diabolo.data.extras import extra
from diabolo.errors import UserError

if TYPE_CHECKING:
    from diabolo.training.autoencoder_module import AutoencoderModule
    from diabolo.use.trained import Trained

EXTRA = "export"
TENSORS = {  # of each part: names of its input and of its outputs
    "encoder": ("images", ("codes",)),
    "decoder": ("codes", ("images",)),
    "both": ("images", ("codes", "reconstructions")),
}


class Part(nn.Module):
    """Encoder, decoder or both, without the training around them: one tensor in, a tuple of tensors out.

    Args:
        module: the trained model, in evaluation mode.
        part: one of `TENSORS`.
        scaled: whether images are floats in [0, 1] on both sides; else they are in the network's own scale.
    """

    def __init__(self, module: AutoencoderModule, part: str, scaled: bool) -> None:
        super().__init__()
        self.autoencoder, self.part = module.autoencoder, part
        self.pixels = module.pixels if scaled else None

    def forward(self, values: Tensor) -> tuple[Tensor, ...]:
        if self.part == "decoder":
            return (self._out(self.autoencoder.decode(values)),)
        images = values if self.pixels is None else self.pixels.to_network(values)
        codes = self.autoencoder.encode(images)
        return (codes,) if self.part == "encoder" else (codes, self._out(self.autoencoder.reconstruct(images)))

    def _out(self, images: Tensor) -> Tensor:
        return images if self.pixels is None else self.pixels.to_unit(images)


def plain_copy(part: Part) -> Part:
    """A copy in evaluation mode whose weights lie in their plain order, as other programs expect them."""
    return deepcopy(part).to(memory_format=torch.contiguous_format).eval()


def about(trained: Trained, part: str, scaled: bool) -> dict[str, str]:
    """What the file says of itself: what goes in and comes out, where the pixel scale stands, and its numbers."""
    shape, pixels = list(trained.module.autoencoder.image_shape), trained.module.pixels
    scale = "inside: images are floats in [0, 1]" if scaled else "outside: images are (x - mean) / std of x in [0, 1]"
    inputs, outputs = TENSORS[part]
    return {
        "made_by": f"diabolo {version('diabolo')}",
        "part": part,
        "input": inputs,
        "outputs": ", ".join(outputs),
        "image_shape": json.dumps(shape),
        "code_size": str(trained.module.autoencoder.code_size),
        "pixel_scale": scale,
        "pixel_mean": json.dumps(pixels.mean.flatten().tolist()),
        "pixel_std": json.dumps(pixels.std.flatten().tolist()),
    }


Answer = Callable[[Tensor], tuple[Tensor, ...]]


class Format(NamedTuple):
    """How a format is written, and how its file is asked."""

    write: Callable[[Part, Tensor, Mapping[str, str], Path, Any], None]  # part, input, what is said, file, config
    open: Callable[[Path, Part, Any], Answer]


def _write_onnx(part: Part, values: Tensor, said: Mapping[str, str], file: Path, _: Any) -> None:
    for library in ("onnx", "onnxscript", "onnxruntime"):
        extra(library, EXTRA)
    graph, (inputs, outputs) = _exported(part, values), TENSORS[part.part]
    with _told(part, "onnx"):
        program: Any = torch.onnx.export(
            graph, input_names=[inputs], output_names=list(outputs), dynamo=True, verbose=False
        )
    program.model.metadata_props.update(said)
    model = program.model_proto
    for tensor in (*model.graph.input, *model.graph.output):
        tensor.type.tensor_type.shape.dim[0].dim_param = "batch"  # where the library numbers its names
    file.write_bytes(model.SerializeToString())


def _open_onnx(file: Path, part: Part, _: Any) -> Answer:
    session = extra("onnxruntime", EXTRA).InferenceSession(file.read_bytes(), providers=["CPUExecutionProvider"])
    name, _ = TENSORS[part.part]
    return lambda values: tuple(map(torch.from_numpy, session.run(None, {name: values.numpy()})))


def _write_torch(part: Part, values: Tensor, said: Mapping[str, str], file: Path, _: Any) -> None:
    torch.export.save(_exported(part, values), content := io.BytesIO(), extra_files={"about.json": json.dumps(said)})
    file.write_bytes(content.getvalue())


def _open_torch(file: Path, part: Part, _: Any) -> Answer:
    return torch.export.load(io.BytesIO(file.read_bytes())).module()


def _exported(part: Part, values: Tensor) -> torch.export.ExportedProgram:
    """The part as torch's own graph, for any number of images or codes."""
    with _told(part, "torch"):
        return torch.export.export(part, (values,), dynamic_shapes=({0: torch.export.Dim("batch")},))


@contextmanager
def _told(part: Part, format: str) -> Iterator[None]:
    """What cannot be written is refused in one sentence: parts of one's own may do what no graph can say, such as
    choosing their way by the numbers that they meet."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the libraries among each other
            yield
    except Exception as failure:
        network = part.autoencoder
        names = ", ".join(type(one).__name__ for one in (network.encoder, network.bottleneck, network.decoder))
        said = (str(failure).strip().splitlines() or [type(failure).__name__])[0][:200]
        raise UserError(
            f"this network ({names}) cannot be written as {format}: {said}; --format safetensors holds its weights."
        ) from failure


def _write_safetensors(part: Part, values: Tensor, said: Mapping[str, str], file: Path, config: Any) -> None:
    weights = {name: value.contiguous() for name, value in _weights(part).items()}
    plain = OmegaConf.to_container(OmegaConf.masked_copy(config, ["encoder", "bottleneck", "decoder"]), resolve=True)
    said = {**said, "parts": json.dumps(plain), "output": part.autoencoder.output_name}
    file.write_bytes(extra("safetensors.torch", EXTRA).save(weights, dict(said)))


def _open_safetensors(file: Path, part: Part, config: Any) -> Answer:
    """A network with fresh weights, but for those of the file."""
    from diabolo.runs.build import build_module

    module: Any = build_module(config).eval()
    left = module.autoencoder.load_state_dict(extra("safetensors.torch", EXTRA).load(file.read_bytes()), strict=False)
    if set(left.missing_keys) & set(_weights(part)) or left.unexpected_keys:
        raise UserError(f"{str(file)!r} does not hold the weights of the {part.part}.")
    return Part(module, part.part, part.pixels is not None)


def _weights(part: Part) -> dict[str, Tensor]:
    """The weights and running statistics of a part by their names in the autoencoder."""
    tops = {"encoder": ("encoder.", "bottleneck."), "decoder": ("decoder.",), "both": ("",)}[part.part]
    return {name: value for name, value in part.autoencoder.state_dict().items() if name.startswith(tops)}


FORMATS = {
    "onnx": Format(_write_onnx, _open_onnx),
    "torch": Format(_write_torch, _open_torch),
    "safetensors": Format(_write_safetensors, _open_safetensors),
}
