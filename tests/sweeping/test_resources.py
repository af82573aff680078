"""The places of a pool: how cores, threads and GPUs are shared out."""

import os
import sys

import pytest
from omegaconf import OmegaConf

from diabolo.errors import UserError
from diabolo.sweeping import resources as sharing
from diabolo.sweeping.resources import visible_gpus


def places(config=None, jobs=16, **asked) -> list[dict[str, str]]:
    return sharing.places(OmegaConf.create(config or {}), jobs, **asked)


@pytest.fixture
def machine(monkeypatch):
    """A machine of 8 cores with the given GPUs."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    return lambda gpus: monkeypatch.setenv("CUDA_VISIBLE_DEVICES", gpus)


@pytest.mark.parametrize(
    ("asked", "workers", "threads"),
    [({}, 8, "1"), ({"workers": 3}, 3, "2"), ({"workers": 2, "threads": 3}, 2, "3"),
     ({"workers": 4, "threads": 8}, 4, "2"), ({"workers": 20}, 16, "1"), ({"workers": 2, "jobs": 1}, 1, "4")],
)  # fmt: skip
def test_the_cores_are_shared_out_and_never_more_than_there_are(machine, asked, workers, threads):
    machine("")
    made = places(**asked)
    assert len(made) == workers
    assert {(p["OMP_NUM_THREADS"], p["MKL_NUM_THREADS"], p["CUDA_VISIBLE_DEVICES"]) for p in made} == {
        (threads, threads, "")
    }


def test_each_worker_sees_one_gpu(machine):
    machine("4,6")
    seen = lambda **asked: [p["CUDA_VISIBLE_DEVICES"] for p in places(**asked)]  # noqa: E731
    assert seen() == ["4", "6"]
    assert seen(runs_per_gpu=3) == ["4", "6", "4", "6", "4", "6"]
    assert seen(gpus=1, runs_per_gpu=2) == ["4", "4"]
    assert seen(workers=1) == ["4"]
    assert seen(gpus=0, workers=2) == ["", ""]
    assert seen(config={"trainer": {"accelerator": "cpu"}}, workers=2) == ["", ""]
    assert [p["OMP_NUM_THREADS"] for p in places()] == ["4", "4"]


def test_numbers_that_cannot_be_are_refused(machine):
    machine("0")
    for asked, words in (
        ({"workers": 0}, "`hydra.launcher.workers` (= 0) must be a whole number of at least 1"),
        ({"threads": 0}, "`hydra.launcher.threads` (= 0) must be a whole number of at least 1"),
        ({"gpus": 2}, "`hydra.launcher.gpus` (= 2) is more than the 1 that are here"),
    ):
        with pytest.raises(UserError) as refused:
            places(**asked)
        assert words in str(refused.value)


def test_gpus_are_counted_without_torch(monkeypatch, tmp_path):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert visible_gpus() == []
    listing = "GPU 0: NVIDIA (UUID: GPU-a)\\n  MIG 1g Device 0: (UUID: MIG-b)\\nGPU 1: NVIDIA (UUID: GPU-c)\\n"
    (tmp_path / "nvidia-smi").write_text(f"#!{sys.executable}\nprint({listing!r}, end='')\n".replace("\\\\n", "\\n"))
    (tmp_path / "nvidia-smi").chmod(0o755)
    assert visible_gpus() == ["0", "1"]


def test_runs_share_apples_gpu_and_one_goes_at_a_time_unless_more_are_asked_for(machine, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(sharing.shutil, "which", lambda _: None)
    monkeypatch.setattr(sharing.sys, "platform", "darwin")
    monkeypatch.setattr(sharing.platform, "machine", lambda: "arm64")
    hidden = lambda **asked: [p.get("DISABLE_MPS", "") for p in places(**asked)]  # noqa: E731
    assert visible_gpus() == [sharing.APPLE]
    assert hidden() == [""]
    assert hidden(runs_per_gpu=3) == [""] * 3
    assert hidden(gpus=0, workers=2) == ["1", "1"]
    assert hidden(config={"trainer": {"accelerator": "cpu"}}) == ["1"] * 8
    assert {p["CUDA_VISIBLE_DEVICES"] for p in places(runs_per_gpu=3)} == {""}
    monkeypatch.setattr(sharing.platform, "machine", lambda: "x86_64")
    assert visible_gpus() == []
