"""Generated images as a classifier sees them: the figures of plain code, for every bottleneck, and what is refused."""

import pytest
import torch

from diabolo.measures.generation import FIGURES, Features, generation_figures
from diabolo.measures.mixture import CodeMixture
from diabolo.measures.pca import pca_of
from diabolo.runs.folder import RunFolder
from diabolo.runs.loading import load
from support import TINY, opened_data, pixels

QUIET = (*TINY, "logger=none", "data.limit=200", "callbacks=generation", "callbacks.generation.components=2")
SEEING = (*TINY, "task=classify", "bottleneck.size=10", "callbacks=none", "logger=none")


@pytest.fixture(scope="module")
def classifier(trained) -> RunFolder:
    """A classifier with 16 features, whose pixels are normalised."""
    return trained(*SEEING, "data.mean=0.3", "data.std=0.5")


@pytest.fixture(scope="module")
def run(trained, classifier) -> RunFolder:
    return trained(*QUIET, f"callbacks.generation.features={classifier.path}", "data.eval_batch_size=7")


def ways(run: RunFolder) -> set[str]:
    suffix = "_frechet_distance"
    return {key[5 : -len(suffix)] for key in run.metrics() if key.endswith(suffix)}


@torch.no_grad()
def test_figures_are_those_of_plain_code(run, classifier):
    data, model, seeing = opened_data(run.config()), load(run.path), load(classifier.path)

    def seen(images):
        pixels = (images.flatten(1).clamp(0, 1) - 0.3) / 0.5
        return Features(torch.relu(seeing.classifier.encoder[1](pixels)))

    train, test = (data.images(split).float() / 255 for split in ("train", "test"))
    assert len(test) == 32 < len(train)
    pca = pca_of(data, 4).pca
    codes = CodeMixture(torch.from_numpy(pca.transform(train.flatten(1).numpy())), 1).sample(32)
    made = {
        "real": train[torch.linspace(0, len(train) - 1, 32).round().long()],
        "reconstructions": model.reconstruct(test),
        "gaussian": model.decode(CodeMixture(model.encode(train), 1).sample(32)),
        "mixture": model.decode(CodeMixture(model.encode(train), 2).sample(32)),
        "pca": torch.from_numpy(pca.inverse_transform(codes.numpy())),
    }
    assert ways(run) == set(made)
    recorded = run.metrics()
    for way, images in made.items():
        expected = generation_figures(seen(test), seen(images))
        found = {name: recorded[f"test/{way}_{name}"] for name in FIGURES}
        assert found == pytest.approx(expected, rel=1e-3, abs=1e-5), way


def test_a_row_of_each_way_is_drawn(run):
    picture = pixels(run.pictures / "generation" / "final.png")
    assert len(picture) == 5 * 58 - 2
    assert picture.shape[1] > 12 * 58


def test_the_training_is_left_alone(trained, classifier):
    measured = ("callbacks=generation", f"callbacks.generation.features={classifier.path}")
    runs = (trained(*TINY, "bottleneck=variational", "logger=none", *more) for more in (measured, ["callbacks=none"]))
    one, other = (torch.load(run.checkpoint("last"), weights_only=True)["state_dict"] for run in runs)
    assert all(torch.equal(one[name], other[name]) for name in other)


SLOW = ("bottleneck=vq", "bottleneck=nested", "model=conv_upsample model.upsample=unpool")


@pytest.mark.parametrize(
    "name", ["bottleneck=variational", *(pytest.param(one, marks=pytest.mark.slow) for one in SLOW)]
)
def test_every_kind_of_model_is_measured(trained, classifier, name):
    more = ("model.channels=[4]",) if "model" in name else ()
    run = trained(*QUIET, f"callbacks.generation.features={classifier.path}", *name.split(), *more)
    prior = {"prior"} if "variational" in name else set()
    assert ways(run) == {"real", "reconstructions", "gaussian", "mixture", "pca"} | prior


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["callbacks.generation.features=gone"], "callbacks.generation.features: 'gone' is not a run folder"),
        (["callbacks.generation.features=AUTOENCODER"], "is no run of a classifier"),
        (
            ["callbacks.generation.features=CLASSIFIER", "data.image_shape=[1,9,8]"],
            "of 1x8x8, and this run's are 1x9x8",
        ),
        (["callbacks.generation.features=CLASSIFIER", "data.test_limit=16"], "there are 16 of each kind to the 16"),
        (["callbacks.generation.features=CLASSIFIER", "callbacks.generation.count=9"], "raise `count` (= 9)"),
        ([], "callbacks.generation.features"),
        (
            ["callbacks.generation.features=CLASSIFIER", "task=classify", "callbacks=generation", "bottleneck.size=10"],
            "this run is a classifier",
        ),
    ],
)
def test_mistakes_are_one_sentence_before_anything_is_trained(diabolo, run, classifier, tmp_path, more, words):
    places = {"AUTOENCODER": str(run.path), "CLASSIFIER": str(classifier.path)}
    for name, place in places.items():
        more = [one.replace(name, place) for one in more]
    ended = diabolo("train", *QUIET, *more, "hydra.run.dir=refused")
    assert ended.code == 2
    assert words in ended.err
    assert len(ended.err.splitlines()) == 1, ended.err
    assert not (tmp_path / "refused").exists()
