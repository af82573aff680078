"""The published architectures of the presets, encoder and decoder, written out in plain PyTorch."""

from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn


def transpose_conv() -> tuple[list[nn.Module], list[nn.Module]]:
    return [
        nn.Conv2d(1, 16, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(32, 64, 7),
        nn.Flatten(),
    ], [
        nn.Unflatten(1, (64, 1, 1)),
        nn.ConvTranspose2d(64, 32, 7),
        nn.ReLU(),
        nn.ConvTranspose2d(32, 16, 3, stride=2, padding=1, output_padding=1),
        nn.ReLU(),
        nn.ConvTranspose2d(16, 1, 3, stride=2, padding=1, output_padding=1),
        nn.Sigmoid(),
    ]


def upsample_conv() -> tuple[list[nn.Module], list[nn.Module]]:
    return [
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 4, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
    ], [
        nn.Unflatten(1, (4, 7, 7)),
        nn.Upsample(scale_factor=2),
        nn.Conv2d(4, 16, 3, padding=1),
        nn.ReLU(),
        nn.Upsample(scale_factor=2),
        nn.Conv2d(16, 1, 3, padding=1),
        nn.Sigmoid(),
    ]


def fc_hidden_sizes() -> tuple[list[nn.Module], list[nn.Module]]:
    return [nn.Flatten(), nn.Linear(784, 25), nn.ReLU()], [
        nn.Linear(25, 784),
        nn.Tanh(),
        nn.Unflatten(1, (1, 28, 28)),
    ]


def lenet() -> tuple[list[nn.Module], list[nn.Module]]:
    return [
        nn.Conv2d(1, 6, 5, padding=2),
        nn.Tanh(),
        nn.AvgPool2d(2),
        nn.Conv2d(6, 16, 5),
        nn.Tanh(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(400, 120),
        nn.Tanh(),
        nn.Linear(120, 84),
        nn.Tanh(),
        nn.Linear(84, 10),
    ], [
        nn.Linear(10, 84),
        nn.Tanh(),
        nn.Linear(84, 120),
        nn.Tanh(),
        nn.Linear(120, 400),
        nn.Tanh(),
        nn.Unflatten(1, (16, 5, 5)),
        nn.Upsample(scale_factor=2),
        nn.ConvTranspose2d(16, 6, 5),
        nn.Tanh(),
        nn.Upsample(scale_factor=2),
        nn.ConvTranspose2d(6, 1, 5, padding=2),
    ]


def lenet_small() -> tuple[list[nn.Module], list[nn.Module]]:
    return [nn.Conv2d(1, 6, 5, padding=2), nn.Tanh(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(1176, 10)], []


def lenet_wide() -> tuple[list[nn.Module], list[nn.Module]]:
    return [
        nn.Conv2d(1, 16, 3, padding=1),
        nn.Tanh(),
        nn.Conv2d(16, 16, 3, padding=1),
        nn.Tanh(),
        nn.AvgPool2d(2),
        nn.Conv2d(16, 16, 5),
        nn.Tanh(),
        nn.Conv2d(16, 16, 3, padding=1),
        nn.Tanh(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(400, 160),
        nn.Tanh(),
        nn.Linear(160, 120),
        nn.Tanh(),
        nn.Linear(120, 80),
    ], [
        nn.Linear(80, 120),
        nn.Tanh(),
        nn.Linear(120, 160),
        nn.Tanh(),
        nn.Linear(160, 400),
        nn.Tanh(),
        nn.Unflatten(1, (16, 5, 5)),
        nn.Upsample(scale_factor=2),
        nn.ConvTranspose2d(16, 16, 3, padding=1),
        nn.Tanh(),
        nn.ConvTranspose2d(16, 16, 5),
        nn.Tanh(),
        nn.Upsample(scale_factor=2),
        nn.ConvTranspose2d(16, 16, 3, padding=1),
        nn.Tanh(),
        nn.ConvTranspose2d(16, 1, 3, padding=1),
    ]


def relu() -> tuple[list[nn.Module], list[nn.Module]]:
    encoder, decoder = transpose_conv()
    return encoder, [*decoder[:-1], nn.ReLU()]


def identity() -> tuple[list[nn.Module], list[nn.Module]]:
    encoder, decoder = transpose_conv()
    return encoder, decoder[:-1]


def linear() -> tuple[list[nn.Module], list[nn.Module]]:
    return [nn.Flatten(), nn.Linear(784, 25)], [nn.Linear(25, 784), nn.Unflatten(1, (1, 28, 28))]


def hinton() -> tuple[list[nn.Module], list[nn.Module]]:
    widths = [784, 1000, 500, 250, 30]
    down = [nn.Linear(*pair) for pair in pairwise(widths)]
    up = [nn.Linear(*pair) for pair in pairwise(widths[::-1])]
    between = [nn.Sigmoid() for _ in range(3)]
    encoder = [layer for pair in zip(down, between, strict=False) for layer in pair]
    decoder = [layer for pair in zip(up, [*between, nn.Sigmoid()], strict=True) for layer in pair]
    return [nn.Flatten(), *encoder, down[-1]], [*decoder, nn.Unflatten(1, (1, 28, 28))]


def logistic_pca() -> tuple[list[nn.Module], list[nn.Module]]:
    return [nn.Flatten(), nn.Linear(784, 30)], [nn.Linear(30, 784), nn.Sigmoid(), nn.Unflatten(1, (1, 28, 28))]


class Turned(nn.Conv2d):
    """A convolution that takes the weights of a transposed one of stride 1: its kernel the other way round."""

    def forward(self, maps: Tensor) -> Tensor:
        return F.conv2d(maps, self.weight.transpose(0, 1).flip(2, 3), self.bias, padding=self.padding)


def cifar_autoencoder() -> tuple[list[nn.Module], list[nn.Module]]:
    return [
        nn.Conv2d(3, 32, 3, stride=2, padding=1),
        nn.GELU(),
        nn.Conv2d(32, 32, 3, padding=1),
        nn.GELU(),
        nn.Conv2d(32, 64, 3, stride=2, padding=1),
        nn.GELU(),
        nn.Conv2d(64, 64, 3, padding=1),
        nn.GELU(),
        nn.Conv2d(64, 64, 3, stride=2, padding=1),
        nn.GELU(),
        nn.Flatten(),
        nn.Linear(64 * 16, 64),
    ], [
        nn.Linear(64, 64 * 16),
        nn.GELU(),
        nn.Unflatten(1, (64, 4, 4)),
        nn.ConvTranspose2d(64, 64, 3, stride=2, padding=1, output_padding=1),
        nn.GELU(),
        Turned(64, 64, 3, padding=1),
        nn.GELU(),
        nn.ConvTranspose2d(64, 32, 3, stride=2, padding=1, output_padding=1),
        nn.GELU(),
        Turned(32, 32, 3, padding=1),
        nn.GELU(),
        nn.ConvTranspose2d(32, 3, 3, stride=2, padding=1, output_padding=1),
        nn.Tanh(),
    ]


class ResidualLayer(nn.Module):
    """h + conv1x1(relu(conv3x3(relu(h))))."""

    def __init__(self) -> None:
        super().__init__()
        self.conv3, self.conv1 = nn.Conv2d(128, 32, 3, padding=1), nn.Conv2d(32, 128, 1)

    def forward(self, maps: Tensor) -> Tensor:
        return maps + self.conv1(self.conv3(maps.relu()).relu())


class Rows(nn.Module):
    """N x 64 x 8 x 8 -> N x 4096, the vector of each place by itself, or back."""

    def __init__(self, back: bool = False) -> None:
        super().__init__()
        self.back = back

    def forward(self, values: Tensor) -> Tensor:
        if self.back:
            return values.reshape(-1, 64, 64).transpose(1, 2).reshape(-1, 64, 8, 8)
        return values.flatten(2).transpose(1, 2).flatten(1)


def cifar_vq() -> tuple[list[nn.Module], list[nn.Module]]:
    return [
        nn.Conv2d(3, 64, 4, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(64, 128, 4, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(128, 128, 3, padding=1),
        nn.ReLU(),
        ResidualLayer(),
        ResidualLayer(),
        nn.ReLU(),
        nn.Conv2d(128, 64, 1),
        Rows(),
    ], [
        Rows(back=True),
        nn.Conv2d(64, 128, 3, padding=1),
        ResidualLayer(),
        ResidualLayer(),
        nn.ReLU(),
        nn.ConvTranspose2d(128, 64, 4, stride=2, padding=1),
        nn.ReLU(),
        nn.ConvTranspose2d(64, 3, 4, stride=2, padding=1),
    ]


PUBLISHED = {
    "experiment=transpose_conv": transpose_conv,
    "experiment=upsample_conv": upsample_conv,
    "experiment=fc_hidden_sizes": fc_hidden_sizes,
    "experiment=fc_hidden_sizes_corrected": linear,
    "experiment=transpose_conv_relu": relu,
    "experiment=transpose_conv_relu_corrected": identity,
    "experiment=lenet_autoencoder": lenet,
    "experiment=lenet_wide": lenet_wide,
    "experiment=hinton": hinton,
    "experiment=logistic_pca": logistic_pca,
    "experiment=cifar_autoencoder": cifar_autoencoder,
    "experiment=cifar_vq": cifar_vq,
}
CLASSIFIERS = {"experiment=lenet_classifier": lenet, "experiment=lenet_classifier_small": lenet_small}
