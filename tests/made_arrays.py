"""Arrays of images and labels, and files that hold them."""

import numpy as np
import torch

DRAW = np.random.default_rng(0)
X = DRAW.integers(0, 256, (20, 16, 12, 3), dtype=np.uint8)  # N x H x W x C
Y = np.arange(20) % 3
SHAPE = (3, 16, 12)
FIRST = torch.from_numpy(X).permute(0, 3, 1, 2)  # N x C x H x W


def npz(folder, **arrays):
    np.savez(folder / "data.npz", **arrays)
    return folder / "data.npz"


def npy(folder, **arrays):
    for name, array in arrays.items():
        (folder / name.replace("__", "/")).parent.mkdir(exist_ok=True)
        np.save(folder / f"{name.replace('__', '/')}.npy", array)
    return folder


def pt(folder, content):
    torch.save(content, folder / "data.pt")
    return folder / "data.pt"


T, L = torch.from_numpy(X), torch.from_numpy(Y)
