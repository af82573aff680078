"""The plain code."""

from torch import Tensor, nn

from diabolo.errors import check_int
from diabolo.network.layers import activation as make_activation


class Vector(nn.Module):
    """The code is the encoder's output, passed through an activation where one is named. N x `size` -> N x `size`.

    Args:
        size: numbers in the code.
        activation: one of `diabolo.network.layers.ACTIVATIONS`; None is the identity.
    """

    def __init__(self, size: int, activation: str | None = None) -> None:
        super().__init__()
        self.size = self.in_features = check_int("size", size)
        self.activation = make_activation(activation)

    def forward(self, features: Tensor) -> tuple[Tensor, None]:
        return self.activation(features), None
