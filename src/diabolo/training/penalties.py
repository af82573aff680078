"""Penalties on the code that any bottleneck can carry: modules that take the images, their code and the function that
encodes images, and return a scalar to be added to the loss. Those on the codes of all images together, on Gaussians and
on the decoder: `aggregate_penalties.py`, `posterior_penalties.py`, `decoder_penalties.py`."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from diabolo.errors import UserError, check_int, check_positive

Encode = Callable[[Tensor], Tensor]  # N x C x H x W in the network's scale -> N x size
ZERO = 0.01  # a number is counted as 0 below this part of the code's largest


class L1(nn.Module):
    """`weight` times the sum of a code's magnitudes, averaged over the images: sparse codes (Olshausen & Field 1996).

    Numbers become exactly 0 behind `bottleneck.activation=relu` alone. A decoder that outgrows the codes' scale evades
    the penalty; `optimizer.weight_decay` holds it.

    Args:
        weight: beside a loss that is a mean over pixels; times their number beside a sum.
    """

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = check_positive("weight", weight)

    def forward(self, images: Tensor, code: Tensor, encode: Encode) -> Tensor:
        return self.weight * code.float().abs().sum(1).mean()

    def diagnostics(self, codes: Tensor) -> dict[str, Tensor]:
        """`l1`, the mean sum of magnitudes; `nonzero`, how many numbers of a code are not 0 or nearly so."""
        sizes = codes.abs()
        return {"l1": sizes.sum(1).mean(), "nonzero": (sizes > ZERO * sizes.max()).float().sum(1).mean()}


class Contractive(nn.Module):
    """`weight` times the squared Frobenius norm of the Jacobian of the code by the pixels, averaged over the images
    (Rifai et al., "Contractive Auto-Encoders", 2011). It costs a second pass of the encoder and `probes` ways back.

    The norm is estimated without bias by Hutchinson's method: the mean of |v J|^2 over `probes` random vectors v of
    signs. `probes: null` takes every unit in turn instead, which is exact and costs `size` ways back.

    The code is that of evaluation: the mean of a variational code, all numbers of a nested one.

    Under batch normalisation an image's code depends on the other images too; that dependence is then counted along.
    Evaluation draws the same signs every time.

    Args:
        weight: beside a loss that is a mean over pixels; times their number beside a sum.
        probes: random vectors a step, or None for the exact norm.

    Raises:
        UserError: in the first step, where the bottleneck's codes jump and have no Jacobian.
    """

    def __init__(self, weight: float, probes: int | None = 1) -> None:
        super().__init__()
        self.weight = check_positive("weight", weight)
        self.probes = probes if probes is None else check_int("probes", probes)

    @torch.compiler.disable  # a gradient of a gradient, which compiled graphs do not have
    def forward(self, images: Tensor, code: Tensor, encode: Encode) -> Tensor:
        with torch.inference_mode(False), torch.enable_grad():
            images = images.detach().clone().requires_grad_()
            code = encode(images).float()
            if not code.requires_grad:
                raise UserError(
                    "`penalty` (= contractive) needs codes that follow the pixels, and those of this bottleneck jump:"
                    " choose another."
                )
            norms = [
                torch.autograd.grad(code, images, v, create_graph=self.training, retain_graph=True)[0].square().sum()
                for v in self._vectors(code)
            ]
            mean = torch.stack(norms).sum() if self.probes is None else torch.stack(norms).mean()
            return self.weight * mean / len(images)

    def _vectors(self, code: Tensor) -> list[Tensor]:
        if self.probes is None:
            return [unit.expand_as(code) for unit in torch.eye(code.shape[1]).to(code)]
        return list(signs(self.probes, code, self.training))


def signs(count: int, values: Tensor, training: bool) -> Tensor:
    """Random signs, `count` times as many as `values`; in evaluation the same ones every time."""
    draw = None if training else torch.Generator(values.device).manual_seed(0)
    return torch.randint(0, 2, (count, *values.shape), generator=draw, device=values.device).to(values) * 2 - 1
