"""Training: the same numbers as plain loops written here, and what each switch of the trainer does."""

import json
from math import cos, pi

import numpy as np
import pytest
import torch
from torch import nn

from diabolo.runs.config import compose_config
from diabolo.runs.folder import RunFolder
from diabolo.runs.loading import load
from extensions import Rates, Watching
from support import TINY, opened_data, write_mnist

BARE = (*TINY, "callbacks=none", "logger=none", "scheduler=none")
STEPS = 3  # an epoch: 86 images, 32 a step


def weights(run: RunFolder, name: str = "last") -> list[torch.Tensor]:
    """The weights of a checkpoint, from the image to the image."""
    kept = torch.load(run.checkpoint(name), weights_only=True)["state_dict"]
    return [kept[f"autoencoder.{at}"] for at in NAMES]


NAMES = [f"{layer}.{kind}" for layer in ("encoder.1", "encoder.3", "decoder.0", "decoder.2")
         for kind in ("weight", "bias")]  # fmt: skip


def history(run: RunFolder) -> list[dict]:
    return [json.loads(line) for line in run.history.read_text().splitlines()]


def same(first: list[torch.Tensor], second: list[torch.Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


class Plain:
    """Two epochs of the tiny run as one would write them by hand."""

    def __init__(self, clip: float | None = None, decay: float | None = None, epochs: int = 2) -> None:
        data = opened_data(compose_config(BARE))
        self.images = {split: data.images(split).float() / 255 for split in ("train", "val", "test")}
        torch.manual_seed(0)
        encoder = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 4))
        decoder = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 64), nn.Unflatten(1, (1, 8, 8)))
        self.network = nn.Sequential(encoder, decoder, nn.Sigmoid())
        self.averages = [p.detach().clone() for p in self.network.parameters()]
        self.losses = []
        optimizer = torch.optim.Adam(self.network.parameters(), lr=0.005, fused=True)
        step = 0
        for epoch in range(epochs):
            order = torch.randperm(86, generator=torch.Generator().manual_seed(epoch))  # seed 0
            total = 0.0
            for batch in self.images["train"][order].split(32):
                loss = nn.functional.mse_loss(self.network(batch), batch)
                optimizer.zero_grad()
                loss.backward()
                if clip:
                    nn.utils.clip_grad_norm_(self.network.parameters(), clip)
                optimizer.step()
                total += float(loss.detach()) * len(batch)
                self._average(decay, step)
                step += 1
            self.losses.append(total / 86)

    def _average(self, decay: float | None, step: int) -> None:
        """The first step's weights, then an average whose decay warms up as (1 + n) / (10 + n)."""
        for average, weight in zip(self.averages, self.network.parameters(), strict=True):
            warm = 0 if step == 0 or decay is None else min(decay, (1 + step) / (10 + step))
            average.mul_(warm).add_(weight.detach() * (1 - warm))

    @torch.no_grad()
    def mse(self, split: str) -> float:
        return float((self.network(self.images[split]) - self.images[split]).double().square().mean())


@pytest.fixture(scope="module")
def run(trained) -> RunFolder:
    return trained(*BARE)


def test_two_epochs_equal_a_plain_loop_bit_for_bit(run):
    plain = Plain()
    assert same(weights(run), [p.detach() for p in plain.network.parameters()])
    assert [row["train/loss"] for row in history(run)] == pytest.approx(plain.losses, rel=1e-7)
    for split in ("val", "test"):
        assert run.metrics()[f"{split}/mse"] == pytest.approx(plain.mse(split), rel=1e-6)
        assert run.metrics()[f"{split}/loss"] == pytest.approx(plain.mse(split), rel=1e-6)


def test_callbacks_and_logger_change_nothing_of_the_training(run, trained):
    watched = trained(*TINY, "scheduler=none", "callbacks.reconstructions.every_n_epochs=1")
    assert same(weights(run), weights(watched))


def test_seed_zero_repeats_and_seed_one_differs(run, trained):
    assert same(weights(run), weights(trained(*BARE, "seed=0")))
    assert not same(weights(run), weights(trained(*BARE, "seed=1")))


def test_gradient_clip_equals_a_plain_loop_with_it(run, trained):
    clipped = trained(*BARE, "trainer.gradient_clip=0.001")
    assert same(weights(clipped), [p.detach() for p in Plain(clip=0.001).network.parameters()])
    assert not same(weights(clipped), weights(run))


def test_ema_keeps_a_plain_average_of_the_weights(run, trained):
    averaged = trained(*BARE, "trainer.ema=0.2", "data.val_fraction=0.1")
    plain = Plain(decay=0.2)
    for ours, theirs in zip(weights(averaged), plain.averages, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-7)
    for weight, average in zip(plain.network.parameters(), plain.averages, strict=True):
        weight.data.copy_(average)
    assert averaged.metrics()["test/mse"] == pytest.approx(plain.mse("test"), rel=1e-5)
    assert averaged.metrics()["test/mse"] != run.metrics()["test/mse"]


def test_early_stopping_waits_as_many_epochs_as_it_says(trained):
    still = ("optimizer=sgd", "optimizer.lr=1e-30", "trainer.max_epochs=9")  # never better than in the first epoch
    assert trained(*BARE, *still, "trainer.early_stopping=2").metrics()["epochs"] == 1 + 2


def test_the_kept_weights_are_those_of_the_least_validation_error(trained):
    run = trained(*BARE, "optimizer=sgd", "optimizer.lr=60", "data.limit_by=first", "trainer.max_epochs=6")
    errors = [row["val/mse"] for row in history(run)]
    best = int(np.argmin(errors))
    assert best < 5  # else the last would do
    assert run.metrics()["kept_epoch"] == best + 1
    assert run.metrics()["val/mse"] == errors[best]
    assert not same(weights(run, "best"), weights(run, "last"))


def test_the_test_images_do_not_change_what_is_kept(trained, tmp_path):
    roots = [write_mnist(tmp_path / str(count), test=count) for count in (32, 40)]
    mnist = [trained(*BARE, "data=mnist", f"data.root={root}", "data.test_limit=null") for root in roots]
    assert mnist[0].metrics()["test/mse"] != mnist[1].metrics()["test/mse"]
    for name in ("best", "last"):
        assert same(weights(mnist[0], name), weights(mnist[1], name))
    assert [row["val/mse"] for row in history(mnist[0])] == [row["val/mse"] for row in history(mnist[1])]


def one_cycle(step: int, steps: int) -> float:
    """From 1/25 up to 1 over 30 % of the steps, down to 1/250,000, along half cosines."""
    top = 0.3 * steps - 1
    if step <= top:
        return 1 + (1 / 25 - 1) * (1 + cos(pi * step / top)) / 2
    return 1 / 25e4 + (1 - 1 / 25e4) * (1 + cos(pi * (step - top) / (steps - 1 - top))) / 2


@pytest.mark.parametrize(
    ("overrides", "wanted"),
    [
        (["scheduler=none"], [1.0] * 12),
        (["scheduler=one_cycle"], [one_cycle(step, 12) for step in range(12)]),
        (["scheduler=cosine"], [(1 + cos(pi * step / 12)) / 2 for step in range(12)]),
        (["scheduler=plateau", "scheduler.patience=0"], [1.0] * 6 + [0.1] * 3 + [0.01] * 3),  # nothing gets better
    ],
    ids=lambda value: value[0].split("=")[1] if isinstance(value[0], str) else "",
)
def test_learning_rates_follow_their_formula_step_by_step(trained, overrides, wanted):
    Rates.seen.clear()
    watch = ("+callbacks.rates._target_=extensions.Rates", "trainer.max_epochs=4", "data.block=1")
    trained(*BARE, "optimizer.lr=0.5", "trainer.gradient_clip=1e-30", "optimizer=sgd", *watch, *overrides)
    assert [rate / 0.5 for rate in Rates.seen] == pytest.approx(wanted, rel=1e-6)


def test_bf16_trains_in_bf16_with_a_loss_in_float32(run, trained):
    Watching.seen.clear()
    half = trained(*BARE, "trainer.precision=bf16-mixed", "loss._target_=extensions.Watching", "~loss.reduction")
    assert Watching.seen == {(torch.float32, False)}
    assert not same(weights(half), weights(run))
    assert {weight.dtype for weight in weights(half)} == {torch.float32}
    assert half.metrics()["test/mse"] == pytest.approx(run.metrics()["test/mse"], rel=0.02)


def test_no_step_searches_for_nvml(trained, monkeypatch):
    searches = []
    monkeypatch.setenv("PYTORCH_NVML_BASED_CUDA_CHECK", "1")  # as on importing Lightning
    monkeypatch.setattr("torch.cuda._device_count_nvml", lambda: searches.append(1) or -1)
    run = trained(*BARE, "trainer.max_epochs=4")
    assert len(searches) < run.metrics()["steps"]


def test_compile_is_asked_for_once_and_leaves_the_names(trained, run, monkeypatch):
    modes = []
    monkeypatch.setattr("torch.compile", lambda call, mode: modes.append(mode) or call)
    assert same(weights(trained(*BARE, "trainer.compile=true")), weights(run))
    assert same(weights(trained(*BARE, "trainer.compile=reduce-overhead")), weights(run))
    assert modes == ["default", "reduce-overhead"]


@pytest.mark.slow  # needs a C++ compiler
@pytest.mark.parametrize("mode", ["true", "reduce-overhead"])
def test_a_compiled_network_trains_to_the_same_weights(trained, run, mode):
    compiled = trained(*BARE, f"trainer.compile={mode}")
    for ours, theirs in zip(weights(compiled), weights(run), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)
    assert load(compiled.path).autoencoder.code_size == 4


def test_the_best_checkpoint_is_the_one_of_the_highest_ssim_if_that_is_watched(trained):
    run = trained(*BARE, "trainer.monitor=val/ssim", "trainer.max_epochs=6", "optimizer.lr=.05")
    seen = [row["val/ssim"] for row in history(run)]
    assert run.metrics()["kept_epoch"] == 1 + int(np.argmax(seen))
    assert seen.index(max(seen)) != seen.index(min(seen))


def test_a_last_batch_of_one_image_is_refused_where_the_norm_needs_two(diabolo, tiny):
    ended = diabolo("train", *tiny, "model.norm=batch", "data.limit=65", "data.val_fraction=0")
    assert ended.code == 2
    assert "`data.batch_size` (= 32) leaves a batch of one image" in ended.err


def test_with_ema_the_figures_of_the_kept_weights_are_those_of_their_epoch(trained):
    """The average that was kept is measured, not that of the last epoch."""
    run = trained(
        *BARE, "trainer.ema=0.3", "optimizer=sgd", "optimizer.lr=60", "data.limit_by=first", "trainer.max_epochs=6"
    )
    errors = [row["val/mse"] for row in history(run)]
    best = int(np.argmin(errors))
    assert best < 5  # else the last would do
    assert run.metrics()["kept_epoch"] == best + 1
    assert run.metrics()["val/mse"] == errors[best]


def test_pictures_show_the_averaged_weights_and_leave_the_others_in_place(run, trained):
    averaged = trained(*BARE, "trainer.ema=0.2", "callbacks=default", "callbacks.reconstructions.every_n_epochs=1")
    trained_on = torch.load(averaged.checkpoint("last"), weights_only=True)["current_model_state"]
    for ours, name in zip(weights(run), NAMES, strict=True):
        assert torch.equal(trained_on[f"autoencoder.{name}"], ours), "the average has no part in the training"
