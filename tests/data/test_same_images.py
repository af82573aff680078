"""The same photographs in torchvision's layout of CIFAR-10 and in folders give the same table."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from support import photograph_parts, write_cifar10

TEST, COUNT = 200, 1000
RUN = ("data.image_shape=[3,32,32]", "model.channels=[8,16]", "model.norm=batch", "bottleneck.size=16")
RUN += ("trainer.max_epochs=3", "trainer.accelerator=cpu", "logger=none", "callbacks.projector=null")
YARDSTICK = [f"{split}/{name}" for split in ("val", "test", "test/pca") for name in ("mse", "mae", "psnr", "ssim")]
YARDSTICK = [key.replace("pca/", "pca_") for key in YARDSTICK]


def write_folder(folder: Path, images: np.ndarray, labels: list[int], ending: str, **how: int) -> Path:
    for i, (pixels, label) in enumerate(zip(images, labels, strict=True)):
        path = folder / ("train" if i < COUNT - TEST else "test") / str(label) / f"{i:05}.{ending}"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path, **how)
    return folder


@pytest.mark.slow
def test_torchvisions_copy_and_folders_of_the_same_images_give_the_same_table(trained, any_cifar10, tmp_path):
    images = photograph_parts(COUNT)[np.random.default_rng(1).permutation(COUNT)]
    labels = sorted(range(COUNT - TEST), key=lambda i: i % 10)  # in the order in which a folder of classes is read
    labels = [i % 10 for i in labels] + sorted(i % 10 for i in range(TEST))
    roots = {
        "cifar10": write_cifar10(tmp_path / "cifar10", images, TEST, labels),
        "png": write_folder(tmp_path / "png", images, labels, "png"),
        "jpg": write_folder(tmp_path / "jpg", images, labels, "jpg", quality=95, subsampling=0),
    }
    metrics = {
        kind: trained(*RUN, f"data={'cifar10' if kind == 'cifar10' else 'folder'}", f"data.root={root}").metrics()
        for kind, root in roots.items()
    }
    table = {kind: [found[key] for key in YARDSTICK] for kind, found in metrics.items()}
    assert table["png"] == table["cifar10"], "the same to the last bit"
    assert table["jpg"] != table["cifar10"]
    assert table["jpg"] == pytest.approx(table["cifar10"], rel=0.03)
    assert metrics["png"]["test/knn_accuracy"] == metrics["cifar10"]["test/knn_accuracy"]
