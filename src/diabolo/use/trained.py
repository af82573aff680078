"""A trained run, opened to be used: its model, and how its images were read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from diabolo.callbacks.pictures import decode, reconstructing
from diabolo.data.files import Reading
from diabolo.data.pixels import unit_interval
from diabolo.errors import ReconstructsNothing, UserError, check_int, printable
from diabolo.network.upsampling import Switches
from diabolo.runs.build import build_data
from diabolo.runs.folder import RunFolder
from diabolo.runs.loading import load
from diabolo.runs.resume import revised

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from diabolo.data.datamodule import ImageData
    from diabolo.training.autoencoder_module import AutoencoderModule


class Passed(NamedTuple):
    """What images become on their way through the model, all on the CPU."""

    images: Tensor  # N x C x H x W float32 in [0, 1]
    seen: Tensor  # the same, or corrupted: what the network was given
    codes: Tensor  # N x size float32
    reconstructions: Tensor  # N x C x H x W float32 in the scale of [0, 1], not clipped
    errors: Tensor  # N: mean squared error of each reconstruction against its image, per pixel in [0, 1]


@dataclass
class Trained:
    """A run whose model can be asked.

    Args:
        run: its folder.
        config: its config, with the reader's `data.root`.
        module: its model, in evaluation mode, on the device that it is asked on.
    """

    run: RunFolder
    config: DictConfig
    module: AutoencoderModule

    @cached_property
    def data(self) -> ImageData:
        """The datamodule, not set up: shape, depth and shown channels are known, no image is read."""
        with self.run.describes_a_run():
            return build_data(self.config)

    def images(self) -> ImageData:
        """The datamodule with the run's own images.

        Raises:
            UserError: they are no longer there.
        """
        with self.run.describes_a_run():
            self.data.setup()
        return self.data

    @cached_property
    def reading(self) -> Reading:
        """How image files are brought to what the network takes: as the run's own were. Sources that read no files
        (`mnist`, `digits`, ...) stretch their images, and so are files for such a run."""
        source, data = self.config.data.source, self.data
        fit = source.get("fit") or "stretch"
        return Reading(data.image_shape, fit, depth=data.depth, value_range=data.value_range)

    @torch.no_grad()
    def through(self, images: Tensor, corrupt: bool = False, labels: Tensor | None = None) -> Passed:
        """Images, N x C x H x W, as stored, through the model.

        Args:
            corrupt: whether the run's corruption, if it has one, is done to them first, to each always the same.
            labels: of each, N, where the network is conditional.
        """
        labels = None if labels is None else labels.to(self.module.device)
        images = unit_interval(images.to(self.module.device))
        seen = self.module.corrupted(images) if corrupt else images
        network, pixels = self.module.autoencoder, self.module.pixels
        switches: Switches | None = [] if network.unpools else None
        codes = network.encode(pixels.to_network(seen), switches, labels)
        reconstructions = pixels.to_unit(network.decode(codes, switches, labels))
        errors = (reconstructions - images).square().flatten(1).mean(1)
        return Passed(images.cpu(), seen.cpu(), codes.float().cpu(), reconstructions.cpu(), errors.cpu())

    @torch.no_grad()
    def decoded(self, codes: Tensor, labels: Tensor | None = None) -> Tensor:
        """Images of codes, N x size to N x C x H x W float32 in the scale of [0, 1], on the CPU; of a bottleneck that
        cannot give every code those of the nearest ones. A conditional network takes the label of each, N."""
        return decode(self.module, codes.to(self.module.device), labels).cpu()

    def labels(self, label: int | None, count: int, split: str | None = None) -> Tensor | None:
        """The labels of `count` images or codes, int64; None where the network asks for none.

        Args:
            label: that of all of them, as the user says.
            split: of the run's own data, whose images they are.

        Raises:
            UserError: the network asks for labels and nothing says them, or the label is none that it knows, or it
                asks for none and is given one.
        """
        condition = self.module.autoencoder.condition
        if condition is None:
            if label is not None:
                raise UserError(f"--label (= {label}) is for conditional runs, and this one is none: leave it out.")
            return None
        if label is not None:
            check_int("--label", label, 0, condition.classes - 1)
            return torch.full((count,), label)
        if split is None:
            raise UserError(
                f"this run is conditional (bottleneck.conditional=true): say by --label which label these have, 0 to"
                f" {condition.classes - 1}."
            )
        return self.images().labels(split)


def open_trained(
    folder: str | Path, trust: bool = False, data_root: str | None = None, gives_labels: bool = False
) -> Trained:
    """The run in `folder`, on a GPU where torch sees one of NVIDIA's or AMD's.

    Args:
        trust: whether to run what the folder's config names, whatever it is; see `diabolo.runs.trusted_classes`.
        data_root: where the run's own images have moved.
        gives_labels: whether the command gives labels to a conditional network.

    Raises:
        UserError: no run folder, one without a checkpoint, a classifier, a conditional network that this command has
            no labels for, or a config that is not trusted.
    """
    run = RunFolder.find(folder)
    moved: Sequence[str] = [f"data.root={data_root}"] if data_root else []
    config = revised(run, moved, trust=trust)
    try:
        module = reconstructing(load(folder, trust=trust))
    except ReconstructsNothing as failure:
        raise UserError(
            f"{printable(run.path)!r} is the run of a classifier, and this command is for autoencoders: see diabolo"
            " probe, or in Python diabolo.load, which encodes and classifies."
        ) from failure
    if module.autoencoder.condition is not None and not gives_labels:
        raise UserError(
            f"{printable(run.path)!r} is a conditional run (bottleneck.conditional=true), and this command gives no"
            " labels to its network: encode, reconstruct, decode and sample do, or Python's diabolo.load."
        )
    return Trained(run, config, module.to("cuda" if torch.cuda.is_available() else "cpu"))
