"""Anomaly detection: scores, areas by counting pairs, pictures, and what is refused."""

import numpy as np
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from diabolo.callbacks.anomaly import Scored, measure
from diabolo.data.datamodule import ImageData
from diabolo.data.images import MemoryImages, Splits
from diabolo.errors import UserError
from diabolo.runs.evaluation import evaluate
from diabolo.runs.folder import RunFolder
from diabolo.runs.loading import load
from support import TINY, drawn, opened_data

QUIET = tuple(f"callbacks.{name}=null" for name in ("projector", "interpolation", "codes", "progression"))
SETTINGS = (*TINY, *QUIET, "callbacks=[default,anomaly]", "data.test_limit=120", "data.eval_batch_size=50")


@pytest.fixture(scope="module")
def run(trained) -> RunFolder:
    return trained(*SETTINGS, "data.train_classes=[3,5]", "corruption=masking")


def auroc(normal: np.ndarray, anomalous: np.ndarray) -> float:
    """The rank-sum statistic: how often an anomalous image has the higher score; ties count half."""
    wins = sum((a > n) + 0.5 * (a == n) for a in anomalous for n in normal)
    return wins / (len(normal) * len(anomalous))


def average_precision(normal: np.ndarray, anomalous: np.ndarray) -> float:
    """The mean of the precision at each anomalous image, the highest score first; scores without ties."""
    ranked = sorted([(s, 0) for s in normal] + [(s, 1) for s in anomalous], reverse=True)
    hits, precisions = 0, []
    for place, (_, hit) in enumerate(ranked, 1):
        hits += hit
        precisions += [hits / place] if hit else []
    return float(np.mean(precisions))


def assert_areas(metrics: dict, prefix: str, normal: np.ndarray, anomalous: np.ndarray) -> None:
    assert metrics[f"{prefix}auroc"] == pytest.approx(auroc(normal, anomalous), abs=1e-6), prefix
    assert metrics[f"{prefix}average_precision"] == pytest.approx(average_precision(normal, anomalous), abs=1e-6)


def test_the_figures_are_those_of_plain_counting(run):
    data, model, metrics = opened_data(run.config()), load(run.path), run.metrics()
    images, labels, train = data.images("test"), data.labels("test").numpy(), data.images("train")
    assert set(data.labels("train").tolist()) == {3, 5}
    assert set(labels.tolist()) == set(range(10))
    given, clean = model.corrupted(images), images.numpy() / 255
    with torch.no_grad():
        ours = model.reconstruct(given).numpy()
    flat = train.flatten(1).double().numpy() / 255
    axes = np.linalg.svd(flat - flat.mean(0), full_matrices=False)[2][:4]
    pca = (given.flatten(1).numpy() - flat.mean(0)) @ axes.T @ axes + flat.mean(0)
    mean = np.broadcast_to(flat.mean(0), pca.shape)
    normal = np.isin(labels, [3, 5])
    guesses = {"": ours, "pca_": pca, "mean_image_": mean}
    for prefix, guess in guesses.items():
        scores = np.square(guess.reshape(clean.shape) - clean).mean((1, 2, 3))
        assert_areas(metrics, f"test/{prefix}", scores[normal], scores[~normal])
    scores = np.square(ours - clean).mean((1, 2, 3))
    for label in range(10):
        own = labels == label
        groups = (scores[own], scores[~normal]) if label in (3, 5) else (scores[normal], scores[own])
        assert_areas(metrics, f"test/class_{label}_", *groups)


def test_images_without_a_label_are_left_out_and_ties_count_half():
    scores = torch.tensor([0.1, 0.4, 0.4, 0.2])
    anomalous = torch.tensor([False, False, True, True])
    measured = measure(Scored(torch.tensor([0, 1, 3, 4]), torch.tensor([1, 1, 2, 2]), anomalous, {"": scores}))
    assert measured["test/auroc"] == measured["test/class_1_auroc"] == measured["test/class_2_auroc"] == 2.5 / 4


def test_the_curves_of_the_kept_weights_are_in_tensorboard_and_a_second_look_gives_the_same(run):
    events = EventAccumulator(str(run.path)).Reload()
    assert events.Scalars("test/auroc")[0].value == pytest.approx(run.metrics()["test/auroc"])
    for name in ("anomaly_scores", "anomaly_curves", "anomaly_images"):
        (shown,) = drawn(run.path, f"{name}/final").values()
        file = run.pictures / name / "final.png"
        assert np.array_equal(shown, np.asarray(Image.open(file)))
        assert len(np.unique(shown.reshape(-1, 3), axis=0)) > 20
        file.unlink()
    again = evaluate(run.path)
    assert not (run.pictures / "anomaly_images" / "final.png").exists(), "an evaluation draws nothing"
    names = [name for name in run.metrics() if "auroc" in name or "precision" in name]
    assert len(names) == 2 * (3 + 10)
    assert {name: again[name] for name in names} == {name: run.metrics()[name] for name in names}


def test_a_class_left_out_of_the_training_is_the_anomaly(trained):
    run = trained(*SETTINGS, "data.exclude_classes=[0]", "logger=none")
    metrics = run.metrics()
    assert metrics["test/class_0_auroc"] == metrics["test/auroc"]
    assert metrics["test/class_1_auroc"] != metrics["test/auroc"]


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        ((), "callbacks.anomaly needs test images of classes that are trained on and of others: leave some out of"),
        (("data.train_classes=[12]",), "`data.train_classes` (= [12]) names 12, but no training image has that label:"),
        (("data.exclude_classes=[]",), "`data.exclude_classes` (= []) must be a list of labels, such as [3]"),
        (("data.train_classes=3",), "`data.train_classes` (= 3) must be a list of labels, such as [3] or [0,1]"),
        (("data.train_classes=[a]",), "`data.train_classes[0]` (= 'a') must be a whole number of at least 0."),
        (
            ("data.train_classes=[3]", "data.exclude_classes=[3]"),
            "`data.exclude_classes` (= [3]) leaves no training image: keep at least one class.",
        ),
    ],
)
def test_what_cannot_be_measured_is_said_before_the_training(trained, overrides, sentence):
    with pytest.raises(UserError) as failed:
        trained(*TINY, "callbacks=[anomaly]", "logger=none", *overrides)
    assert sentence in str(failed.value)


def data_of(labels, **options) -> ImageData:
    images = MemoryImages(torch.arange(len(labels)).byte().view(-1, 1, 1, 1).expand(-1, 1, 8, 8), torch.tensor(labels))
    data = ImageData(lambda **_: Splits(images, images), (1, 8, 8), **{"val_fraction": 0, **options})
    data.setup()
    return data


def test_classes_are_left_out_of_training_and_validation_before_the_limit_and_the_test_keeps_all():
    labels = [0, 1, 2, 1, 0, 1, 2, 1, 1, 0]
    assert data_of(labels, train_classes=[1], limit=3, limit_by="first").images("train")[:, 0, 0, 0].tolist() == [
        1,
        3,
        5,
    ]
    assert data_of(labels, exclude_classes=[1, 0]).images("train")[:, 0, 0, 0].tolist() == [2, 6]
    both = data_of(labels, train_classes=[0, 1], exclude_classes=[0], val_fraction=0.4)
    assert both.labels("train").tolist() + both.labels("val").tolist() == [1] * 5
    assert both.labels("test").tolist() == labels


def test_images_without_labels_have_no_classes():
    with pytest.raises(UserError, match=r"names 3, but no training image has that label: they have no labels\."):
        data_of([-1, -1], train_classes=[3])
