"""The published architectures of the presets, encoder and decoder, written out in plain PyTorch."""

from torch import nn


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


PUBLISHED = {
    "experiment=transpose_conv": transpose_conv,
    "experiment=upsample_conv": upsample_conv,
    "experiment=fc_hidden_sizes": fc_hidden_sizes,
    "experiment=fc_hidden_sizes_corrected": linear,
    "experiment=transpose_conv_relu": relu,
    "experiment=transpose_conv_relu_corrected": identity,
    "experiment=lenet_autoencoder": lenet,
    "experiment=lenet_wide": lenet_wide,
}
CLASSIFIERS = {"experiment=lenet_classifier": lenet, "experiment=lenet_classifier_small": lenet_small}
