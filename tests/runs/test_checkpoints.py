"""A checkpoint is whole or not there, and a run goes on from one that can be read."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from diabolo.runs.folder import RunFolder
from diabolo.runs.resume import going_on_from
from diabolo.runs.safe_reading import Unreadable, read_checkpoint
from diabolo.runs.train import resume
from diabolo.training.checkpoint_io import WholeCheckpoints
from stopping import BARE, assert_same, stop

pytestmark = pytest.mark.filterwarnings("ignore:Checkpoint directory .* is not empty")  # it is the run's own


def spoil(path: Path, how: str) -> None:
    content = path.read_bytes()
    path.write_bytes({
        "cut": content[: len(content) // 2],
        "empty": b"",
        "zeroed": bytes(len(content)),
        "flipped": content[:200] + bytes(byte ^ 255 for byte in content[200:400]) + content[400:],
        "text": b"a checkpoint",
    }[how])  # fmt: skip


@pytest.fixture(scope="module")
def unbroken(trained) -> RunFolder:
    return trained(*BARE)


@pytest.mark.parametrize("how", ["cut", "empty", "zeroed", "flipped", "text"])
def test_a_run_whose_last_checkpoint_is_damaged_goes_on_from_the_best(unbroken, monkeypatch, tmp_path, capsys, how):
    run = RunFolder(tmp_path / "run")
    assert stop(monkeypatch, run, BARE, 7) == 143  # in the third of four epochs
    best = torch.load(run.checkpoint("best"), weights_only=True)["epoch"]
    spoil(run.checkpoint("last"), how)
    assert going_on_from(run) == run.checkpoint("best"), "an epoch that was trained is not trained again"
    resume(run.path)
    assert_same(run, unbroken)
    said = " ".join(capsys.readouterr().out.split())
    assert "last.ckpt' cannot be read" in said.replace("/ ", "/")
    assert "goes on from what there is before it" in said
    assert best < 2


def test_a_run_without_a_checkpoint_that_can_be_read_begins_afresh(unbroken, monkeypatch, tmp_path):
    run = RunFolder(tmp_path / "run")
    assert stop(monkeypatch, run, BARE, 7) == 143
    for name in ("last", "best"):
        spoil(run.checkpoint(name), "cut")
    resume(run.path)
    assert_same(run, unbroken)


@pytest.mark.parametrize("how", ["cut", "empty", "zeroed", "flipped", "text"])
@pytest.mark.parametrize("command", [("evaluate", "run"), ("probe", "run"), ("train", *BARE, "encoder.init_from=run")])
def test_a_damaged_checkpoint_is_one_sentence_that_names_it(unbroken, diabolo, how, command):
    shutil.copytree(unbroken.path, "run")
    spoil(Path("run/checkpoints/best.ckpt"), how)
    ended = diabolo(*command)
    assert (ended.code, len(ended.err.splitlines())) == (2, 1)
    assert "best.ckpt' cannot be read: it is damaged, or no checkpoint of a run" in ended.err


def test_a_checkpoint_of_another_network_is_one_sentence(unbroken, trained, diabolo):
    shutil.copytree(unbroken.path, "run")
    shutil.copy(
        trained(*BARE, "bottleneck.size=3", "trainer.max_epochs=1").checkpoint("best"), "run/checkpoints/best.ckpt"
    )
    ended = diabolo("evaluate", "run")
    assert (ended.code, len(ended.err.splitlines())) == (2, 1)
    assert "its weights are not those of the run's network" in ended.err


def test_what_cannot_be_written_leaves_the_checkpoint_before(tmp_path, monkeypatch):
    place = tmp_path / "checkpoints" / "last.ckpt"
    WholeCheckpoints().save_checkpoint({"state_dict": {}, "epoch": 1}, place)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        WholeCheckpoints().save_checkpoint({"state_dict": {}, "epoch": 2}, place)
    assert read_checkpoint(place)["epoch"] == 1
    assert [path.name for path in place.parent.iterdir()] == ["last.ckpt"]


WRITER = """
import sys, torch
from diabolo.training.checkpoint_io import WholeCheckpoints
weights = torch.zeros(4_000_000)
WholeCheckpoints().save_checkpoint({"state_dict": {"w": weights}, "epoch": 0}, sys.argv[1])
print("begun", flush=True)
for epoch in range(1, 10_000):
    WholeCheckpoints().save_checkpoint({"state_dict": {"w": weights + epoch}, "epoch": epoch}, sys.argv[1])
"""


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="no second file system")
@pytest.mark.parametrize("wait", [0.013, 0.041, 0.087, 0.15])
def test_a_kill_while_it_is_written_leaves_a_whole_one_wherever_tmpdir_lies(tmp_path, wait):
    elsewhere = Path("/dev/shm") / f"diabolo-{os.getpid()}-{wait}"
    elsewhere.mkdir()
    try:
        command = [sys.executable, "-c", WRITER, str(tmp_path / "last.ckpt")]
        environment = os.environ | {"TMPDIR": str(elsewhere)}
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as writer:
            assert writer.stdout.readline() == b"begun\n"
            time.sleep(wait)
            writer.send_signal(signal.SIGKILL)
        checkpoint = read_checkpoint(tmp_path / "last.ckpt")
        assert torch.equal(checkpoint["state_dict"]["w"], torch.full((4_000_000,), float(checkpoint["epoch"])))
        assert not list(elsewhere.iterdir())
    finally:
        shutil.rmtree(elsewhere)


def test_only_a_file_of_a_run_is_read(tmp_path):
    os.mkfifo(tmp_path / "last.ckpt")
    with pytest.raises(Unreadable, match="it is no regular file"):
        read_checkpoint(tmp_path / "last.ckpt")


def test_a_run_writes_its_checkpoints_so(trained, monkeypatch):
    written = []
    save = WholeCheckpoints.save_checkpoint

    def noted(self, checkpoint, path, storage_options=None):
        written.append(Path(path).name)
        save(self, checkpoint, path, storage_options)

    monkeypatch.setattr(WholeCheckpoints, "save_checkpoint", noted)
    trained(*BARE, "trainer.max_epochs=1")
    assert set(written) == {"best.ckpt", "last.ckpt"}
