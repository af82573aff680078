"""`diabolo evaluate RUN --generation`: the figures of the callback, printed and written where `compare` finds them."""

import shutil

import pytest

from diabolo.measures.generation import FIGURES
from diabolo.runs.folder import RunFolder
from support import TINY

QUIET = (*TINY, "callbacks=none", "logger=none")


@pytest.fixture(scope="module")
def classifier(trained) -> RunFolder:
    return trained(*QUIET, "task=classify", "bottleneck.size=10")


@pytest.fixture(scope="module")
def plain(trained) -> RunFolder:
    return trained(*QUIET, "bottleneck=variational")


@pytest.fixture
def run(plain, tmp_path) -> RunFolder:
    """A copy, to write into."""
    return RunFolder(shutil.copytree(plain.path, tmp_path / "run"))


def test_it_says_and_writes_what_the_callback_measures(diabolo, run, classifier, trained):
    before = run.metrics()
    ended = diabolo(
        "evaluate", "run", "--generation", "--features", str(classifier.path), "--count", "24", "--seed", "1"
    )
    assert ended.code == 0, ended.err
    names = ("training images", "reconstructions", "prior", "mixture", "Gaussian", "PCA + Gaussian")
    lines = ended.out.splitlines()
    assert "against 24 test images" in ended.out
    assert [line for name in names for line in lines if line.startswith(name)] == lines[-6:]
    after = run.metrics()
    assert {key: value for key, value in after.items() if key in before} == before
    assert (after.pop("generation/features"), after.pop("generation/count")) == (str(classifier.path), 24)
    assert len(after) - len(before) == 6 * len(FIGURES)
    settings = (f"callbacks.generation.{key}" for key in (f"features={classifier.path}", "count=24", "seed=1"))
    asked = trained(*TINY, "logger=none", "bottleneck=variational", "callbacks=generation", *settings).metrics()
    assert {key: after[key] for key in after.keys() - before} == pytest.approx(
        {key: asked[key] for key in after.keys() - before}, abs=1e-6
    )
    assert f"{after['test/mixture_frechet_distance']:.4g}" in lines[-3]


def test_compare_shows_and_sorts_by_the_figures(diabolo, run, plain, classifier, tmp_path):
    shutil.copytree(run.path, tmp_path / "runs" / "measured")
    assert diabolo("evaluate", "runs/measured", "--generation", "--features", str(classifier.path)).code == 0
    table = diabolo("compare", "runs", "--sort", "test/mixture_recall")
    assert table.code == 0, table.err
    assert {"test/mixture_frechet_distance", "test/mixture_recall"} <= set(table.out.split())
    assert "measured" in diabolo("runs", "ls", "runs", "--where", "test/prior_frechet_distance>0").out


def test_a_run_that_has_the_callback_needs_no_more_said(diabolo, trained, classifier):
    run = trained(*TINY, "logger=none", "callbacks=generation", f"callbacks.generation.features={classifier.path}")
    ended = diabolo("evaluate", str(run.path), "--generation")
    assert ended.code == 0, ended.err
    assert run.metrics()["generation/count"] == 32, "as many as the test split has"
    assert f"{run.metrics()['test/mixture_frechet_distance']:.4g}" in ended.out


def test_a_classifier_that_has_gone_costs_evaluate_no_more_than_a_word(diabolo, trained, classifier, tmp_path):
    place = shutil.copytree(classifier.path, tmp_path / "seeing")
    run = trained(*TINY, "logger=none", "callbacks=generation", f"callbacks.generation.features={place}")
    shutil.rmtree(place)
    ended = diabolo("evaluate", str(run.path))
    assert ended.code == 2
    assert "Or go without: callbacks.generation=null." in ended.err
    assert diabolo("evaluate", str(run.path), "callbacks.generation=null").code == 0


def test_the_config_of_the_classifier_is_not_trusted_unseen(diabolo, run, classifier, tmp_path):
    place = shutil.copytree(classifier.path, tmp_path / "strange")
    config = place / "config.yaml"
    config.write_text(config.read_text() + "strange:\n  _target_: shutil.copy\n")
    ended = diabolo("evaluate", "run", "--generation", "--features", "strange")
    assert ended.code == 2
    assert "names 'shutil.copy'" in ended.err
    assert diabolo("evaluate", "run", "--generation", "--features", "strange", "--trust").code == 0


def test_a_run_that_is_not_done_keeps_no_figures(diabolo, run, classifier):
    run.mark("stopped")
    before = (run.path / "metrics.json").read_text()
    assert diabolo("evaluate", "run", "--generation", "--features", str(classifier.path)).code == 0
    assert (run.path / "metrics.json").read_text() == before


def test_damaged_metrics_are_said_behind_the_table_and_left(diabolo, run, classifier):
    (run.path / "metrics.json").write_text("{")
    ended = diabolo("evaluate", "run", "--generation", "--features", str(classifier.path))
    assert (ended.code, "PCA + Gaussian" in ended.out) == (2, True)
    assert "metrics.json" in ended.err
    assert (run.path / "metrics.json").read_text() == "{"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--generation"], "--generation needs --features RUN"),
        (["--features", "x"], "--features is for diabolo evaluate --generation"),
        (["--generation", "--features", "gone"], "'gone' is not a run folder"),
        (["--generation", "--features", "run"], "is no run of a classifier"),
        (["--generation", "--features", "CLASSIFIER", "--count", "5"], "more images than features"),
        (["--generation", "--features", "CLASSIFIER", "--count", "0"], "(= 0) must be a whole number"),
        (["--generation", "--features", "CLASSIFIER", "--seed", "-1"], "(= -1) must be a whole number"),
        (["--generation", "--features", "CLASSIFIER", "bottleneck.size=5"], "`bottleneck.size` is settled"),
    ],
)
def test_mistakes_are_one_sentence(diabolo, run, classifier, arguments, words):
    before = (run.path / "metrics.json").read_text()
    arguments = [str(classifier.path) if one == "CLASSIFIER" else one for one in arguments]
    ended = diabolo("evaluate", "run", *arguments)
    assert ended.code == 2
    assert words in ended.err
    assert len(ended.err.splitlines()) == 1, ended.err
    assert (run.path / "metrics.json").read_text() == before
