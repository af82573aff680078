"""The classifier: encoder, bottleneck and, where asked for, a linear head."""

from collections.abc import Sequence

from torch import Tensor, nn

from diabolo.errors import UserError, check_int
from diabolo.network.layers import settled
from diabolo.network.protocols import size_of


class Classifier(nn.Module):
    """x -> head(bottleneck(encoder(x))): images in the network's scale to a logit for each class.

    Without a head the code itself is the logits, as in LeNet-5, whose last layer gives a number a class.

    Args:
        encoder, bottleneck, penalty: as in `Autoencoder`.
        image_shape: (channels, height, width).
        classes: how many; labels are 0 to classes - 1.
        head: whether a linear layer stands between code and logits.

    Raises:
        UserError: there is no head and the code has not one number a class.
    """

    switch_count = 0  # no decoder unpools

    def __init__(
        self,
        encoder: nn.Module,
        bottleneck: nn.Module,
        image_shape: Sequence[int],
        classes: int,
        head: bool = False,
        penalty: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.bottleneck = bottleneck
        self.penalty = penalty
        self.image_shape = tuple(image_shape)
        self.code_size = size_of(bottleneck)
        self.classes = check_int("task.classes", classes, 2)
        if not head and self.code_size != classes:
            raise UserError(
                f"`bottleneck.size` (= {self.code_size}) must be the number of classes, `task.classes` (= {classes}),"
                " where the code is the logits; set task.head=true for a linear layer between them."
            )
        self.head = nn.Linear(self.code_size, classes) if head else nn.Identity()
        if not any(parameter.requires_grad for parameter in self.parameters()):
            raise UserError("`encoder.frozen` leaves nothing of a classifier to train: set task.head=true beside it.")

    def encode(self, images: Tensor) -> Tensor:
        """N x C x H x W in the network's scale -> codes, N x size."""
        return self.bottleneck(self.encoder(images))[0]

    def decode(self, code: Tensor) -> Tensor:
        """N x size -> logits, N x classes, float32."""
        return self.head(code).float()

    def features(self, images: Tensor) -> Tensor:
        """N x C x H x W in the network's scale -> what the last linear layer gets, N x numbers float32.

        Raises:
            UserError: there is no linear layer.
        """
        linear = [layer for layer in self.modules() if isinstance(layer, nn.Linear)]
        if not linear:
            raise UserError("this classifier has no linear layer whose inputs could be features: take task.head=true.")
        seen: list[Tensor] = []
        hook = linear[-1].register_forward_pre_hook(lambda _, given: seen.append(given[0]))
        try:
            self.decode(self.encode(images))
        finally:
            hook.remove()
        return seen[-1].flatten(1).float()

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """N x C x H x W in the network's scale -> logits, and what is added to the loss, if anything: a scalar."""
        code, penalty = self.bottleneck(self.encoder(images))
        if self.penalty is not None:
            with settled(self.bottleneck):
                own = self.penalty(images, code, self.encode)
            penalty = own if penalty is None else penalty + own
        return self.decode(code), penalty
