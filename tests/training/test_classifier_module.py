"""Classifiers: the same weights and figures as plain computations, what they cannot do, and the confusion matrix."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from diabolo.callbacks.confusion import confusion_matrix
from diabolo.errors import UserError
from diabolo.runs.build import build_module
from diabolo.runs.config import compose_config
from diabolo.runs.evaluation import evaluate
from diabolo.runs.folder import RunFolder
from diabolo.runs.loading import load
from diabolo.training.classifier_module import ClassifierModule
from support import drawn, opened_data

SMALL = (
    *("task=classify", "model=fc", "model.hidden=[16]", "data.image_shape=[1,8,8]", "data.limit=96"),
    *("data.test_limit=48", "data.batch_size=32", "trainer.max_epochs=2", "trainer.accelerator=cpu", "scheduler=none"),
)


@pytest.fixture(scope="module")
def run(trained) -> RunFolder:
    return trained(*SMALL, "data.mean=0.2", "data.std=0.4")


@pytest.fixture(scope="module")
def data(run):
    return opened_data(run.config())


def test_two_epochs_equal_a_plain_loop_bit_for_bit(run, data):
    images, labels = data.images("train").float() / 255, data.labels("train")
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10))
    optimizer = torch.optim.Adam(network.parameters(), lr=0.005, fused=True)
    for epoch in range(2):
        order = torch.randperm(86, generator=torch.Generator().manual_seed(epoch))
        for batch in order.split(32):
            loss = nn.functional.cross_entropy(network((images[batch] - 0.2) / 0.4), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    kept = torch.load(run.checkpoint("last"), weights_only=True)["state_dict"]
    for name, weight in network.named_parameters():
        assert torch.equal(kept[f"classifier.encoder.{name}"], weight), name


def test_features_are_what_the_last_linear_layer_gets(run, data, trained):
    model, images = load(run.path), data.images("test")
    features = model.features(images)
    last = model.classifier.encoder[-1]
    assert (features.shape, last.in_features) == ((48, 16), 16)
    torch.testing.assert_close(last(features), model(images))
    headed = load(trained(*SMALL, "task.head=true", "bottleneck.size=5", "callbacks=none").path)
    assert torch.equal(headed.features(images), headed.encode(images))


def test_a_classifier_of_convolutions_alone_has_no_features():
    config = compose_config([*SMALL, "model=conv_transpose", "model.channels=[4]", "model.head=conv"])
    with pytest.raises(UserError, match="no linear layer"):
        build_module(config).features(torch.zeros(1, 1, 8, 8))


def test_loss_accuracy_and_that_of_each_class_are_those_of_a_plain_count(run, data):
    model = load(run.path)
    for split in ("val", "test"):
        with torch.no_grad():
            logits = model(data.images(split))
        right = (logits.argmax(1) == data.labels(split)).numpy()
        assert torch.equal(model.classify(data.images(split)), logits.argmax(1))
        assert run.metrics()[f"{split}/accuracy"] == pytest.approx(right.mean())
        loss = nn.functional.cross_entropy(logits, data.labels(split))
        assert run.metrics()[f"{split}/loss"] == pytest.approx(float(loss), rel=1e-5)
    for label in range(10):
        of_label = data.labels("test").numpy() == label
        assert run.metrics()[f"test/class_{label}_accuracy"] == pytest.approx(right[of_label].mean())


def test_the_kept_weights_are_those_of_the_highest_accuracy(trained):
    run = trained(*SMALL, "trainer.max_epochs=8", "optimizer.lr=0.05")
    seen = [json.loads(line)["val/accuracy"] for line in run.history.read_text().splitlines()]
    assert run.metrics()["kept_epoch"] == 1 + int(np.argmax(seen))
    assert min(seen) < max(seen) == run.metrics()["val/accuracy"]


def test_a_class_without_a_test_image_has_no_accuracy(trained):
    figures = trained(*SMALL, "data.test_limit=3").metrics()
    assert sum(name.startswith("test/class_") for name in figures) <= 3
    assert np.isfinite([value for value in figures.values() if isinstance(value, float)]).all()


def test_a_head_takes_a_code_of_any_size_to_the_classes(trained):
    run = trained(*SMALL, "bottleneck.size=3", "task.head=true")
    model = load(run.path)
    images = torch.rand(5, 1, 8, 8)
    with torch.no_grad():
        codes, logits = model.encode(images), model(images)
    head = model.classifier.head
    assert (codes.shape, run.metrics()["code_size"]) == ((5, 3), 3)
    torch.testing.assert_close(logits, codes @ head.weight.T + head.bias)


def test_the_confusion_matrix_counts_each_pair_of_true_and_named_label():
    labels, named = [0, 0, 1, 2, 2, 2], [0, 1, 1, 0, 2, 2]
    wanted = [[sum((t, n) == pair for pair in zip(labels, named, strict=True)) for n in range(4)] for t in range(4)]
    assert confusion_matrix(torch.tensor(labels), torch.tensor(named), 4).tolist() == wanted


def test_the_confusion_matrix_is_drawn_before_during_and_after(run):
    files = sorted(path.name for path in (run.pictures / "confusion").glob("*.png"))
    assert files == ["epoch_0000.png", "epoch_0002.png", "final.png"]
    pictures = drawn(run.path, "confusion")
    assert list(pictures) == [0, 2]
    assert not np.array_equal(pictures[0], pictures[2])


def test_a_run_folder_of_a_classifier_serves_the_other_commands(run, diabolo):
    assert "decoder" not in run.config()
    assert "loss" not in run.config()
    measured = evaluate(run.path)
    assert measured == {name: run.metrics()[name] for name in measured}
    folder = str(run.path.parent)
    percent = f"{100 * run.metrics()['test/accuracy']:.4g}"
    assert percent in diabolo("runs", "ls", folder).out
    assert percent in diabolo("compare", folder).out
    told = diabolo("inspect", *SMALL).out
    assert "Linear 16->10" in told
    assert "parameters: 1,210 (encoder 1,210)" in told


def test_compare_names_the_classifier_of_the_highest_accuracy(diabolo, tmp_path):
    from made_runs import write_run

    for seed, accuracy in ((0, 0.8), (1, 0.9)):
        figures = {"val/accuracy": accuracy, "test/accuracy": accuracy + 0.05}
        write_run(tmp_path / "runs" / f"s{seed}", metrics=figures, config={"optimizer.lr": seed})
    best = (
        "Best accuracy (chosen on validation images, measured on test images): optimizer.lr=1, with accuracy 95 %, best"
    )
    assert best in diabolo("compare", "runs").out


def test_nothing_is_reconstructed(run):
    model = load(run.path)
    assert isinstance(model, ClassifierModule)
    for call in (model.decode, model.reconstruct):
        with pytest.raises(UserError, match="this run is a classifier: it has no decoder"):
            call(torch.zeros(1, 10))


REFUSED = {
    "bottleneck.size=7": "`bottleneck.size` (= 7) must be the number of classes, `task.classes` (= 10)",
    "task.classes=1 bottleneck.size=1": "`task.classes` (= 1) must be a whole number of at least 2",
    "task.classes=7 bottleneck.size=7": "images of label 9, and `task.classes` (= 7) needs labels from 0 to 6",
    "encoder.frozen=true": "`encoder.frozen` leaves nothing of a classifier to train",
    "callbacks=[default]": "this run is a classifier: it has no decoder, and reconstructs nothing",
    **{
        f"callbacks=[{name}]": "this run is a classifier: it has no decoder, and reconstructs nothing"
        for name in ("anomaly", "checkerboard", "latent_map", "samples", "traversals", "truncation", "units")
    },
    "callbacks=[denoising] corruption=gaussian": "this run is a classifier: it has no decoder",
    "task=autoencode callbacks=[classify]": "a confusion matrix is drawn of a classifier",
}


@pytest.mark.parametrize("overrides", REFUSED)
def test_what_does_not_fit_is_refused_in_one_sentence(diabolo, overrides):
    ended = diabolo("train", *SMALL, "logger=none", *overrides.split())
    assert (ended.code, ended.err.count("\n")) == (2, 1), ended.err
    assert REFUSED[overrides] in ended.err


def test_a_task_is_given_the_parts_that_its_class_has_arguments_for():
    module = build_module(compose_config(["task._target_=extensions.Takes", "+task.more=5"]))
    assert (type(module.encoder).__name__, module.image_shape, module.more) == ("ConvEncoder", [1, 28, 28], 5)


def test_a_corruption_is_put_on_what_is_trained_on_and_what_is_measured(trained):
    noisy = trained(*SMALL, "corruption=gaussian")
    data, model = opened_data(noisy.config()), load(noisy.path)
    with torch.no_grad():
        logits = model(model.corrupted(data.images("test")))
    right = float((logits.argmax(1) == data.labels("test")).float().mean())
    assert noisy.metrics()["test/accuracy"] == pytest.approx(right)
    assert noisy.metrics()["train/loss"] != trained(*SMALL).metrics()["train/loss"]


def test_kernels_and_feature_maps_are_drawn_of_a_classifier(trained):
    run = trained(*SMALL, "callbacks=[kernels,feature_maps]", "trainer.max_epochs=1")
    assert {path.name for path in run.pictures.iterdir()} == {"kernels", "feature_maps"}


def test_a_penalty_on_the_code_is_added_to_the_loss():
    images, labels = torch.rand(6, 1, 8, 8), torch.arange(6)
    plain, sparse = made(), made("penalty=l1", "penalty.weight=0.5")
    with torch.no_grad():
        losses = [float(module.training_loss(images, labels)) for module in (plain, sparse)]
        wanted = 0.5 * float(plain.encode(images).abs().sum(1).mean())
    assert losses[1] - losses[0] == pytest.approx(wanted, rel=1e-4)


def made(*overrides: str) -> ClassifierModule:
    torch.manual_seed(0)
    return build_module(compose_config([*SMALL, *overrides]))
