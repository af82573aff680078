"""What a model is given from Python: tensors or arrays, of the shape that it takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from diabolo.errors import UserError

if TYPE_CHECKING:
    import numpy as np


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
