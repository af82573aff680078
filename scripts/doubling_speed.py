"""How much faster an upsampling by two and the convolution after it are in one than in turn, see
`diabolo.network.fused_upsampling`.

    uv run python scripts/doubling_speed.py [--threads 2]

Forward and backward on a CPU, the two ways taking turns; the ratio of the medians. Let nothing else run meanwhile.
"""

import argparse
import statistics
import time

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from diabolo.network.fused_upsampling import can_double, doubled
from diabolo.training.machine import keep_freed_memory

SHAPES = [  # images, maps, outputs, side before, kernel
    (20, 16, 1, 14, 3),
    (256, 6, 1, 14, 5),
    (256, 16, 6, 5, 5),
    (256, 16, 16, 5, 3),
    (128, 32, 16, 7, 3),
    (64, 64, 32, 8, 3),
    (64, 32, 3, 16, 3),
    (64, 32, 16, 16, 5),
]


def in_turn(maps: Tensor, layer: nn.Conv2d) -> Tensor:
    return layer(F.interpolate(maps, scale_factor=2, mode="nearest"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=15)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    keep_freed_memory()
    for images, channels, outputs, side, kernel in SHAPES:
        layer = nn.Conv2d(channels, outputs, kernel, padding=kernel // 2).to(memory_format=torch.channels_last)
        maps = torch.rand(images, channels, side, side).to(memory_format=torch.channels_last).requires_grad_()
        assert can_double(layer, maps)
        seconds: list[list[float]] = [[], []]
        for _ in range(given.rounds):
            for spent, way in zip(seconds, (in_turn, doubled), strict=True):
                began = time.perf_counter()
                for _ in range(5):
                    made = way(maps, layer)
                    torch.autograd.grad(made.sum(), (maps, *layer.parameters()))
                spent.append((time.perf_counter() - began) / 5)
        turn, once = (statistics.median(spent) * 1e3 for spent in seconds)
        shape = f"{images} x {channels} x {side} x {side} to {outputs} maps, kernel {kernel}"
        print(f"{shape:44} in turn {turn:6.2f} ms, in one {once:6.2f} ms, {turn / once:.2f} times as fast")


if __name__ == "__main__":
    main()
