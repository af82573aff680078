"""Folders of images, written and read back."""

from collections import Counter

import numpy as np
from PIL import Image

from diabolo.data.folders.folder import folder_images


def fill(root, *folders):
    """Writes PNG files, each of other pixels: of "cat 2" two into cat/, of "cat.0.png" or "cat/0.png" that one; other
    endings get a text."""
    draw = np.random.default_rng(len(list(root.rglob("*"))))
    for entry in folders:
        folder, _, count = entry.rpartition(" ")
        for name in [f"{folder}/{i}.png" for i in range(int(count))] if count.isdigit() else [entry]:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            if name.endswith("png"):
                Image.fromarray(draw.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(root / name)
            else:
                (root / name).write_text("no image")
    return root


def counts(root, split="auto"):
    """Of each part the images of each class, by the labels of the sets themselves; "" without a label."""
    splits = folder_images(str(root), (3, 8, 8), split=split)
    found = {}
    for part, images in (("train", splits.train), ("val", splits.val), ("test", splits.test)):
        if images is not None:
            names = ["" if label < 0 else splits.classes[label] for label in images.labels.tolist()]
            found[part] = dict(Counter(names))
    return found
