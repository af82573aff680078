"""Labels in encoder and decoder, and what a conditional run can be asked."""

import os

import numpy as np
import pytest
import torch

from diabolo.errors import UserError
from diabolo.network.autoencoder import Autoencoder
from diabolo.network.bottlenecks.nested import Nested
from diabolo.network.bottlenecks.vector import Vector
from diabolo.network.condition import Condition
from diabolo.network.families.fc import FCDecoder, FCEncoder
from diabolo.runs.build import build_data, build_module
from diabolo.runs.config import compose_config
from diabolo.runs.loading import load
from support import TINY

SHAPE = (1, 8, 8)
IMAGES = torch.rand(6, *SHAPE, generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor([0, 2, 1, 2, 0, 1])


def network(bottleneck=None) -> Autoencoder:
    torch.manual_seed(0)
    bottleneck = bottleneck or Vector(4)
    condition = Condition(3, 4)
    torch.nn.init.normal_(condition.shift.weight)
    return Autoencoder(FCEncoder(SHAPE, 4, (9,)), bottleneck, FCDecoder(7, SHAPE, (9,)), SHAPE, condition=condition)


def test_a_label_shifts_the_encoders_numbers_and_stands_behind_the_code():
    ours = network()
    one_hot = torch.eye(3)[LABELS]
    codes = ours.encoder(IMAGES) + one_hot @ ours.condition.shift.weight
    torch.testing.assert_close(ours.encode(IMAGES, labels=LABELS), codes)
    images = ours.decoder(torch.cat([codes, one_hot], 1)).sigmoid()
    torch.testing.assert_close(ours.decode(codes, labels=LABELS), images)
    torch.testing.assert_close(ours.reconstruct(IMAGES, LABELS), images)
    out = ours(IMAGES, LABELS)
    torch.testing.assert_close(out.raw.sigmoid(), images)
    assert (ours.code_size, out.code.shape) == (4, (6, 4))


def test_it_is_what_a_linear_layer_on_the_label_beside_the_hidden_numbers_gives():
    ours = network()
    *hidden, last = ours.encoder
    wide = torch.nn.Linear(9 + 3, 4)
    wide.weight.data = torch.cat([last.weight, ours.condition.shift.weight.T], 1).data
    wide.bias.data = last.bias.data
    expected = wide(torch.cat([torch.nn.Sequential(*hidden)(IMAGES), torch.eye(3)[LABELS]], 1))
    torch.testing.assert_close(ours.encode(IMAGES, labels=LABELS), expected)


def test_several_codes_an_image_have_its_label():
    ours = network(Nested(4, sizes=[4], truncations=3)).train()
    raw = ours(IMAGES, LABELS).raw
    torch.testing.assert_close(raw[:6], raw[6:12])


def test_a_step_teaches_the_labels_vectors():
    module = build_module(compose_config((*TINY, "bottleneck.conditional=true")))
    module.training_loss(torch.rand(6, *SHAPE), LABELS).backward()
    grads = module.autoencoder.condition.shift.weight.grad
    assert grads[:3].any(1).all()
    assert not grads[3:].any()


def test_without_labels_it_refuses_in_one_sentence():
    with pytest.raises(UserError, match=r"this network is conditional .* --label on the command line"):
        network().encode(IMAGES)


@pytest.fixture(scope="module")
def run(trained):
    return trained(*TINY, "bottleneck.conditional=true", "bottleneck=variational", "callbacks=[default,samples,probe]")


def test_a_run_is_measured_drawn_and_loaded(run):
    metrics = run.metrics()
    assert {"test/mse", "test/knn_accuracy", "test/linear_probe_accuracy", "code/kl"} <= set(metrics)
    drawn = {path.name for path in run.pictures.iterdir()}
    assert {"reconstructions", "progression", "interpolation", "samples"} <= drawn
    model = load(run.path)
    one, other = (model.reconstruct(IMAGES, label) for label in (3, np.full(6, 4)))
    assert not torch.equal(one, other)
    with pytest.raises(UserError, match=r"labels must be whole numbers from 0 to 9 .*, not 3 to 10"):
        model.reconstruct(IMAGES, [3, 4, 5, 6, 7, 10])
    with pytest.raises(UserError, match=r"labels must be 6, one for each, or one for all, not \[2\]"):
        model.reconstruct(IMAGES, [3, 4])


def test_the_commands_that_take_a_label_take_it(run, diabolo, tmp_path):
    path = str(run.path)
    assert diabolo("encode", path, "--split", "test", "--out", "codes.npz").code == 0
    codes = np.load("codes.npz")["codes"]
    model, split = load(run.path), run_test_split(run)
    expected = model.encode(*split)
    np.testing.assert_allclose(codes, expected.numpy(), atol=1e-6)
    assert diabolo("decode", path, "codes.npz", "--label", "3", "--out", "made").code == 0
    assert diabolo("sample", path, "-n", "4", "--label", "3", "--out", "sheet.png").code == 0
    assert diabolo("sample", path, "-n", "12", "--out", "sheets.png").code == 0
    assert diabolo("reconstruct", path, "--split", "test", "--out", "again").code == 0


def run_test_split(run):
    data = build_data(run.config())
    data.setup()
    return data.images("test", range(data.count("test"))), data.labels("test")


@pytest.mark.parametrize(("words", "said"), [
    (["decode", "RUN", "codes.npz", "--out", "made"], "say by --label which label these have, 0 to 9."),
    (["sample", "RUN", "--label", "10", "--out", "sheet.png"], "`--label` (= 10) must be at most 9"),
    (["export", "RUN", "--out", "network.onnx"], "this command gives no labels to its network"),
    (["explore", "RUN", "--out", "page.html"], "this command gives no labels to its network"),
])  # fmt: skip
def test_the_others_refuse_in_one_sentence(run, diabolo, words, said):
    np.savez("codes.npz", codes=np.zeros((2, 4), np.float32))
    ended = diabolo(*(str(run.path) if word == "RUN" else word for word in words))
    assert ended.code == 2
    assert said in ended.err
    assert not any(name in ("made", "sheet.png", "network.onnx", "page.html") for name in os.listdir())


def test_images_without_labels_or_with_others_are_refused_before_the_training(trained):
    with pytest.raises(UserError, match=r"`bottleneck.classes` \(= 5\) needs labels from 0 to 4"):
        trained(*TINY, "bottleneck.conditional=true", "bottleneck.classes=5", "callbacks=none", "logger=none")


def test_a_plane_of_codes_has_no_label(trained):
    with pytest.raises(UserError, match=r"`bottleneck.conditional` \(= true\) leaves a plane of codes without labels"):
        trained(*TINY, "bottleneck.conditional=true", "callbacks=[latent_map]", "logger=none")


def test_a_classifier_is_given_no_labels():
    with pytest.raises(UserError, match=r"`bottleneck.conditional` \(= True\) has no place in `task`"):
        build_module(compose_config(("model=lenet", "task=classify", "bottleneck.conditional=true")))
