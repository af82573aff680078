"""Bottlenecks with a finite number of codes, by the library vector-quantize-pytorch (the extra `quantize`).

The code's `size` numbers are cut into vectors, and each is replaced by an entry of one codebook. Gradients pass
straight through to the encoder.
"""

from collections.abc import Sequence
from math import log2, prod
from types import ModuleType

import torch
from torch import Tensor, nn

from diabolo.errors import ConfigError, UserError, check_int, check_ints, check_not_negative, check_positive

UNUSED, FILLED = 1e-30, 0.02  # vectors a step: of an entry that has never been used, of one that has been filled in
MOST_ENTRIES = 2**24  # the library works their indices out in float32


class Quantised(nn.Module):
    """What both kinds share: N x `size` numbers are N x places vectors of `dim`, each one of `entries`."""

    def __init__(self, size: int, dim: int, entries: int) -> None:
        super().__init__()
        self.size = self.in_features = check_int("size", size)
        if size % dim:
            raise ConfigError("size", size, f"must be a multiple of {dim}, the numbers in an entry of the codebook")
        self.dim, self.entries = dim, entries

    def indices(self, vectors: Tensor) -> Tensor:
        """N x places x dim -> the nearest entries, N x places."""
        raise NotImplementedError

    def vectors(self, indices: Tensor) -> Tensor:
        """N x places -> the entries, N x places x dim."""
        raise NotImplementedError

    def nearest(self, codes: Tensor) -> Tensor:
        vectors = codes.float().unflatten(1, (-1, self.dim))
        return self.vectors(self.indices(vectors)).flatten(1).to(codes.dtype)

    def diagnostics(self, features: Tensor) -> dict[str, Tensor]:
        """`perplexity` of the entries' frequencies (the entries would be as many were all as frequent), `usage`, the
        part of all entries that occur, and `bits`, the length of a code written as indices."""
        vectors = self(features)[0].unflatten(1, (-1, self.dim))
        counts = torch.unique(self.indices(vectors), return_counts=True)[1]
        frequencies = counts / counts.sum()
        return {
            "perplexity": (-(frequencies * frequencies.log()).sum()).exp(),
            "usage": torch.tensor(len(counts) / self.entries),
            "bits": torch.tensor(self.size // self.dim * log2(self.entries)),
        }


class VectorQuantised(Quantised):
    """Each `dim` numbers become the nearest of `entries` learnt vectors (van den Oord et al., "Neural Discrete
    Representation Learning", 2017), which are moving averages of what they stand for (its appendix A.1).

    The penalty is the squared distance of the encoder's numbers to their entries, averaged over all of them, times
    `commitment`. The codebook begins with vectors of the first batches.

    Args:
        size: numbers in the code, a multiple of `dim`.
        entries: length of the codebook.
        dim: numbers in an entry.
        commitment: weight of the penalty.
        decay: of the moving averages, per step.
        replace_below: an entry that stands for fewer vectors a step, as a moving average, is replaced by a vector of
            the batch; with 0 only one that has been of no use from the beginning on, or for thousands of steps.

    Raises:
        UserError: a value out of range, or the library is missing; when the training begins, in several processes.
    """

    def __init__(
        self,
        size: int,
        entries: int = 256,
        dim: int = 4,
        commitment: float = 0.25,
        decay: float = 0.99,
        replace_below: float = 0.02,
    ) -> None:
        super().__init__(size, check_int("dim", dim), check_int("entries", entries, 2))
        if check_positive("decay", decay) >= 1:
            raise ConfigError("decay", decay, "must lie between 0 and 1")
        self.quantiser = _library().VectorQuantize(
            dim,
            entries,
            decay=decay,
            commitment_weight=check_not_negative("commitment", commitment),
            threshold_ema_dead_code=check_not_negative("replace_below", replace_below) or UNUSED,
            rotation_trick=False,
            sync_codebook=False,
        )
        _begin_unused(self.quantiser, replace_below or FILLED)

    def start_epoch(self, epoch: int) -> None:
        if torch.distributed.is_initialized() and torch.distributed.get_world_size() > 1:
            raise UserError("bottleneck=vq learns its codebook in one process: take trainer.devices=1.")

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        if not self.training:
            code = self.nearest(features)
            return code, self.quantiser.commitment_weight * (features - code).float().square().mean()
        with torch.autocast(features.device.type, enabled=False):
            vectors, _, penalty = self.quantiser(features.float().unflatten(1, (-1, self.dim)))
        return vectors.flatten(1).to(features.dtype), penalty

    def indices(self, vectors: Tensor) -> Tensor:
        with torch.autocast(vectors.device.type, enabled=False):
            return torch.cdist(vectors, self.quantiser.codebook[None]).argmin(2)

    def vectors(self, indices: Tensor) -> Tensor:
        return self.quantiser.codebook[indices]


class FiniteScalar(Quantised):
    """Each number is bounded and rounded to one of its `levels` (Mentzer et al., "Finite Scalar Quantization: VQ-VAE
    Made Simple", 2023): the codebook is a grid, with nothing to learn and no penalty.

    Args:
        size: numbers in the code, a multiple of the number of levels.
        levels: values that the 1st, 2nd, ... number of each entry can take, 3 or more.

    Raises:
        UserError: a value out of range, or the library is missing.
    """

    levels: Tensor

    def __init__(self, size: int, levels: Sequence[int] = (8, 5, 5, 5)) -> None:
        levels = [check_int(f"levels[{i}]", level, 3) for i, level in enumerate(check_ints("levels", levels))]
        if prod(levels) > MOST_ENTRIES:
            raise ConfigError("levels", levels, f"make {prod(levels):,} entries, more than {MOST_ENTRIES:,}")
        super().__init__(size, len(levels), prod(levels))
        self.quantiser = _library().FSQ(levels, return_indices=False)
        self.register_buffer("levels", torch.tensor(levels, dtype=torch.int32), persistent=False)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor | None]:
        vectors = self.quantiser.quantize(features.float().unflatten(1, (-1, self.dim)))
        return vectors.flatten(1).to(features.dtype), None

    def indices(self, vectors: Tensor) -> Tensor:
        half = self.levels // 2
        steps = (vectors * half).round()  # the levels are steps of 1 / half, from -1 on
        steps = torch.minimum(steps.maximum(-half), self.levels - 1 - half)
        return self.quantiser.codes_to_indices(steps / half)

    def vectors(self, indices: Tensor) -> Tensor:
        return self.quantiser.indices_to_codes(indices)


def _library() -> ModuleType:
    try:
        import vector_quantize_pytorch
    except ImportError as missing:
        raise UserError("vector-quantize-pytorch is not installed: uv sync --extra quantize.") from missing
    return vector_quantize_pytorch


# ---- what vector-quantize-pytorch keeps to itself ----


def _begin_unused(quantiser: nn.Module, filled: float) -> None:
    """Has the first batches fill the codebook of a `VectorQuantize`: its entries begin as never used, and one that has
    been replaced counts as used by `filled` vectors a step.

    The library has all entries begin as used once, so that random ones would stay for hundreds of steps, and offers no
    argument for it. In a release whose codebook has other parts, it begins in that way.
    """
    codebook = getattr(quantiser, "_codebook", None)
    if codebook is not None and all(hasattr(codebook, name) for name in CODEBOOK):
        codebook.reset_cluster_size = filled
        codebook.cluster_size.zero_()
        codebook.embed_avg.zero_()


CODEBOOK = ("reset_cluster_size", "cluster_size", "embed_avg")
