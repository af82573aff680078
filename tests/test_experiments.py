"""The presets: networks that compute what the published ones do, of the published sizes and settings."""

import json

import pytest
import torch
from lightning import Callback
from omegaconf import OmegaConf
from torch import nn

from diabolo.network.autoencoder import Autoencoder
from diabolo.network.bottlenecks.quantised import Quantised
from diabolo.network.upsampling import Upsample
from diabolo.runs.build import build_autoencoder, build_module
from diabolo.runs.build_callbacks import build_callbacks
from diabolo.runs.config import compose_config
from published import CLASSIFIERS, PUBLISHED
from support import CONF, write_photographs


@pytest.mark.parametrize("overrides", CLASSIFIERS)
def test_with_the_same_weights_a_classifier_computes_what_the_published_one_does(overrides):
    ours = build_module(compose_config(overrides.split()))
    encoder = nn.Sequential(*CLASSIFIERS[overrides]()[0])
    weights = zip(encoder.state_dict(), ours.trained().state_dict().values(), strict=True)
    encoder.load_state_dict(dict(weights))
    images = torch.rand(4, 1, 28, 28)
    torch.testing.assert_close(ours(images), encoder((images - 0.1307) / 0.3081), rtol=0, atol=1e-6)


def network(overrides: str) -> Autoencoder:
    torch.manual_seed(0)
    return build_autoencoder(compose_config(overrides.split()))


@pytest.mark.parametrize("overrides", PUBLISHED)
def test_with_the_same_weights_the_network_computes_what_the_published_one_does(overrides):
    ours = network(overrides)
    encoder, decoder = (nn.Sequential(*layers) for layers in PUBLISHED[overrides]())
    for part, published in ((ours.encoder, encoder), (ours.decoder, decoder)):
        weights = zip(published.state_dict(), part.state_dict().values(), strict=True)
        published.load_state_dict(dict(weights))
    images = torch.rand(4, *ours.image_shape)
    features = ours.encoder(images)
    wanted = encoder[:-1](images) if isinstance(encoder[-1], nn.ReLU) else encoder(images)
    torch.testing.assert_close(features, wanted, rtol=0, atol=1e-6)
    code = ours.encode(images)
    if not isinstance(ours.bottleneck, Quantised):
        torch.testing.assert_close(code, encoder(images), rtol=0, atol=1e-6)
    torch.testing.assert_close(ours.decode(code), decoder(code), rtol=0, atol=1e-6)


TRANSPOSE_CONV = [
    *((16, 1, 3, 3), (16,), (32, 16, 3, 3), (32,), (64, 32, 7, 7), (64,)),
    *((64, 32, 7, 7), (32,), (32, 16, 3, 3), (16,), (16, 1, 3, 3), (1,)),
]
LENET = [
    *((6, 1, 5, 5), (6,), (16, 6, 5, 5), (16,)),
    *((120, 400), (120,), (84, 120), (84,), (10, 84), (10,)),
]


def test_upsample_conv_pools_before_its_relus_and_never_makes_its_largest_maps(monkeypatch):
    ours, sizes = network("experiment=upsample_conv"), []
    for kind in (nn.ReLU, Upsample):
        forward = kind.forward
        monkeypatch.setattr(
            kind, "forward", lambda layer, x, of=forward: sizes.append(tuple(x.shape[1:])) or of(layer, x)
        )
    ours(torch.rand(2, 1, 28, 28))
    assert sizes == [(16, 14, 14), (4, 7, 7), (4, 7, 7), (16, 14, 14)], "ReLU, ReLU, upsampling, ReLU"


@pytest.mark.parametrize(
    ("experiment", "shapes", "parameters"),
    [
        (
            "transpose_conv",
            TRANSPOSE_CONV,
            210_369,
        ),
        (
            "upsample_conv",
            [(16, 1, 3, 3), (16,), (4, 16, 3, 3), (4,), (16, 4, 3, 3), (16,), (1, 16, 3, 3), (1,)],
            1_477,
        ),
        ("fc_hidden_sizes", [(25, 784), (25,), (784, 25), (784,)], 40_009),
        ("fc_hidden_sizes_corrected", [(25, 784), (25,), (784, 25), (784,)], 40_009),
        ("transpose_conv_relu", TRANSPOSE_CONV, 210_369),
        ("transpose_conv_relu_corrected", TRANSPOSE_CONV, 210_369),
        ("lenet_classifier", LENET, 61_706),
        ("lenet_classifier_small", [(6, 1, 5, 5), (6,), (10, 1176), (10,)], 11_926),
        (
            "lenet_autoencoder",
            [*LENET, (84, 10), (84,), (120, 84), (120,), (400, 120), (400,)]
            + [(16, 6, 5, 5), (6,), (6, 1, 5, 5), (1,)],
            123_787,
        ),
        (
            "lenet_wide",
            [(16, 1, 3, 3), (16,), (16, 16, 3, 3), (16,), (16, 16, 5, 5), (16,), (16, 16, 3, 3), (16,)]
            + [(160, 400), (160,), (120, 160), (120,), (80, 120), (80,)]
            + [(120, 80), (120,), (160, 120), (160,), (400, 160), (400,)]
            + [(16, 16, 3, 3), (16,), (16, 16, 5, 5), (16,), (16, 16, 3, 3), (16,), (16, 1, 3, 3), (1,)],
            209_057,
        ),
        (
            "hinton",
            [(1000, 784), (1000,), (500, 1000), (500,), (250, 500), (250,), (30, 250), (30,)]
            + [(250, 30), (250,), (500, 250), (500,), (1000, 500), (1000,), (784, 1000), (784,)],
            2_837_314,
        ),
        ("logistic_pca", [(30, 784), (30,), (784, 30), (784,)], 47_854),
        (
            "cifar_autoencoder",
            [(32, 3, 3, 3), (32,), (32, 32, 3, 3), (32,), (64, 32, 3, 3), (64,), (64, 64, 3, 3), (64,)]
            + [(64, 64, 3, 3), (64,), (64, 1024), (64,), (1024, 64), (1024,), (64, 64, 3, 3), (64,)]
            + [(64, 64, 3, 3), (64,), (64, 32, 3, 3), (32,), (32, 32, 3, 3), (32,), (32, 3, 3, 3), (3,)],
            168_096 + 168_995,
        ),
    ],
)
def test_a_preset_has_the_published_weights(experiment, shapes, parameters):
    state = build_module(compose_config([f"experiment={experiment}"])).trained().state_dict()
    assert [tuple(value.shape) for value in state.values()] == shapes
    assert sum(value.numel() for value in state.values()) == parameters


@pytest.mark.parametrize("way", sorted(path.stem for path in (CONF / "experiment" / "upsampling").glob("*.yaml")))
def test_the_ways_of_upsampling_are_compared_at_matched_parameters(way):
    ours, reference = (network(f"experiment=upsampling experiment/upsampling={one}") for one in (way, "nearest"))
    count, wanted = (sum(p.numel() for p in one.decoder.parameters()) for one in (ours, reference))
    assert wanted == 40_865
    assert abs(count / wanted - 1) < 0.004
    shapes = [[tuple(p.shape) for p in one.encoder.parameters()] for one in (ours, reference)]
    assert shapes[0] == shapes[1], "one encoder for all"


def test_the_published_codebook_has_a_place_in_8_by_8_for_each_of_its_entries():
    ours = network("experiment=cifar_vq")
    assert [sum(p.numel() for p in part.parameters()) for part in (ours.encoder, ours.decoder)] == [372_416, 290_307]
    assert (ours.bottleneck.entries, ours.bottleneck.dim, ours.code_size) == (512, 64, 8 * 8 * 64)
    figures = ours.diagnostics(ours.encoder(torch.rand(2, 3, 32, 32)))
    assert figures["bits"] == 576
    seen = torch.zeros(1, 3, 32, 32, requires_grad=True)
    ours.encoder(seen)[0, :64].square().sum().backward()  # the vector of the first place
    assert seen.grad[..., :22, :22].abs().sum() > 0
    assert seen.grad[..., 24:, :].abs().sum() == 0, "it comes from the corner of the image alone"


def test_a_tuned_preset_takes_the_published_code_and_for_cifar_a_tenth_of_the_epochs():
    for name in ("hinton", "cifar_autoencoder"):
        published, tuned = (compose_config([f"experiment={one}"]) for one in (name, f"{name}_tuned"))
        assert tuned.bottleneck == published.bottleneck
        assert tuned.published == published.published
    assert tuned.trainer.max_epochs == published.trainer.max_epochs / 10


FAMILIES = sorted(path.name for path in (CONF / "experiment").iterdir() if path.is_dir())


@pytest.mark.parametrize("family", FAMILIES)
def test_a_named_sweep_of_presets_tries_each_of_them(family):
    swept = OmegaConf.load(CONF / "experiment" / f"{family}.yaml").hydra.sweeper.params[f"experiment/{family}"]
    assert sorted(str(swept).split(",")) == sorted(one.stem for one in (CONF / "experiment" / family).glob("*.yaml"))


@pytest.mark.parametrize("size", [2, 5, 10, 32])
def test_a_tuned_preset_has_the_code_that_it_is_named_for(size):
    assert network(f"experiment=tuned experiment/tuned=size_{size}").code_size == size


@pytest.mark.parametrize(
    ("experiment", "size", "output"),
    [
        ("transpose_conv", 64, "Sigmoid"),
        ("upsample_conv", 196, "Sigmoid"),
        ("fc_hidden_sizes", 25, "Tanh"),
        ("fc_hidden_sizes_corrected", 25, "Identity"),
        ("transpose_conv_relu", 64, "ReLU"),
        ("transpose_conv_relu_corrected", 64, "Identity"),
        ("lenet_autoencoder", 10, "Identity"),
        ("lenet_wide", 80, "Identity"),
        ("hinton", 30, "Sigmoid"),
        ("logistic_pca", 30, "Sigmoid"),
        ("cifar_autoencoder", 64, "Tanh"),
        ("cifar_vq", 4096, "Identity"),
    ],
)
def test_a_preset_has_the_published_code_and_output(experiment, size, output):
    ours = network(f"experiment={experiment}")
    assert (ours.code_size, type(ours.output).__name__) == (size, output)


NORMALISED = {"data.mean": 0.1307, "data.std": 0.3081}
OPEN_RATE = {"scheduler._target_": "diabolo.training.one_cycle"}  # and published without
ANNEALED = {"scheduler._target_": "diabolo.training.cosine"}
BY_DECAY = {"optimizer.weight_decay": 1e-5}
SETTINGS = {
    "transpose_conv": {"data.limit": 4096, "data.batch_size": 64, "seed": 42, "data.mean": None} | BY_DECAY,
    "upsample_conv": {"data.batch_size": 20, "data.mean": None, "trainer.max_epochs": 10},
    "fc_hidden_sizes": NORMALISED | BY_DECAY | {"data.batch_size": 128, "trainer.max_epochs": 25, "seed": 0},
    "transpose_conv_relu": NORMALISED | BY_DECAY | {"data.batch_size": 128, "trainer.max_epochs": 25, "seed": 0},
    "lenet_classifier": NORMALISED | {"data.batch_size": 256, "trainer.max_epochs": 10} | OPEN_RATE,
    "lenet_classifier_small": NORMALISED | {"data.batch_size": 256, "trainer.max_epochs": 10} | OPEN_RATE,
    "lenet_autoencoder": NORMALISED | {"data.batch_size": 256, "trainer.max_epochs": 10, "optimizer.lr": 0.003},
    "lenet_wide": NORMALISED | {"data.batch_size": 256, "trainer.max_epochs": 10, "optimizer.lr": 0.003},
    "lenet_autoencoder_annealed": {"data.batch_size": 128} | ANNEALED,
    "lenet_wide_annealed": {"data.batch_size": 128} | ANNEALED,
    "hinton": {"loss._target_": "diabolo.training.BCE", "data.val_fraction": 0.02} | OPEN_RATE,
    "logistic_pca": {"loss._target_": "diabolo.training.BCE", "data.val_fraction": 0.02} | OPEN_RATE,
    "cifar_autoencoder": {
        "data.source.dataset": "CIFAR10",
        "data.mean": 0.5,
        "data.std": 0.5,
        "data.val_fraction": 0.1,
        "data.batch_size": 256,
        "loss.reduction": "sum",
        "optimizer.lr": 0.001,
        "scheduler._target_": "diabolo.training.plateau",
        "scheduler.patience": 20,
        "scheduler.factor": 0.2,
        "scheduler.lowest": 5e-5,
        "trainer.gradient_clip": 1.0,
        "trainer.max_epochs": 500,
    },
    "cifar_vq": {
        "data.source.dataset": "CIFAR10",
        "data.mean": 0.5,
        "data.std": 1.0,
        "data.batch_size": 32,
        "data.limit": 40_000,
        "data.limit_by": "first",
        "bottleneck.decay": 0.99,
        "bottleneck.commitment": 0.25,
        "bottleneck.replace_below": 0,
        "loss.weights.mse": round(1 / 0.06337, 2),
        "loss.weights.mae": 0,
        "loss.weights.ms_ssim": 0,
        "optimizer.lr": 3e-4,
        "trainer.max_epochs": 10_000 * 32 / 40_000,
    },
}


@pytest.mark.parametrize("experiment", SETTINGS)
def test_a_preset_has_the_published_settings(experiment):
    config = compose_config([f"experiment={experiment}"])
    wanted = {"data.source.dataset": "MNIST", "data.val_fraction": 0.0, "data.limit": None}
    wanted |= {} if "scheduler._target_" in SETTINGS[experiment] else {"scheduler": {}}
    for key, value in (wanted | SETTINGS[experiment]).items():
        assert OmegaConf.select(config, key) == value, key
    assert config.optimizer._target_ == "torch.optim.Adam"


@pytest.mark.parametrize("experiment", sorted(path.stem for path in (CONF / "experiment").glob("*.yaml")))
def test_an_experiment_may_go_without_the_callbacks_that_it_sets_up(experiment):
    made = build_callbacks(compose_config([f"experiment={experiment}", "callbacks=none", "data.root=."]))
    assert all(isinstance(callback, Callback) for callback in made)


@pytest.mark.parametrize("experiment", ["fc_hidden_sizes", "transpose_conv_relu"])
def test_a_corrected_preset_differs_in_what_was_flawed_alone(experiment):
    flawed, corrected = (compose_config([f"experiment={name}"]) for name in (experiment, f"{experiment}_corrected"))
    assert corrected.model.output == "identity"
    assert corrected.bottleneck.activation is None
    corrected.model.output, corrected.bottleneck.activation = flawed.model.output, flawed.bottleneck.activation
    assert corrected == flawed


@pytest.mark.slow
@pytest.mark.parametrize("side", [64, 128, 256])
def test_a_preset_for_photographs_learns_and_draws(trained, tmp_path, side):
    root, steps = write_photographs(tmp_path / "photographs", 80), ("data.batch_size=8", "trainer.max_epochs=4")
    run = trained(f"experiment=colour_{side}", f"data.root={root}", *steps, "trainer.accelerator=cpu")
    losses = [row["train/loss"] for row in map(json.loads, run.history.read_text().splitlines()) if "train/loss" in row]
    assert len(losses) == 4
    assert losses[-1] < losses[0]
    metrics = run.metrics()
    assert 0 < metrics["test/mse"] < 0.2
    assert ("test/pca_mse" in metrics) is (side < 256)
    assert {path.name for path in (run.path / "pictures").iterdir()} >= {
        "augmented",
        "reconstructions",
        "interpolation",
    }
    assert run.config().augmentation.flip.horizontal == 0.5
