"""What cannot be drawn costs a picture and a warning; the run is done. What cannot be measured ends it."""

import json

import pytest

from diabolo.callbacks.sparing import STRICT
from diabolo.errors import UserError
from support import TINY

ONE = ("callbacks=none", "logger=none")


def own(name: str, **arguments: str) -> list[str]:
    return [f"+callbacks.mine._target_=extensions.{name}", *(f"+callbacks.mine.{k}={v}" for k, v in arguments.items())]


@pytest.fixture
def forgiving(monkeypatch):
    monkeypatch.delenv(STRICT)


@pytest.fixture(scope="module")
def bare(trained):
    return trained(*TINY, *ONE)


def test_a_run_is_done_without_the_pictures_that_fail(forgiving, trained, bare, capsys):
    run = trained(*TINY, *ONE, *own("Clumsy"))
    assert run.state()["state"] == "done"
    assert run.metrics()["test/mse"] == bare.metrics()["test/mse"], "mode, weights and random numbers as they were"
    assert [path.name for path in (run.pictures / "clumsy").iterdir()] == ["epoch_0000.png"]
    log = run.log.read_text()
    said = "callbacks.mine could not draw, and the run goes on without: IndexError: index 9 is out of bounds"
    assert log.count(f"warning: {said}") == 1, "once, whatever the number of epochs"
    assert log.count("Traceback (most recent call last)") == 3, "two epochs and the best weights"
    assert "no such column" in log, "the line of the source"
    assert said in " ".join(capsys.readouterr().out.split())


def test_what_is_bound_to_fail_from_the_start_costs_no_training_either(forgiving, trained):
    run = trained(*TINY, *ONE, *own("Clumsy", failure="'at once'"))
    assert run.state()["state"] == "done"
    assert run.log.read_text().count("warning: callbacks.mine") == 1


def test_after_the_training_a_sentence_is_a_warning_and_before_it_a_refusal(forgiving, trained):
    run = trained(*TINY, *ONE, *own("Clumsy", failure="sentence"))
    assert (
        "callbacks.mine could not draw, and the run goes on without: there is nothing to draw." in run.log.read_text()
    )
    late = trained(
        *TINY, *ONE, "callbacks=[default]", *map("callbacks.interpolation.{}".format, ("random=0", "every_n_epochs=0"))
    )
    assert late.state()["state"] == "done"
    assert "could not draw, and the run goes on without: callbacks.interpolation: `pairs`" in late.log.read_text()
    with pytest.raises(UserError, match="name no pair"):
        trained(*TINY, "callbacks.interpolation.random=0")


def test_what_any_callback_does_after_the_test_costs_no_run(forgiving, trained):
    run = trained(*TINY, *ONE, *own("Afterwards"))
    assert run.state()["state"] == "done"
    assert "goes on without: PermissionError: [Errno 13] Permission denied: 'mine.txt'" in run.log.read_text()


@pytest.mark.parametrize("name", ["Projector.on_test_end", "Codes._look", "Codes histograms"])
def test_the_usual_callbacks_are_spared_where_they_draw_and_fail_where_they_measure(
    forgiving, trained, monkeypatch, name
):
    from torch.utils.tensorboard import SummaryWriter

    from diabolo.callbacks.codes import Codes

    def fails(*_, **__):
        raise ValueError("a bug")

    method = {"Projector.on_test_end": "add_embedding", "Codes histograms": "add_histogram"}.get(name)
    monkeypatch.setattr(*((SummaryWriter, method) if method else (Codes, "_look")), fails)
    more = ["callbacks.codes.histogram_every_n_epochs=1"]
    if not method:
        with pytest.raises(ValueError, match="a bug"):
            trained(*TINY, *more)
    else:
        run = trained(*TINY, *more)
        assert run.state()["state"] == "done"
        assert "goes on without: ValueError: a bug" in run.log.read_text()
        assert json.loads((run.path / "metrics.json").read_text())["code/dead_units"] == 0


def test_what_cannot_be_measured_fails_the_run(forgiving, trained):
    with pytest.raises(ZeroDivisionError):
        trained(*TINY, *ONE, *own("Measures"))


def test_the_tests_spare_nothing(trained):
    with pytest.raises(IndexError):
        trained(*TINY, *ONE, *own("Clumsy"))


def test_a_given_up_run_is_given_up(forgiving):
    from lightning import Trainer

    from diabolo.callbacks.sparing import sparing
    from diabolo.training.recording import GivenUp

    trainer = Trainer(logger=False, accelerator="cpu", enable_checkpointing=False, enable_progress_bar=False)
    with pytest.raises(GivenUp), sparing(trainer, "one"):
        raise GivenUp("no better than others")
