"""Dead units, a constant output, histograms and the projector."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from diabolo.callbacks.codes import dead_units, is_constant
from diabolo.runs.loading import load
from support import TINY, opened_data

CODES = torch.randn(500, 6, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("scale", "shift", "dead"),
    [
        ([1, 1, 1, 1, 1, 1], 0, 0),
        ([1, 0, 1, 0, 1, 1], 0, 2),
        ([1, 0, 1, 0, 1, 1], 5, 2),  # dead at another value than 0
        ([1, 1e-5, 1, 1, 1, 1], 0, 1),
        ([1, 1e-2, 1, 1, 1, 1], 0, 0),  # quiet, not dead
        ([1e3, 1e3, 1e3, 1e3, 1e3, 0], 0, 1),
        ([1e-3] * 6, 0, 0),  # a small code is alive
        ([0] * 6, 0, 6),
        ([0] * 6, 3, 6),
        ([1e-5] * 6, 100, 6),  # what float32 leaves of it is noise
    ],
)
def test_units_that_hardly_vary_are_dead(scale, shift, dead):
    assert dead_units(CODES * torch.tensor(scale, dtype=torch.float32) + shift) == dead


def test_an_output_is_constant_if_it_varies_a_thousandth_of_what_the_images_do():
    images = torch.rand(50, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    one = images[:1].expand(50, -1, -1, -1)
    assert is_constant(one, images)
    assert is_constant(one + 1e-4 * images, images)
    assert not is_constant(one + 1e-2 * images, images)
    assert not is_constant(images, images)


@pytest.fixture
def lifeless(monkeypatch):
    """Fresh networks whose weights are 0 and biases -1: behind a ReLU their output is 0 and so is every gradient."""

    def initialise(part, name):
        for parameter in part.parameters():
            torch.nn.init.constant_(parameter, -1.0 if parameter.ndim == 1 else 0.0)

    monkeypatch.setattr("diabolo.network.layers.initialise", initialise)


def test_a_run_with_a_constant_output_warns_in_training_and_records_it(lifeless, trained):
    run = trained(*TINY, "model.output=relu", "trainer.max_epochs=5")
    metrics = run.metrics()
    assert metrics["output/constant"] == 1
    assert metrics["code/dead_units"] == 4
    log = run.log.read_text()
    said = (
        "warning: the output is the same for every image, the network ignores its input (for 3 epochs, up to epoch 3)"
    )
    assert log.count(said) == 1
    assert log.count("same for every image") == 1, "once is enough"
    for line in run.history.read_text().splitlines():
        assert json.loads(line)["output/constant"] == 1


def test_a_network_that_finds_its_way_within_patience_is_not_warned_of(lifeless, trained):
    run = trained(*TINY, "model.output=relu", "trainer.max_epochs=2")
    assert run.metrics()["output/constant"] == 1
    assert "same for every image" not in run.log.read_text()


def test_a_dead_unit_is_counted_and_warned_of(trained, monkeypatch):
    from diabolo.training.autoencoder_module import AutoencoderModule

    encode, half = AutoencoderModule.encode, torch.tensor([1.0, 0, 1, 0])
    monkeypatch.setattr(AutoencoderModule, "encode", lambda self, x, labels=None: encode(self, x) * half)
    run = trained(*TINY, "callbacks.codes.patience=1")
    assert run.metrics()["code/dead_units"] == 2
    assert run.metrics()["output/constant"] == 0
    assert run.log.read_text().count("2 of 4 code units are dead, the same for every image (for 1 epochs") == 1


@pytest.fixture(scope="module")
def run(trained):
    return trained(*TINY, "trainer.max_epochs=4", "callbacks.codes.histogram_every_n_epochs=2")


@pytest.fixture(scope="module")
def codes(run):
    """The test images with their labels and the codes of the best weights."""
    data = opened_data(run.config())
    with torch.no_grad():
        return data.images("test"), data.labels("test"), load(run.path).encode(data.images("test")).numpy()


def test_a_healthy_run_is_not_warned_of(run):
    assert run.metrics()["output/constant"] == 0
    assert run.metrics()["code/dead_units"] == 0
    assert "same for every image" not in run.log.read_text()


def test_histograms_of_the_codes_come_every_n_epochs(run, codes):
    events = EventAccumulator(str(run.path), size_guidance={"histograms": 0}).Reload()
    histograms = {event.step: event.histogram_value for event in events.Histograms("code/values")}
    assert sorted(histograms) == [2, 4]
    assert run.metrics()["kept_epoch"] == 4
    assert histograms[4].num == codes[2].size
    assert histograms[4].sum == pytest.approx(codes[2].sum(), abs=1e-4 * float(abs(codes[2]).sum()))
    units = {event.step: event.histogram_value for event in events.Histograms("code/deviation_of_units")}
    assert units[4].sum == pytest.approx(codes[2].std(0, ddof=1).sum(), rel=1e-4)


def test_the_projector_has_the_codes_with_labels_and_thumbnails(run, codes):
    images, labels, expected = codes
    (folder,) = (path.parent for path in run.path.glob("*/code/tensors.tsv"))
    assert np.allclose(np.loadtxt(folder / "tensors.tsv", delimiter="\t"), expected, atol=1e-5)
    assert (folder / "metadata.tsv").read_text().split() == [str(int(label)) for label in labels]
    sprite = np.asarray(Image.open(folder / "sprite.png").convert("RGB")).astype(int)
    for index in (0, 7, 31):  # 32 thumbnails, 6 in a row
        top, left = index // 6 * 8, index % 6 * 8
        assert np.abs(sprite[top : top + 8, left : left + 8] - images[index, 0, :, :, None].numpy()).max() <= 1
    assert str(folder.relative_to(run.path)) in (run.path / "projector_config.pbtxt").read_text()
