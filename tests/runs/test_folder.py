"""Run folders: their names, what lies in them, and how a run is read back."""

import json
import math
import subprocess
import sys

import pytest
import torch
from lightning import seed_everything

from diabolo.runs.build import build_data
from diabolo.runs.config import compose_config, run_name
from diabolo.runs.folder import RunFolder
from diabolo.runs.loading import load
from support import TINY

OF_THE_ISSUE = {
    *(f"{split}/{name}" for split in ("val", "test") for name in ("loss", "mse", "mae", "psnr", "ssim")),
    *(f"{split}/pca_{name}" for split in ("val", "test") for name in ("mse", "mae", "psnr", "ssim")),
    *("train/loss", "train/images_per_second", "parameters", "seconds", "epochs", "steps", "kept_epoch", "code_size"),
    *("code/dead_units", "output/constant", "versions/torch", "versions/diabolo", "versions/python"),
}


@pytest.fixture(scope="module")
def run(trained) -> RunFolder:
    """A finished run of 2 epochs of 3 steps, with normalised data."""
    return trained(*TINY, "data.mean=0.3", "data.std=0.4", "model.output=identity")


@pytest.mark.parametrize(
    ("overrides", "name"),
    [
        ([], "default"),
        (["model=fc", "bottleneck.size=25"], "bottleneck.size=25_model=fc"),
        (["model.channels=[4,8]", "+loss.x='a b'", "~logger"], "+loss.x=ab_model.channels=4-8_-logger"),
        (["data.root=/some/where", "trainer.threads=1", "trainer.devices=2", "hydra.run.dir=x"], "default"),
    ],
)
def test_a_name_says_what_was_overridden_and_not_where_it_runs(overrides, name):
    assert run_name(overrides) == name


def test_a_long_name_is_cut_and_stays_its_own():
    first, second = (run_name([f"model.channels=[{','.join('9' * 90)}]", f"seed={seed}"]) for seed in (0, 1))
    assert first != second
    assert len(first) == len(second) == 129
    assert first[:120] == second[:120]


def test_metrics_are_flat_numbers_with_the_keys_of_the_tags(run):
    metrics = run.metrics()
    assert set(metrics) >= OF_THE_ISSUE
    assert all(isinstance(value, int | float | str) for value in metrics.values())
    assert all(math.isfinite(value) for value in metrics.values() if not isinstance(value, str))
    assert metrics["test/psnr"] == pytest.approx(-10 * math.log10(metrics["test/mse"]), rel=1e-6)
    assert (metrics["epochs"], metrics["steps"], metrics["code_size"]) == (2, 6, 4)
    assert metrics["parameters"] == (64 * 16 + 16) + (16 * 4 + 4) + (4 * 16 + 16) + (16 * 64 + 64)


def test_history_has_a_line_an_epoch_that_ends_in_the_metrics(run):
    rows = [json.loads(line) for line in run.history.read_text().splitlines()]
    assert [(row["epoch"], row["step"]) for row in rows] == [(1, 3), (2, 6)]
    metrics = run.metrics()
    assert rows[1]["train/loss"] == metrics["train/loss"]
    assert rows[metrics["kept_epoch"] - 1]["val/mse"] == metrics["val/mse"]
    assert not any(name.startswith("test/") for row in rows for name in row)


def test_the_config_of_a_run_is_resolved_and_its_state_says_how_it_came(run):
    config = run.config()
    assert config.encoder.hidden == [16]
    assert "${" not in (run.path / "config.yaml").read_text()
    state = run.state()
    assert state["state"] == "done"
    assert state["overrides"][: len(TINY)] == list(TINY)
    assert state["versions"]["torch"] == torch.__version__.split("+")[0]


def test_checkpoints_load_as_weights_only_and_hold_plain_names(run):
    for name in ("best", "last"):
        kept = torch.load(run.checkpoint(name), weights_only=True)
        assert {key.split(".")[0] for key in kept["state_dict"]} == {"autoencoder"}
        assert set(kept["state_dict"]) == set(load(run.path, name).state_dict())


def test_a_loaded_model_is_the_trained_one_in_the_scale_of_zero_to_one(run):
    """Against the layers applied by hand to the weights of the checkpoint."""
    weights = torch.load(run.best(), weights_only=True)["state_dict"]
    images = torch.rand(5, 1, 8, 8, generator=torch.Generator().manual_seed(0))

    def linear(x, name):
        return x @ weights[f"autoencoder.{name}.weight"].T + weights[f"autoencoder.{name}.bias"]

    code = linear(linear((images.flatten(1) - 0.3) / 0.4, "encoder.1").relu(), "encoder.3")
    ours = linear(linear(code, "decoder.0").relu(), "decoder.2").view(5, 1, 8, 8) * 0.4 + 0.3
    model = load(run.path)
    assert not model.training
    with torch.no_grad():
        torch.testing.assert_close(model.encode(images), code)
        torch.testing.assert_close(model.decode(code), ours)
        torch.testing.assert_close(model.reconstruct(images), ours)
        as_bytes = (images * 255).byte()
        torch.testing.assert_close(model.encode(as_bytes), model.encode(as_bytes.float() / 255))


def test_evaluate_measures_again_what_the_run_recorded(diabolo, run):
    recorded = run.metrics()
    ended = diabolo("evaluate", str(run.path))
    assert ended.code == 0, ended.err
    table = {words[0]: words[1:] for line in ended.out.splitlines()[1:] if len(words := line.split()) == 3}
    wanted = {name for name in OF_THE_ISSUE if name.startswith(("val/", "test/"))}
    assert wanted <= set(table)
    assert all(table[name] == [f"{recorded[name]:.6g}"] * 2 for name in wanted)
    assert run.metrics() == recorded


def test_evaluate_measures_the_weights_and_does_not_repeat_the_record(trained, diabolo):
    run = trained(*TINY, "callbacks=none", "logger=none")
    kept = torch.load(run.best(), weights_only=True)
    zeros = {key: torch.zeros_like(value) for key, value in kept["state_dict"].items()}
    torch.save(kept | {"state_dict": zeros}, run.best())
    ended = diabolo("evaluate", str(run.path))
    seed_everything(0, verbose=False)
    data = build_data(compose_config(TINY))
    data.setup()
    mse = float((data.images("test").double() / 255 - 0.5).square().mean())  # sigmoid(0) everywhere
    (line,) = (line for line in ended.out.splitlines() if line.startswith("test/mse"))
    assert float(line.split()[1]) == pytest.approx(mse, rel=1e-5)
    assert float(line.split()[2]) == pytest.approx(run.metrics()["test/mse"], rel=1e-5)


def test_a_folder_with_a_run_takes_no_other_and_a_done_run_is_not_run_again(diabolo, tiny):
    bare = ("train", *tiny, "callbacks=none", "logger=none", "hydra.run.dir='here=1'")
    assert diabolo(*bare).code == 0
    before = RunFolder("here=1").metrics()
    for again, words in (
        (bare, "is done"),
        ((*bare, "data.eval_batch_size=3"), "is done"),
        ((*bare, "seed=1"), "another config: there `seed` is 0, here 1"),
    ):
        ended = diabolo(*again)
        assert (ended.code, len(ended.err.splitlines())) == (2, 1)
        assert words in ended.err
    assert "is done, and its learning rates were scheduled to end there" in diabolo("train", "here=1").err
    assert "(did you mean 'trainer.max_epochs'?)" in diabolo("train", "here=1", "trainer.max_epoch=5").err
    assert RunFolder("here=1").metrics() == before


def test_a_run_is_read_from_any_folder(diabolo, tiny, mnist_root, tmp_path, monkeypatch):
    small = ("data=mnist", "data.root=mnist", "callbacks=none", "logger=none", "hydra.run.dir=run", "data.limit=32")
    assert diabolo("train", *tiny, *small).code == 0
    monkeypatch.chdir("/")
    run = RunFolder(tmp_path / "run")
    assert run.config().data.root == str(mnist_root)
    (tmp_path / "mnist").rename(tmp_path / "moved")
    assert "there is no MNIST" in diabolo("evaluate", str(run.path)).err
    measured = diabolo("evaluate", str(run.path), f"data.root={tmp_path / 'moved'}").out
    assert f"{run.metrics()['test/mse']:.6g}" in measured


def test_a_run_that_breaks_is_marked_failed_with_the_reason(trained, monkeypatch, tmp_path):
    def broken(*_):
        raise ZeroDivisionError("a bug")

    from diabolo.runs.train import train

    monkeypatch.setattr("diabolo.training.autoencoder_module.AutoencoderModule.training_step", broken)
    run = RunFolder(tmp_path / "run")
    with pytest.raises(ZeroDivisionError):
        train(compose_config([*TINY, "callbacks=none", "logger=none"]), run)
    assert run.state()["state"] == "failed"
    assert run.state()["reason"] == "ZeroDivisionError: a bug"
    assert "Traceback" in run.log.read_text()


HOLD = """import sys, time
from diabolo.runs.folder import RunFolder
with RunFolder(sys.argv[1]).held():
    print(1, flush=True), time.sleep(60)"""


def test_a_folder_in_which_another_process_trains_is_refused(diabolo, tiny, tmp_path):
    run = RunFolder(tmp_path / "run")
    with subprocess.Popen([sys.executable, "-c", HOLD, str(run.path)], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "1\n"
        ended = diabolo("train", *tiny, f"hydra.run.dir={run.path}")
        assert ended.code == 2
        assert "is being trained by another process" in ended.err
        other.kill()
    assert diabolo("train", *tiny, f"hydra.run.dir={run.path}").code == 0


@pytest.mark.filterwarnings("ignore:Checkpoint directory .* is not empty")  # it is the run's own
def test_what_was_chosen_of_each_group_is_recorded_and_kept_on_continuing(diabolo, tiny):
    bare = (*tiny, "callbacks=none", "logger=none", "scheduler=none", "loss=mix", "loss.weights.ms_ssim=0")
    assert diabolo("train", *bare, "hydra.run.dir=run").code == 0
    chosen = RunFolder("run").state()["choices"]
    assert {group: chosen[group] for group in ("model", "loss", "data", "scheduler")} == {
        "model": "fc",
        "loss": "mix",
        "data": "digits",
        "scheduler": "none",
    }
    assert set(chosen) == {
        "data",
        "metrics",
        "corruption",
        "augmentation",
        "penalty",
        "encoder",
        "bottleneck",
        "decoder",
        "loss",
        "optimizer",
        "scheduler",
        "callbacks",
    } | {
        "trainer",
        "logger",
        "model",
        "task",
    }
    assert diabolo("train", "run", "trainer.max_epochs=3").code == 0
    assert RunFolder("run").state()["choices"] == chosen
