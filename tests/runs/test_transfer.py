"""Encoders that start from another run's, frozen or not."""

import shutil

import pytest
import torch
from torch import nn

from diabolo.errors import UserError
from diabolo.network.layers import freeze
from diabolo.runs.folder import RunFolder
from diabolo.runs.loading import load
from diabolo.runs.train import resume
from diabolo.runs.transfer import start_from
from support import TINY

BARE = (*TINY, "callbacks=none", "logger=none", "scheduler=none")

pytestmark = pytest.mark.filterwarnings("ignore:Checkpoint directory .* is not empty")  # it is the run's own


@pytest.fixture(scope="module")
def source(trained) -> RunFolder:
    return trained(*BARE, "seed=7")


def encoder_of(run: RunFolder, name: str = "last") -> dict[str, torch.Tensor]:
    kept = torch.load(run.checkpoint(name), weights_only=True)["state_dict"]
    return {key.split(".", 2)[2]: value for key, value in kept.items() if ".encoder." in key}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def test_an_encoder_starts_with_exactly_the_kept_weights_of_the_source(source, trained):
    still = trained(*BARE, "optimizer=sgd", "optimizer.lr=1e-30", f"encoder.init_from={source.path}")
    assert same(encoder_of(still), encoder_of(source, "best"))
    fresh = trained(*BARE, "optimizer=sgd", "optimizer.lr=1e-30")
    assert not same(encoder_of(fresh), encoder_of(source, "best"))


def test_a_frozen_encoder_does_not_move_and_another_one_does(source, trained):
    frozen = trained(*BARE, f"encoder.init_from={source.path}", "encoder.frozen=true", "optimizer.weight_decay=0.1")
    tuned = trained(*BARE, f"encoder.init_from={source.path}")
    assert same(encoder_of(frozen), encoder_of(source, "best"))
    assert not same(encoder_of(tuned), encoder_of(source, "best"))
    before, after = load(source.path), load(frozen.path)
    assert not torch.equal(before.autoencoder.decoder[0].weight, after.autoencoder.decoder[0].weight)


def test_classifiers_and_autoencoders_start_from_each_other(source, trained):
    classify = ("task=classify", "callbacks=none", "bottleneck.size=4", "task.head=true")
    probe = trained(*BARE, *classify, f"encoder.init_from={source.path}", "encoder.frozen=true")
    assert same(encoder_of(probe), encoder_of(source, "best"))
    back = trained(*BARE, f"encoder.init_from={probe.path}", "encoder.frozen=true")
    assert same(encoder_of(back), encoder_of(source, "best"))


def test_a_run_goes_on_without_its_source(source, trained, tmp_path):
    shutil.copytree(source.path, tmp_path / "source")
    begun = (*BARE, f"encoder.init_from={tmp_path / 'source'}")
    short, long = trained(*begun), trained(*begun, "trainer.max_epochs=4")
    shutil.rmtree(tmp_path / "source")
    resume(short.path, ["trainer.max_epochs=4"])
    assert same(encoder_of(short), encoder_of(long))
    load(short.path)


def test_a_frozen_part_stays_in_evaluation_mode_without_gradients():
    part = freeze(nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)))
    network = nn.Sequential(part, nn.Linear(4, 2)).train()
    before = {key: value.clone() for key, value in part.state_dict().items()}
    for _ in range(2):
        network(torch.rand(8, 3)).sum().backward()
    assert same(dict(part.state_dict()), before)
    assert all(parameter.grad is None for parameter in part.parameters())
    assert network[1].weight.grad is not None


@pytest.mark.parametrize(
    ("encoder", "sentence"),
    [
        (nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 5)), "`encoder.3.weight` is 4x16 there"
         " and 5x16 here"),
        (nn.Sequential(nn.Flatten(), nn.Linear(64, 4)), "`encoder.1.weight` is 16x64 there and 4x64 here"),
        (nn.Sequential(nn.Flatten(), nn.Linear(64, 16)), "`encoder.3.weight` is 4x16 there and missing here"),
        (nn.Sequential(nn.Conv2d(1, 2, 3)), "`encoder.0.weight` is missing there and 2x1x3x3 here"),
    ],
)  # fmt: skip
def test_the_first_layer_that_does_not_fit_is_named(source, encoder, sentence):
    with pytest.raises(UserError, match=sentence):
        start_from(encoder, str(source.path))


def test_a_folder_that_is_no_run_is_refused_and_one_with_equals_signs_needs_no_quotes(diabolo, tmp_path, source):
    ended = diabolo("train", *BARE, "encoder.init_from=nowhere")
    assert ended.code == 2
    assert ended.err.startswith(f"diabolo: '{tmp_path}/nowhere' is not a run folder")
    shutil.copytree(source.path, tmp_path / "a=1_b=2")
    ended = diabolo("train", *BARE, "encoder.init_from=a=1_b=2", "hydra.run.dir=run")
    assert ended.code == 0, ended.err
    assert RunFolder("run").config().encoder.init_from == str(tmp_path / "a=1_b=2")
