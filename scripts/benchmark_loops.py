"""The contenders of `benchmark.py`: one recipe trained in one way in a process of its own, for its images per second.

    uv run python scripts/benchmark_loops.py WAY RECIPE --data-root FOLDER

A WAY is
- notes: as the course notes do it, torchvision's transforms item by item in a DataLoader (R1: a list of tensors);
- memory: bytes in memory, one permutation an epoch, slices, and the optimiser as PyTorch sets it up;
- floor, floor_last: one fixed batch again and again, fused Adam, tuned allocator; in the second channels-last;
- template: Lightning's Trainer over that same DataLoader, logging as the common Hydra + Lightning template does;
- split: what of a step goes into data, forward, backward and optimiser, all else as in `memory`.
"""

import argparse
import json
import resource
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Subset
from torchvision import datasets, transforms

from diabolo.data.pixels import unit_interval
from diabolo.training.machine import keep_freed_memory

Conv, Up = nn.Conv2d, nn.ConvTranspose2d


def transpose_conv(last: nn.Module) -> list[nn.Module]:
    encoder = [Conv(1, 16, 3, 2, 1), nn.ReLU(), Conv(16, 32, 3, 2, 1), nn.ReLU(), Conv(32, 64, 7)]
    decoder = [Up(64, 32, 7), nn.ReLU(), Up(32, 16, 3, 2, 1, 1), nn.ReLU(), Up(16, 1, 3, 2, 1, 1), last]
    return [*encoder, *decoder]


def upsample_conv() -> list[nn.Module]:
    encoder = [Conv(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), Conv(16, 4, 3, padding=1), nn.ReLU()]
    double = nn.Upsample(scale_factor=2)
    decoder = [double, Conv(4, 16, 3, padding=1), nn.ReLU(), double, Conv(16, 1, 3, padding=1), nn.Sigmoid()]
    return [*encoder, nn.MaxPool2d(2), *decoder]


def fully_connected(hidden: int) -> list[nn.Module]:
    layers = [nn.Flatten(), nn.Linear(784, hidden), nn.ReLU(), nn.Linear(hidden, 784), nn.Tanh()]
    return [*layers, nn.Unflatten(1, (1, 28, 28))]


def tanhs(*widths: int) -> list[nn.Module]:
    pairs = pairwise(widths)
    return [layer for a, b in pairs for layer in (nn.Linear(a, b), nn.Tanh())]


def lenet() -> list[nn.Module]:
    tanh, double = nn.Tanh(), nn.Upsample(scale_factor=2)
    maps = [Conv(1, 6, 5, padding=2), tanh, nn.AvgPool2d(2), Conv(6, 16, 5), tanh, nn.AvgPool2d(2), nn.Flatten()]
    code = [*tanhs(400, 120, 84), nn.Linear(84, 10), *tanhs(10, 84, 120, 400), nn.Unflatten(1, (16, 5, 5))]
    return [*maps, *code, double, Up(16, 6, 5), tanh, double, Up(6, 1, 5, padding=2)]


def lenet_wide() -> list[nn.Module]:
    tanh, double, pool = nn.Tanh(), nn.Upsample(scale_factor=2), nn.AvgPool2d(2)
    first = [Conv(1, 16, 3, padding=1), tanh, Conv(16, 16, 3, padding=1), tanh, pool]
    second = [Conv(16, 16, 5), tanh, Conv(16, 16, 3, padding=1), tanh, pool, nn.Flatten()]
    code = [*tanhs(400, 160, 120), nn.Linear(120, 80), *tanhs(80, 120, 160, 400), nn.Unflatten(1, (16, 5, 5))]
    third = [double, Up(16, 16, 3, padding=1), tanh, Up(16, 16, 5), tanh]
    return [*first, *second, *code, *third, double, Up(16, 16, 3, padding=1), tanh, Up(16, 1, 3, padding=1)]


class Recipe(NamedTuple):
    layers: Callable[[], list[nn.Module]]
    batch: int
    images: int  # that an epoch of the benchmark takes: a few seconds in the slowest way
    rate: float = 1e-3
    decay: float = 0.0
    normalised: bool = True
    listed: bool = False  # the notes keep the images as a list of tensors
    loss: type[nn.Module] = nn.MSELoss


RECIPES = {
    "R1": Recipe(lambda: transpose_conv(nn.Sigmoid()), 64, 4096, decay=1e-5, normalised=False, listed=True),
    "R2": Recipe(upsample_conv, 20, 20000, normalised=False),
    "R3": Recipe(lambda: fully_connected(5), 128, 60000, decay=1e-5),
    "R3-25": Recipe(lambda: fully_connected(25), 128, 60000, decay=1e-5),
    "R3-125": Recipe(lambda: fully_connected(125), 128, 60000, decay=1e-5),
    "R3-784": Recipe(lambda: fully_connected(784), 128, 60000, decay=1e-5),
    "R3b": Recipe(lambda: transpose_conv(nn.ReLU()), 128, 20000, decay=1e-5),
    "R4b": Recipe(lenet, 256, 20000, rate=3e-3),
    "R4c": Recipe(lenet_wide, 256, 8192, rate=3e-3),
}


class Bench:
    """One recipe on one device, with fresh weights drawn by seed 0."""

    def __init__(self, recipe: Recipe, given: argparse.Namespace) -> None:
        self.recipe, self.given = recipe, given
        self.device = torch.device(given.device)
        torch.manual_seed(0)
        self.net = nn.Sequential(*recipe.layers()).to(self.device)
        self.loss = recipe.loss()
        self.images = given.images or recipe.images

    def optimizer(self, fused: bool | None = None) -> torch.optim.Optimizer:
        settings = {"lr": self.recipe.rate, "weight_decay": self.recipe.decay}
        return torch.optim.Adam(self.net.parameters(), **settings, fused=fused)

    def loader(self) -> DataLoader:
        steps = [transforms.ToTensor()]
        if self.recipe.normalised:
            steps.append(transforms.Normalize(0.1307, 0.3081))
        mnist = datasets.MNIST(self.given.data_root, transform=transforms.Compose(steps))
        chosen: Dataset = Subset(mnist, range(self.images))
        if self.recipe.listed:
            chosen = [chosen[i] for i in range(self.images)]  # type: ignore[assignment]
        return DataLoader(chosen, batch_size=self.recipe.batch, shuffle=True)

    def pixels(self) -> Tensor:
        """The images as bytes on the device: N x 1 x 28 x 28."""
        return datasets.MNIST(self.given.data_root).data[: self.images, None].to(self.device)

    def scaled(self, pixels: Tensor) -> Tensor:
        x = unit_interval(pixels)
        return x.sub_(0.1307).div_(0.3081) if self.recipe.normalised else x

    def step(self, optimizer: torch.optim.Optimizer, x: Tensor) -> Tensor:
        loss = self.loss(self.net(x), x)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    def wait(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()

    def timed(self, epoch: Callable[[], float]) -> dict[str, float]:
        """Images per second of all epochs but the first, and the mean loss of the last."""
        seconds = []
        for _ in range(self.given.epochs):
            began = self.wait()
            loss = epoch()
            seconds.append(self.wait() - began)
        return {"images_per_second": self.images * len(seconds[1:]) / sum(seconds[1:]), "loss": loss}


def notes(bench: Bench) -> dict[str, float]:
    loader, optimizer = bench.loader(), bench.optimizer()

    def epoch() -> float:
        total = 0.0
        for x, _ in loader:
            x = x.to(bench.device)
            total += bench.step(optimizer, x).item() * len(x)
        return total / bench.images

    return bench.timed(epoch)


def minibatches(bench: Bench, pixels: Tensor) -> Iterator[Tensor]:
    for part in torch.randperm(len(pixels), device=pixels.device).split(bench.recipe.batch):
        yield bench.scaled(pixels[part])


def memory(bench: Bench) -> dict[str, float]:
    pixels, optimizer = bench.pixels(), bench.optimizer()

    def epoch() -> float:
        losses = [bench.step(optimizer, x) * len(x) for x in minibatches(bench, pixels)]
        return float(torch.stack(losses).sum()) / bench.images

    return bench.timed(epoch)


def floor(bench: Bench, memory_format: torch.memory_format = torch.contiguous_format) -> dict[str, float]:
    keep_freed_memory()
    bench.net.to(memory_format=memory_format)  # type: ignore[call-overload]
    optimizer = bench.optimizer(fused=True)
    x = bench.scaled(bench.pixels()[: bench.recipe.batch])

    def epoch() -> float:
        for _ in range(-(-bench.images // bench.recipe.batch)):
            loss = bench.step(optimizer, x)
        return float(loss)

    return bench.timed(epoch)


def template(bench: Bench) -> dict[str, float]:
    import lightning as L

    class Module(L.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.net, self.seconds = bench.net, []

        def training_step(self, batch: tuple[Tensor, Tensor], _: int) -> Tensor:
            loss = bench.loss(self.net(batch[0]), batch[0])
            self.log("train/loss", loss, on_step=False, on_epoch=True, prog_bar=True)
            return loss

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return bench.optimizer()

        def on_train_epoch_start(self) -> None:
            self.began = bench.wait()

        def on_train_epoch_end(self) -> None:
            self.seconds.append(bench.wait() - self.began)

    with tempfile.TemporaryDirectory() as folder:
        module = Module()
        accelerator = "gpu" if bench.device.type == "cuda" else "cpu"
        trainer = L.Trainer(max_epochs=bench.given.epochs, default_root_dir=folder, accelerator=accelerator, devices=1)
        trainer.fit(module, bench.loader())
        loss = float(trainer.callback_metrics["train/loss"])
    return {"images_per_second": bench.images * len(module.seconds[1:]) / sum(module.seconds[1:]), "loss": loss}


def split(bench: Bench) -> dict[str, float]:
    """Microseconds a step of each part, in the second of two epochs."""
    pixels, optimizer = bench.pixels(), bench.optimizer()
    for _ in range(2):
        spent = dict.fromkeys(("data", "forward", "backward", "optimizer"), 0.0)
        batches = minibatches(bench, pixels)
        for _ in range(-(-bench.images // bench.recipe.batch)):
            marks = [bench.wait()]
            x = next(batches)
            marks.append(bench.wait())
            loss = bench.loss(bench.net(x), x)
            marks.append(bench.wait())
            optimizer.zero_grad()
            loss.backward()
            marks.append(bench.wait())
            optimizer.step()
            marks.append(bench.wait())
            for name, (began, ended) in zip(spent, pairwise(marks), strict=True):
                spent[name] += ended - began
    steps = -(-bench.images // bench.recipe.batch)
    return {name: seconds / steps * 1e6 for name, seconds in spent.items()}


WAYS: dict[str, Callable[[Bench], dict[str, float]]] = {
    "notes": notes,
    "memory": memory,
    "floor": floor,
    "floor_last": lambda bench: floor(bench, torch.channels_last),
    "template": template,
    "split": split,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("way", choices=WAYS)
    parser.add_argument("recipe", choices=RECIPES)
    parser.add_argument("--data-root", required=True)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--images", type=int, help="instead of the recipe's number")
    given = parser.parse_args()
    warnings.filterwarnings("ignore")
    figures = WAYS[given.way](Bench(RECIPES[given.recipe], given))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(figures | {"peak_mib": round(peak)}))


if __name__ == "__main__":
    main()
