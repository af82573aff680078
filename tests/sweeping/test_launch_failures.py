"""Jobs of a sweep that fail on their way: the others finish, and the reason is one sentence."""

import json

import numpy as np
import pytest
import torch

from diabolo.errors import OutOfMemory, out_of_memory
from diabolo.training.autoencoder_module import AutoencoderModule
from support import TINY, stamps

BARE = (*(o for o in TINY if not o.startswith("model.hidden")), "callbacks=none", "logger=none")
SWEEP = ("train", "-m", *BARE, "hydra.sweep.dir=sweep")
TOO_WIDE = "1000000,1000000"  # no machine has room for so many weights: it refuses at once
DIVERGED = "the loss is not a finite number at step 1: it diverged; lower optimizer.lr"
NO_MEMORY = "there is not enough memory on this machine for the run (3.638 TiB at once): lower data.batch_size"


def said_at_once(out: str) -> dict[str, str]:
    """The lines on failed jobs: job -> reason."""
    lines = [line.split(": ", 2)[1:] for line in out.splitlines() if line.startswith("failed: ")]
    return dict(map(tuple, lines))


def test_a_run_that_diverges_and_one_without_memory_stop_no_other(diabolo, tmp_path):
    axes = (f"model.hidden=[16],[{TOO_WIDE}]", "optimizer.lr=0.01,1e9")
    sweep = (*SWEEP, "hydra.launcher.workers=1", "optimizer=sgd", "model.output=identity", *axes)
    ended = diabolo(*sweep)
    assert ended.code == 1, ended
    assert "1 done, 0 skipped, 3 failed" in ended.out
    assert "Traceback" not in ended.out + ended.err
    expected = {
        "model.hidden=[16] optimizer.lr=1000000000.0": DIVERGED,
        f"model.hidden=[{TOO_WIDE}] optimizer.lr=0.01": NO_MEMORY,
        f"model.hidden=[{TOO_WIDE}] optimizer.lr=1000000000.0": NO_MEMORY,
    }
    reasons = said_at_once(ended.out)
    assert reasons.keys() == expected.keys()
    assert all(reasons[job].startswith(expected[job]) for job in expected)
    runs = [json.loads(path.read_text()) for path in tmp_path.glob("sweep/*/state.json")]
    assert sorted(run["state"] for run in runs) == ["done", "failed", "failed", "failed"]
    assert sorted(run["reason"] for run in runs if run["state"] == "failed") == sorted(reasons.values())
    failed = {run["pid"] for run in runs if run["state"] == "failed"}
    assert len(failed) == 3  # no run meets what a failed one has left in its process

    before = stamps(tmp_path / "sweep")
    again = diabolo(*sweep)
    assert again.code == 1
    assert "3 jobs to run" in again.out
    assert "0 done, 1 skipped, 3 failed" in again.out
    assert stamps(tmp_path / "sweep") == before


@pytest.mark.filterwarnings("ignore:Checkpoint directory .* is not empty")  # it is the run's own
def test_a_gpu_without_memory_fails_its_run_alone_which_goes_on_later(diabolo, monkeypatch):
    axes = ("model.hidden=[16]", "seed=0,1", "hydra/launcher=basic")
    training_loss = AutoencoderModule.training_loss
    crowds = [1]

    def crowded(module, *batch):
        if module.trainer.current_epoch == 1 and crowds:
            crowds.pop()
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.50 GiB. GPU 0 has ...")
        return training_loss(module, *batch)

    with monkeypatch.context() as patched:
        patched.setattr(AutoencoderModule, "training_loss", crowded)
        ended = diabolo(*SWEEP, *axes)
    assert ended.code == 1
    assert "1 done, 0 skipped, 1 failed" in ended.out
    assert "there is not enough memory on the GPU for the run (20.5 GiB at once)" in " ".join(ended.out.split())
    assert "Traceback" not in ended.out + ended.err
    again = diabolo(*SWEEP, *axes)
    assert again.code == 0, again.out
    assert "1 done, 1 skipped, 0 failed" in again.out
    assert "continued" in again.out


def test_a_single_run_without_memory_ends_with_one_sentence(diabolo, tmp_path):
    ended = diabolo("train", *BARE, f"model.hidden=[{TOO_WIDE}]", "hydra.run.dir=run")
    assert ended.code == 2
    assert ended.err.startswith(f"diabolo: {NO_MEMORY}")
    assert len(ended.err.splitlines()) == 1
    assert "RuntimeError" in (tmp_path / "run" / "run.log").read_text()  # the whole of it, for those who look


def test_what_is_no_lack_of_memory_stays_what_it_is():
    assert out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied")) is None
    assert out_of_memory(ValueError("out of memory")) is None
    with pytest.raises(MemoryError) as numpy_says:
        np.empty(10**15, np.float64)
    said = out_of_memory(numpy_says.value)
    assert isinstance(said, OutOfMemory)
    assert "on this machine for the run (7.11 PiB at once)" in str(said)
    cublas = RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`")
    assert "on the GPU for the run: lower" in str(out_of_memory(cublas))
