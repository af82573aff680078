"""What a model is given from Python: tensors or arrays, of the shape that it takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from diabolo.errors import UserError

if TYPE_CHECKING:
    import numpy as np

    from diabolo.data.datamodule import ImageData


def given(what: str, values: Tensor | np.ndarray, shape: Sequence[int], device: torch.device) -> Tensor:
    """N x `shape` as a tensor, an array of NumPy's on `device`.

    Args:
        what: "images" or "codes".

    Raises:
        UserError: they have another shape.
    """
    if not isinstance(values, Tensor):
        values = torch.as_tensor(values, device=device)
    if tuple(values.shape[1:]) != tuple(shape) or values.ndim != len(shape) + 1:
        wanted, got = (" x ".join(map(str, sizes)) for sizes in (shape, values.shape))
        one = f": one of them is {what}[None]" if tuple(values.shape) == tuple(shape) else ""
        raise UserError(f"{what} must be N x {wanted} for this model, not {got or 'a number'}{one}.")
    return values


def check_labels(data: ImageData, classes: int, key: str) -> None:
    """Refuses images whose labels do not lie from 0 to `classes`, exclusive.

    Args:
        key: that of the config which says how many there are.

    Raises:
        UserError: the data have such an image, in whichever split.
    """
    labels = torch.cat([data.labels(split) for split in ("train", "val", "test")])
    if strange := [label for label in labels.unique().tolist() if not 0 <= label < classes]:
        raise UserError(
            f"the data have images {f'of label {strange[-1]}' if strange[-1] >= 0 else 'without a label'}, and"
            f" `{key}` (= {classes}) needs labels from 0 to {classes - 1}: set it, or choose labelled data."
        )
