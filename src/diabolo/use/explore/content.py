"""What the page holds: the models of runs and PCA beside them, test images, and the codes of images."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from diabolo.callbacks.pictures import traversals
from diabolo.data.pixels import unit_interval
from diabolo.data.subsets import evenly_spaced
from diabolo.errors import UserError, printable
from diabolo.measures.pca import pca_of
from diabolo.runs.safe_reading import Unreadable
from diabolo.runs.terminal import visible
from diabolo.use.explore.layers import Layer, Numbers, Unknown, as_base64, decoder_of, described, encoder_of
from diabolo.use.explore.layers import nearest_codes as nearest_of

if TYPE_CHECKING:
    from diabolo.data.datamodule import ImageData
    from diabolo.use.trained import Trained

INNER = (0.01, 0.99)  # quantiles of a unit's values, the ends of its slider
STEPS = 11  # images from one to the other, by which a unit's effect is measured
TRAINING_CODES = 2000  # that stand for the density of all
IMAGE_BYTES = 12 << 20  # of test images in the page, before they are compressed
ENCODER_BYTES = 24 << 20  # a larger encoder is left out
REACH = 0.99  # share of training codes within whose distance to their nearest a code counts as inside
CHECKED = 4  # test images for which torch's own output stands in the page


def content(runs: Sequence[Trained], most_images: int, half: bool = False, in_tab: bool = False) -> dict[str, Any]:
    """All that the page holds, as plain values. Images are those of the first run's data.

    Args:
        most_images: test images, spread evenly over the split; large ones are fewer.
        half: whether weights stand in the page as float16.
        in_tab: whether TensorBoard stands around the page, which can ask it for networks that are not in the page.

    Raises:
        UserError: runs on images of different shapes, data that are gone, or a decoder that the page cannot compute.
    """
    shapes = [run.module.autoencoder.image_shape for run in runs]
    for run, shape in zip(runs, shapes, strict=True):
        if shape != shapes[0]:
            raise UserError(
                f"{printable(run.run.path)!r} is about images of {_times(shape)}, {printable(runs[0].run.path)!r} about"
                f" {_times(shapes[0])}: one page shows runs on images of one shape."
            )
    data = runs[0].images()
    fitting = max(CHECKED, IMAGE_BYTES // (prod(shapes[0]) * _width(data)))
    shown = evenly_spaced(data.count("test"), min(most_images, fitting))
    images, labels = data.images("test", shown), data.labels("test")[shown]
    seen = evenly_spaced(data.count("train"), TRAINING_CODES)
    weights, numbers = Numbers(), Numbers()
    page = _Page(data, images, seen, labels, weights, numbers)
    models = [page.run(run, place if in_tab else None) for place, run in enumerate(runs)]
    if data.count("train") > 1:
        models += [page.pca(size) for size in dict.fromkeys(run.module.autoencoder.code_size for run in runs)]
    return {
        "image": {
            "shape": list(shapes[0]),
            "shown": list(data.shown_channels),
            "bytes": _width(data),
            "fit": runs[0].reading.fit,
        },
        "images": _packed(images),
        "labels": labels.tolist(),
        "classes": {str(label): visible(_named(data, label)) for label in page.classes},
        "models": models,
        "half": half,
        "weights": as_base64(weights.array(), half),
        "numbers": as_base64(numbers.array()),
    }


class _Page:
    """What all models of a page have in common."""

    def __init__(
        self, data: ImageData, images: Tensor, seen: Tensor, labels: Tensor, weights: Numbers, numbers: Numbers
    ) -> None:
        self.data, self.images, self.seen, self.weights, self.numbers = data, images, seen, weights, numbers
        self.train_labels = data.labels("train")[seen]
        self.classes = sorted(set(labels.tolist()) - {-1})

    def run(self, trained: Trained, place: int | None) -> dict[str, Any]:
        """A run's model; at `place` among the runs where one can ask for a network that is not in the page."""
        module, network = trained.module.cpu(), trained.module.autoencoder
        decoder: Sequence[Layer] | None
        unknown = ""
        try:
            decoder, nearest = decoder_of(module, self.weights), nearest_of(network.bottleneck, self.weights)
        except Unknown as failure:
            if place is None:
                raise UserError(f"{printable(trained.run.path)!r} cannot be explored: {failure}") from None
            decoder, nearest, unknown = None, None, f"TensorBoard decodes for it, as {str(failure).rstrip('.')}"
        encoder, missing = self._encoder(trained)
        if place is not None:
            missing = "TensorBoard encodes for it" if encoder is None else ""
        with torch.no_grad():
            codes = self._encoded("test", None, module.encode)
            train = self._encoded("train", self.seen, module.encode)
            low, high = codes.quantile(torch.tensor(INNER), 0)
            _, response = traversals(module, codes[:1], low, high, STEPS)
            decoded = module.decode(codes[:CHECKED])
        said = [_error(trained), unknown, missing]
        if network.unpools:
            said.append("its decoder unpools; here it decodes the code alone, without the places of an image's maxima")
        if module.corruption is not None:
            said.append("it was trained to restore corrupted images; here it is given images as they are")
        return {
            "name": visible(trained.run.path.name),
            "about": f"{_words(network.encoder)} - {_words(network.decoder)}, {network.code_size} numbers,"
            f" {_words(trained.module.loss)}",
            "said": [one for one in said if one],
            "encoder": encoder,
            "decoder": decoder,
            "nearest": nearest,
            "asked": place if encoder is None or decoder is None else None,
            **self._codes(codes, train, low, high, response, decoded),
        }

    def pca(self, size: int) -> dict[str, Any]:
        """PCA of the same size, as two linear layers."""
        linear = pca_of(self.data, size)
        components, mean = (torch.from_numpy(part).float() for part in (linear.components, linear.mean))
        into, out = nn.Linear(len(mean), len(components)), nn.Linear(len(components), len(mean))
        into.weight, out.bias = nn.Parameter(components), nn.Parameter(mean)
        into.bias = nn.Parameter(-components @ mean)
        encoder = nn.Sequential(nn.Flatten(), into)
        back: Layer = {
            "kind": "linear",
            "outputs": len(mean),
            "transposed": True,
            "weight": self.weights.add(into.weight),
            "bias": self.weights.add(out.bias),
        }
        with torch.no_grad():
            codes = self._encoded("test", None, lambda images: encoder(unit_interval(images)))
            train = self._encoded("train", self.seen, lambda images: encoder(unit_interval(images)))
            low, high = codes.quantile(torch.tensor(INNER), 0)
            spread = torch.linspace(0, 1, STEPS).std(unbiased=False)
            response = (high - low) * spread / len(mean) ** 0.5  # of a unit vector, RMS per pixel
            decoded = codes[:CHECKED] @ components + mean
        return {
            "name": f"PCA, {len(components)} numbers",
            "about": "the best linear code of this size",
            "said": [],
            "encoder": described(encoder, self.weights),
            "decoder": [back, *described(nn.Unflatten(1, linear.shape), self.weights)],
            "nearest": None,
            "asked": None,
            **self._codes(codes, train, low, high, response, decoded),
        }

    def _encoder(self, trained: Trained) -> tuple[Sequence[Layer] | None, str]:
        """The encoder, or why it is not in the page."""
        network = trained.module.autoencoder
        size = 4 * sum(parameter.numel() for parameter in network.encoder.parameters())
        if size > ENCODER_BYTES:
            return None, f"its encoder of {size >> 20} MiB is too large for the page: no image can be dropped on it"
        try:
            return encoder_of(trained.module, self.weights), ""
        except Unknown as failure:
            return None, f"{failure} So no image can be dropped on it."

    def _encoded(self, split: str, indices: Tensor | None, encode: Any) -> Tensor:
        """Codes of the test images of the page, or of images of a split, N x size."""
        images = self.images if indices is None else self.data.images(split, indices)
        return torch.cat([encode(part).float() for part in images.split(self.data.eval_batch_size)])

    def _codes(
        self, codes: Tensor, train: Tensor, low: Tensor, high: Tensor, response: Tensor, decoded: Tensor
    ) -> dict[str, Any]:
        """Where the numbers stand that tell of a model's codes."""
        deviation = train.std(0).nan_to_num(0)
        scale = 1 / deviation.clamp(min=1e-3 * float(deviation.max()) or 1)
        means = {str(label): train[self.train_labels == label].mean(0) for label in self.classes
                 if (self.train_labels == label).any()}  # fmt: skip
        add = self.numbers.add
        return {
            "size": codes.shape[1],
            "codes": add(codes),
            "train": add(train),
            "mean": add(train.mean(0)),
            "axes": add(_axes(codes)),
            "low": add(low),
            "high": add(high),
            "response": add(response.float()),
            "order": response.argsort(descending=True, stable=True).tolist(),
            "scale": add(scale),
            "reach": _reach(train * scale),
            "means": {label: add(mean) for label, mean in means.items()},
            "decoded": add(decoded.float()),
        }


def _axes(codes: Tensor) -> Tensor:
    """The first two principal axes of codes, 2 x size; 1 x size where there is one number."""
    return torch.linalg.svd(codes - codes.mean(0), full_matrices=False)[2][:2].contiguous()


def _reach(scaled: Tensor) -> float:
    """The distance to their nearest that all but a few training codes keep, N x size in standard deviations."""
    nearest = []
    for start in range(0, len(scaled), 500):
        distances = torch.cdist(scaled[start : start + 500], scaled)
        distances[torch.arange(len(distances)), torch.arange(start, start + len(distances))] = torch.inf
        nearest.append(distances.min(1).values)
    found = torch.cat(nearest)
    return float(found[found.isfinite()].quantile(REACH)) if found.isfinite().any() else 1.0


def _packed(images: Tensor) -> str:
    """Stored pixels in 1 or 2 bytes each, compressed."""
    pixels = images.numpy() if images.dtype != torch.float32 else np.rint(images.numpy() * 65535).astype(np.uint16)
    return base64.b64encode(zlib.compress(pixels.astype(pixels.dtype.newbyteorder("<")).tobytes(), 9)).decode()


def _width(data: ImageData) -> int:
    return 1 if data.depth == "uint8" else 2


def _named(data: ImageData, label: int) -> str:
    return data.classes[label] if label < len(data.classes) else str(label)


def _error(trained: Trained) -> str:
    try:
        error = trained.run.metrics().get("test/mse")
    except Unreadable:
        return ""
    return f"test MSE {error:.4g}" if isinstance(error, int | float) else ""


def _words(part: nn.Module) -> str:
    return type(part).__name__.removesuffix("Encoder").removesuffix("Decoder")


def _times(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))
