"""What each metric costs: CPU seconds for 10,000 images on one thread, the least of several rounds.

    uv run python scripts/metric_cost.py [CHANNELS HEIGHT WIDTH]

By default the images have 1x28x28 pixels. They are measured in batches of 512, as in a run.
"""

import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor

from diabolo.measures.perceptual import GMSD, MDSI, HaarPSI
from diabolo.measures.yardstick import Yardstick, ssim_per_image

IMAGES, BATCH, ROUNDS = 10_000, 512, 5


def whole_yardstick(reconstructions: Tensor, targets: Tensor) -> None:
    Yardstick().update(reconstructions, targets)


def seconds(metric: Callable[[Tensor, Tensor], object], shape: list[int]) -> float:
    """The CPU seconds of a metric for all images of the shape C x H x W."""
    targets = torch.rand(BATCH, *shape, generator=torch.Generator().manual_seed(0))
    reconstructions = 0.9 * targets
    rounds = []
    for _ in range(ROUNDS):
        began = time.process_time()
        metric(reconstructions, targets)
        rounds.append(time.process_time() - began)
    return min(rounds) * IMAGES / BATCH


def main() -> None:
    torch.set_num_threads(1)
    shape = [int(number) for number in sys.argv[1:]] or [1, 28, 28]
    metrics: dict[str, Callable[[Tensor, Tensor], object]] = {
        "yardstick (MSE, MAE, PSNR, SSIM)": whole_yardstick,
        "SSIM": ssim_per_image,
        "HaarPSI": HaarPSI(),
        "GMSD": GMSD(),
        "MDSI": MDSI(),
    }
    with torch.no_grad():
        for name, metric in metrics.items():
            print(f"{name:34} {seconds(metric, shape):6.2f} s")


if __name__ == "__main__":
    main()
