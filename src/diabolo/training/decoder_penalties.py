"""Penalties on how a decoder answers to codes."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from diabolo.errors import check_int, check_not_negative, check_positive
from diabolo.training.penalties import signs


class RAE(nn.Module):
    """Regularised autoencoders (Ghosh et al., "From Variational to Deterministic Autoencoders", 2020, section 3):
    `weight` times half the squared length of a code, and `gradient` times half the squared Frobenius norm of the
    Jacobian of the decoded image by the code, averaged over the images. Both hold a deterministic
    decoder smooth where codes lie, and a density fitted to the codes is what one samples from.

    With `gradient` 0 another regulariser of the paper holds the decoder: `decoder.spectral_norm=true`, or its weights'
    decay, `optimizer=adamw optimizer.weight_decay=...`, which decays the encoder's, too.

    The norm is estimated without bias by `probes` random vectors of signs (Hutchinson), each of which costs a way back
    through the decoder, and all a further pass of it. Evaluation draws the same signs every time.

    Args:
        weight: the paper's beta, beside a loss that is a mean over pixels; times their number beside a sum.
        gradient: its lambda, on the same scale.
        probes: random vectors a step.
    """

    def __init__(self, weight: float, gradient: float = 0.0, probes: int = 1) -> None:
        super().__init__()
        self.weight = check_positive("weight", weight)
        self.gradient = check_not_negative("gradient", gradient)
        self.probes = check_int("probes", probes)

    def of_decoder(self, code: Tensor, decode: Callable[[Tensor], Tensor]) -> Tensor:
        penalty = 0.5 * self.weight * code.float().square().sum(1).mean()
        return penalty + self.gradient * self.slope(code, decode) if self.gradient else penalty

    @torch.compiler.disable  # a gradient of a gradient, which compiled graphs do not have
    def slope(self, code: Tensor, decode: Callable[[Tensor], Tensor]) -> Tensor:
        """Half the squared norm of the decoder's Jacobian, averaged over the codes."""
        with torch.inference_mode(False), torch.enable_grad():
            # a code that comes from the encoder keeps its way there: where codes lie is learnt along
            code = code if code.requires_grad else code.detach().clone().requires_grad_()
            images = decode(code)
            norms = [
                torch.autograd.grad(images, code, v, create_graph=self.training, retain_graph=True)[0].square().sum()
                for v in signs(self.probes, images, self.training)
            ]
            return 0.5 * torch.stack(norms).mean() / len(code)
