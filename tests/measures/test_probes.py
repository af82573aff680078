"""Probes against scikit-learn used by hand on codes made by hand, and against a plain search for neighbours."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression

from diabolo.errors import UserError
from diabolo.measures.probes import Labelled, Probe, knn_accuracy, linear_accuracy
from diabolo.runs.config import compose_config
from diabolo.runs.folder import RunFolder
from diabolo.runs.loading import load
from support import TINY, opened_data

OTHERS_OFF = [f"callbacks.{name}=null" for name in ("reconstructions", "progression", "interpolation", "projector")]


def plain_linear(train: np.ndarray, labels: np.ndarray, test: np.ndarray, asked: np.ndarray) -> float:
    mean, deviation = train.mean(0), train.std(0)
    model = LogisticRegression(max_iter=1000).fit((train - mean) / deviation, labels)
    return float((model.predict((test - mean) / deviation) == asked).mean())


def plain_knn(train: np.ndarray, labels: np.ndarray, test: np.ndarray, asked: np.ndarray, k: int) -> float:
    right = 0
    for vector, label in zip(test, asked, strict=True):
        nearest = np.argsort(((train - vector) ** 2).sum(1), kind="stable")[:k]
        right += np.bincount(labels[nearest]).argmax() == label
    return right / len(test)


@pytest.fixture(scope="module")
def parts() -> tuple[Labelled, Labelled]:
    """Three overlapping clouds along an axis so short that the penalty would hold its weight down, and one of noise."""
    draw = np.random.default_rng(0)
    made = []
    for count in (150, 60):
        labels = draw.integers(0, 3, count)
        vectors = np.stack([(labels + draw.normal(0, 0.5, count)) / 100, draw.normal(0, 1, count)], 1)
        made.append(Labelled(torch.tensor(vectors, dtype=torch.float32), torch.tensor(labels)))
    return made[0], made[1]


def test_the_linear_probe_is_logistic_regression_on_standardised_codes(parts):
    (train, labels), (test, asked) = ((part.vectors.double().numpy(), part.labels.numpy()) for part in parts)
    assert linear_accuracy(*parts) == plain_linear(train, labels, test, asked) > 0.6


@pytest.mark.parametrize("k", [1, 5])
def test_the_nearest_neighbours_are_those_of_a_plain_search(parts, k):
    (train, labels), (test, asked) = ((part.vectors.numpy(), part.labels.numpy()) for part in parts)
    assert knn_accuracy(*parts, k) == plain_knn(train, labels, test, asked, k)


@pytest.fixture(scope="module")
def data():
    return opened_data(compose_config(TINY))


def test_the_chosen_images_lie_evenly_and_pixels_and_pca_are_theirs(data):
    probe = Probe(data, most_codes=30)
    places = np.round(np.linspace(0, data.count("train") - 1, 30)).astype(int)
    images = data.images("train").flatten(1).numpy() / 255
    train, test = probe.pixels()
    np.testing.assert_allclose(train.vectors, images[places], atol=1e-6)
    assert torch.equal(train.labels, data.labels("train")[places])
    assert torch.equal(test.labels, data.labels("test"))
    ours, theirs = probe.pca(3)
    pca = PCA(3).fit(images[places])
    np.testing.assert_allclose(abs(ours.vectors), abs(pca.transform(images[places])), atol=1e-4)
    np.testing.assert_allclose(abs(theirs.vectors), abs(pca.transform(test.vectors.numpy())), atol=1e-4)
    assert probe.pca(500)[0].vectors.shape == (30, 30), "as many components as there are images"


@pytest.fixture(scope="module")
def run(trained) -> RunFolder:
    return trained(*TINY, *OTHERS_OFF, "callbacks=[default,probe]", "callbacks.probe.most_codes=60")


def test_a_runs_metrics_hold_the_accuracies_of_its_codes_and_of_the_baselines(run, data):
    model, metrics = load(run.path), run.metrics()
    places = np.round(np.linspace(0, data.count("train") - 1, 60)).astype(int)
    with torch.no_grad():
        train, test = (model.encode(data.images(split)).double().numpy() for split in ("train", "test"))
    labels, asked = data.labels("train").numpy()[places], data.labels("test").numpy()
    assert metrics["test/linear_probe_accuracy"] == pytest.approx(plain_linear(train[places], labels, test, asked))
    probe = Probe(data, most_codes=60)
    for name, vectors in (("pca", probe.pca(4)), ("pixels", probe.pixels())):
        for figure, value in probe.measure(*vectors).items():
            assert metrics[f"test/{name}_{figure}"] == pytest.approx(value)


def test_the_command_prints_runs_beside_pca_and_pixels(run, data, diabolo):
    ended = diabolo("probe", str(run.path), "--codes", "60")
    assert ended.code == 0, ended.err
    cells = {line.split()[0]: line.split()[1:] for line in ended.out.splitlines() if line}
    metrics, probe = run.metrics(), Probe(data, most_codes=60)
    nearest = probe.measure(*probe.codes(load(run.path)))["knn_accuracy"]
    assert cells[str(run.path)] == ["4", f"{100 * metrics['test/linear_probe_accuracy']:.2f}", f"{100 * nearest:.2f}"]
    for name, size in (("PCA", "4"), ("pixels", "64")):
        known = [metrics[f"test/{name.lower()}_{figure}"] for figure in ("linear_probe_accuracy", "knn_accuracy")]
        assert cells[name] == [size, *(f"{100 * value:.2f}" for value in known)]
    assert "fitted on 60 training images, measured on 32 test images" in ended.out
    ended = diabolo("probe", "nowhere")
    assert (ended.code, ended.err.startswith("diabolo: 'nowhere' is not a run folder")) == (2, True)


def test_images_without_labels_are_left_out_and_where_none_has_one_it_is_refused(data):
    labels = data.labels("train").clone()
    labels[::2] = -1
    some = {"train": labels, "test": data.labels("test")}
    made = SimpleNamespace(labels=some.get, images=data.images, eval_batch_size=10)
    train, _ = Probe(made, most_codes=20).pixels()
    assert len(train.labels) == 20
    assert (train.labels >= 0).all()
    none = SimpleNamespace(labels=lambda split: torch.full((9,), -1))
    with pytest.raises(UserError, match="a probe needs labelled images of two classes or more"):
        Probe(none)
    with pytest.raises(UserError, match=r"`neighbours` \(= 21\) must be at most the 20 training codes"):
        knn_accuracy(train, train, 21)
