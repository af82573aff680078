"""Labels beside images and codes: what makes an autoencoder conditional."""

import torch.nn.functional as F
from torch import Tensor, cat, nn

from diabolo.errors import UserError, check_int


class Condition(nn.Module):
    """Gives encoder and decoder the label of each image, so that a code need not hold it (Sohn, Lee & Yan, "Learning
    Structured Output Representation using Deep Conditional Generative Models", 2015).

    The label enters one-hot: beside the last numbers within the encoder, where a linear layer on it comes to adding a
    learnt vector a label to the encoder's numbers, and beside the code.

    Args:
        classes: labels are whole numbers from 0 to this, exclusive.
        in_features: the encoder's numbers.
    """

    def __init__(self, classes: int, in_features: int) -> None:
        super().__init__()
        self.classes = check_int("classes", classes, 2)
        self.shift = nn.Embedding(classes, in_features)
        nn.init.zeros_(self.shift.weight)

    def features(self, features: Tensor, labels: Tensor | None) -> Tensor:
        """N x in_features of the encoder and N labels -> N x in_features.

        Raises:
            UserError: there are no labels.
        """
        return features + self.shift(_known(labels)).to(features.dtype)

    def code(self, code: Tensor, labels: Tensor | None) -> Tensor:
        """What the decoder takes: codes of N images, one each or several one time after the other, and N labels ->
        codes x (size + classes).

        Raises:
            UserError: there are no labels.
        """
        known = _known(labels)
        one_hot = F.one_hot(known.repeat(len(code) // len(known)), self.classes).to(code.dtype)
        return cat([code, one_hot], 1)


def _known(labels: Tensor | None) -> Tensor:
    if labels is None:
        raise UserError(
            "this network is conditional (bottleneck.conditional=true), and nothing says which labels its images or"
            " codes have: give them (labels=... in Python, --label on the command line)."
        )
    return labels
