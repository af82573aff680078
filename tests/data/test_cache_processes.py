"""Several processes and one cache: kills, Ctrl-C, waiting for each other."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch

from diabolo.data.cache import writer as cache_writer
from diabolo.data.cache.interrupts import Interrupts
from diabolo.data.cache.store import caches
from diabolo.runs.folder import RunFolder
from diabolo.runs.train import resume
from photos import opened, pixels, plain, progress_lines, wait_for
from stopping import assert_same, stop

pytestmark = pytest.mark.usefixtures("root")


def test_after_a_kill_only_the_rest_is_decoded(slow, photos, decoded):
    writing = slow()
    wait_for(lambda: progress_lines() >= 3)
    writing.send_signal(signal.SIGKILL)
    writing.wait()
    (draft,) = caches()
    assert not draft.whole
    assert draft.images == 20
    at_least = progress_lines()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(cache_writer, "CHUNK_IMAGES", 2)
        images = opened(photos)
    assert len(decoded()) <= 20 - 2 * at_least
    assert torch.equal(pixels(images), plain(photos))
    assert [entry.whole for entry in caches()] == [True]


def test_of_two_processes_one_decodes_and_the_other_waits(slow, photos, tmp_path):
    both = [slow(0.05), slow(0.05)]
    total = int(plain(photos).long().sum())
    for one in both:
        out, err = one.communicate(timeout=100)
        assert out.split() == ["MappedImages", str(total)], err
    assert len((tmp_path / "noted").read_text().split()) == 20
    assert [entry.whole for entry in caches()] == [True]


def test_who_waits_takes_over_when_the_writer_is_killed(slow, photos):
    writing = slow()
    wait_for(lambda: progress_lines() >= 1)
    waiting = slow(0, "by_the_other")
    time.sleep(0.5)
    writing.send_signal(signal.SIGKILL)
    out, err = waiting.communicate(timeout=100)
    assert out.split() == ["MappedImages", str(int(plain(photos).long().sum()))], err


RUN = (
    "data=folder", "data.image_shape=[1,8,8]", "data.source.memory_limit=0", "data.val_fraction=0.2", "model=fc",
    "model.hidden=[16]", "bottleneck.size=4", "data.batch_size=8", "data.num_workers=0", "trainer.max_epochs=3",
    "trainer.accelerator=cpu", "callbacks=none", "logger=none",
)  # fmt: skip


def test_ctrl_c_stops_the_decoding_and_the_next_run_goes_on(photos, tmp_path):
    script = tmp_path / "slowly.py"
    script.write_text(
        "import sys, time\n"
        "from diabolo.data import files\nfrom diabolo.data.cache import writer as cache_writer\n"
        "from diabolo.data.decoding import try_decode\n"
        "from diabolo.cli import main\n"
        "cache_writer.CHUNK_IMAGES, cache_writer.NOTED = 1, 0\n"
        "files.try_decode = lambda *arguments: (time.sleep(0.3), try_decode(*arguments))[1]\n"
        "main()\n"
    )
    command = [sys.executable, str(script), "train", *RUN, f"data.root={photos}", "hydra.run.dir=run"]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        wait_for(lambda: progress_lines() >= 2)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the workers, too
        asked = time.monotonic()
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, err
    assert time.monotonic() - asked < 20
    assert "Traceback" not in err
    assert RunFolder(tmp_path / "run").state()["reason"] == "stopped by SIGINT"
    assert progress_lines() < 20
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(cache_writer, "CHUNK_IMAGES", 1)
        resume(tmp_path / "run")
    assert RunFolder(tmp_path / "run").state()["state"] == "done"
    assert [entry.whole for entry in caches()] == [True]


def test_a_signal_reaches_the_handler_that_waits_for_a_safe_point_twice():
    seen = []
    before = signal.signal(signal.SIGUSR2, lambda signum, frame: seen.append(signum))
    try:
        with Interrupts() as interrupts:
            interrupts.check()
            os.kill(os.getpid(), signal.SIGUSR2)
            assert seen == [signal.SIGUSR2]
            interrupts.check()
            assert seen == [signal.SIGUSR2, signal.SIGUSR2]
        os.kill(os.getpid(), signal.SIGUSR2)
        assert len(seen) == 3
        with pytest.raises(KeyboardInterrupt), Interrupts():
            signal.default_int_handler(signal.SIGINT, None)
    finally:
        signal.signal(signal.SIGUSR2, before)


@pytest.mark.filterwarnings("ignore:Checkpoint directory .* is not empty")
@pytest.mark.parametrize("goes_on", ["from the cache", "decoding batch by batch", "in memory"])
def test_a_run_stopped_within_an_epoch_goes_on_bit_for_bit(photos, trained, monkeypatch, tmp_path, goes_on):
    overrides = (
        *RUN,
        f"data.root={photos}",
        "corruption=gaussian",
        "augmentation=[flip,crop]",
    )  # 13 training images, of which 8 make a step
    unbroken = trained(*overrides, "data.source.cache_limit=0")
    run = RunFolder(tmp_path / "run")
    assert stop(monkeypatch, run, (*overrides, "data.block=1"), 2) == 143
    assert [entry.whole for entry in caches()] == [True]
    more = {"from the cache": [], "decoding batch by batch": ["data.source.cache_limit=0"]}
    resume(run.path, more.get(goes_on, ["data.source.memory_limit=1000000", "data.block=null"]))
    assert_same(run, unbroken)
    assert json.loads((run.path / "state.json").read_text())["state"] == "done"
