"""Shards: written from a folder, streamed in an order that can be continued, shared out over processes."""

import json
import multiprocessing
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch
from litdata.streaming.writer import BinaryWriter
from PIL import Image

from diabolo.data import folder_images, shard_images, write_shards
from diabolo.data.batches import ResumableSampler, StreamedBatches
from diabolo.data.encoded import EncodedImages
from diabolo.data.images import MemoryImages
from diabolo.errors import UserError
from diabolo.runs.folder import RunFolder
from diabolo.runs.train import resume
from stopping import BARE, assert_same, stop
from support import ROOT

DRAW = np.random.default_rng(0)
SHAPE = (1, 8, 8)
COUNTS = {"train": 96, "test": 20}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """96 training and 20 test images in three classes."""
    folder = tmp_path_factory.mktemp("images")
    for part, count in COUNTS.items():
        for i in range(count):
            place = folder / part / "abc"[i % 3]
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(DRAW.integers(0, 256, (9, 8), dtype=np.uint8)).save(place / f"{i:03}.png")
    return folder


@pytest.fixture(scope="module")
def shards(folder, tmp_path_factory):
    """The same as shards of about 12 images."""
    out = tmp_path_factory.mktemp("shards") / "set"
    assert write_shards(str(folder), str(out), shard_bytes=2000) == COUNTS
    return out


def content(images) -> list[tuple[bytes, int]]:
    """The images of a set with their labels, in any order."""
    pixels = images.take(torch.arange(len(images)))
    return sorted((one.numpy().tobytes(), int(label)) for one, label in zip(pixels, images.labels, strict=True))


@pytest.mark.parametrize("memory_limit", [1 << 30, 0])
def test_what_was_written_is_what_is_read(folder, shards, memory_limit):
    of_files, splits = folder_images(str(folder), SHAPE), shard_images(str(shards), SHAPE, memory_limit=memory_limit)
    assert splits.classes == of_files.classes
    assert splits.val is None
    for part in COUNTS:
        images = getattr(splits, part)
        assert isinstance(images, EncodedImages if memory_limit == 0 else MemoryImages)
        assert content(images) == content(getattr(of_files, part))
    assert len(list((shards / "train").glob("*.bin"))) > 5
    assert splits.said[0].startswith("train: 96 images in ")


def test_a_set_can_be_taken_apart_and_sent_to_another_process(shards):
    images = shard_images(str(shards), SHAPE, memory_limit=0).train
    everything = images.take(torch.arange(96))
    part = images.subset(torch.tensor([90, 3, 50]))
    assert torch.equal(part.take([2, 0, 1]), everything[[50, 90, 3]])
    assert torch.equal(part.groups, images.groups[[90, 3, 50]])
    assert torch.equal(pickle.loads(pickle.dumps(part))[1], everything[3])


GROUPS = torch.arange(5).repeat_interleave(torch.tensor([7, 1, 9, 6, 7]))  # 30 images in 5 shards


def test_an_epoch_goes_shard_by_shard_in_an_order_of_seed_and_epoch():
    def order(seed, epoch):
        sampler = ResumableSampler(30, 4, shuffle=True, seed=seed, groups=GROUPS)
        sampler.set_epoch(epoch)
        return sampler.indices()

    first = order(0, 0)
    assert sorted(first.tolist()) == list(range(30))
    assert len(GROUPS[first].unique_consecutive()) == 5
    assert first.tolist() != sorted(first.tolist())
    assert torch.equal(first, order(0, 0))
    others = [order(0, 1), order(1, 0)]
    assert all(not torch.equal(GROUPS[first], GROUPS[other]) for other in others)
    assert all(sorted(other.tolist()) == list(range(30)) for other in others)


@pytest.mark.parametrize("world", [2, 3, 4])
def test_processes_share_shards_out(world):
    samplers = [ResumableSampler(30, 4, True, rank=rank, world=world, groups=GROUPS) for rank in range(world)]
    drawn = [sampler.indices() for sampler in samplers]
    assert {len(indices) for indices in drawn} == {-(-30 // world)} == {sampler.images for sampler in samplers}
    assert set(torch.cat(drawn).tolist()) == set(range(30))
    at_ends = sum(len(GROUPS[indices].unique()) for indices in drawn) - 5  # of a process, where another goes on
    assert at_ends <= world + 1  # one more where the first images are repeated
    in_order = [ResumableSampler(30, 4, False, rank=rank, world=world, groups=GROUPS) for rank in range(world)]
    assert torch.cat([sampler.indices() for sampler in in_order]).tolist() == list(range(30))


def test_workers_stream_what_is_asked_for(shards):
    images = shard_images(str(shards), SHAPE, memory_limit=0).train
    images.take([0])  # opens the shards here, before the fork
    order = ResumableSampler(96, 10, shuffle=True, groups=images.groups)
    streams = StreamedBatches(images, order, workers=2, pin_memory=False)
    pixels, labels = zip(*streams, strict=True)
    wanted = order.indices()
    assert torch.equal(torch.cat(pixels), images.take(wanted))
    assert torch.equal(torch.cat(labels), images.labels[wanted])
    assert multiprocessing.active_children()


def run_on(shards, workers: int = 0) -> tuple[str, ...]:
    streamed = ("data.source.memory_limit=0", f"data.num_workers={workers}", "data.test_fraction=0.2")
    return (*BARE, "data=shards", f"data.root={shards}", *streamed)


@pytest.mark.filterwarnings("ignore:Checkpoint directory .* is not empty")  # it is the run's own
@pytest.mark.parametrize("augmentation", ["none", "[flip,shift,photometric]"])
def test_a_run_that_is_stopped_within_an_epoch_goes_on_as_if_it_had_not_been(
    trained, monkeypatch, tmp_path, shards, augmentation
):
    overrides = (*run_on(shards), f"augmentation={augmentation}")
    unbroken, run = trained(*overrides), RunFolder(tmp_path / "run")
    assert unbroken.metrics()["steps"] == 12
    assert stop(monkeypatch, run, overrides, 4) == 143
    resume(run.path, ["data.num_workers=1"])
    assert_same(run, unbroken)


@pytest.mark.slow
def test_two_processes_train_to_the_same_end_each_time(process, tmp_path, shards):
    ddp = (*run_on(shards), "trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2")
    for name in ("one", "other"):
        ended = process("train", *ddp, f"hydra.run.dir={name}")
        _, err = ended.communicate(timeout=600)
        assert ended.returncode == 0, err
    assert_same(RunFolder(tmp_path / "one"), RunFolder(tmp_path / "other"))


FROM_ELSEWHERE = """
import json, os, sys
from pathlib import Path
import torch
from diabolo.data import shard_images
from diabolo.data.batches import ResumableSampler

place, cache = sys.argv[1], Path(os.environ["DIABOLO_CACHE"], "shards")
here = shard_images(place, (1, 8, 8), memory_limit=0)
there = shard_images(f"local:{place}", (1, 8, 8), memory_limit=0, disk_limit=8000)
held = []
for batch in ResumableSampler(96, 8, shuffle=True, groups=there.train.groups):
    assert torch.equal(there.train.take(batch), here.train.take(batch))
    held.append(sum(path.stat().st_size for path in cache.rglob("*.bin")))
assert there.classes == here.classes
assert torch.equal(there.train.labels, here.train.labels)
print(json.dumps(held))
"""


def test_of_a_set_elsewhere_only_so_many_shards_are_held_on_the_disk(shards, tmp_path):
    """In a process of its own: LitData leaves the files that it has read for Python to close."""
    command = [sys.executable, "-c", FROM_ELSEWHERE, shards]
    ended = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "DIABOLO_CACHE": str(tmp_path)})
    assert ended.returncode == 0, ended.stderr
    held = json.loads(ended.stdout.splitlines()[-1])
    whole = sum(path.stat().st_size for path in (shards / "train").glob("*.bin"))
    assert min(held) > 0
    assert held[-1] < whole - 2000


def write_set(folder, items):
    """A set as LitData's own writer leaves it."""
    folder.mkdir(parents=True)
    writer = BinaryWriter(str(folder), chunk_size=4)
    for i, item in enumerate(items):
        writer.add_item(i, item)
    writer.done()
    writer.merge()


PIXELS = DRAW.integers(0, 256, (10, 8, 8), dtype=np.uint8)


@pytest.mark.parametrize(
    "item",
    [
        lambda i: {"image": Image.fromarray(PIXELS[i]), "label": i % 4},
        lambda i: {"index": i + 100, "img": PIXELS[i], "y": i % 4},
        lambda i: (torch.from_numpy(PIXELS[i])[None], i % 4),
    ],
)
@pytest.mark.parametrize("inside", ["", "train"])
def test_sets_of_others_are_read_with_their_labels(tmp_path, item, inside):
    write_set(tmp_path / "set" / inside, map(item, range(10)))
    splits = shard_images(str(tmp_path / "set"), SHAPE)
    assert torch.equal(splits.train.pixels, torch.from_numpy(PIXELS)[:, None])
    assert splits.train.labels.tolist() == [i % 4 for i in range(10)]
    assert (splits.val, splits.test) == (None, None)


def test_what_is_no_image_is_named(tmp_path):
    write_set(tmp_path / "set", [(b"no image", 0), ("text", 1)][:1] * 3)
    with pytest.raises(UserError, match=r"3 of the images in .*set cannot be read: image 0 \(not an image\); image 1"):
        shard_images(str(tmp_path / "set"), SHAPE)


def test_damaged_shards_are_a_sentence_with_their_folder(folder, tmp_path):
    out = tmp_path / "set"
    write_shards(str(folder), str(out), shard_bytes=2000)
    shard = sorted((out / "train").glob("*.bin"))[3]
    index, noted = out / "train" / "index.json", next((out / "labels").glob("*.bin"))
    for path in (shard, index, noted):
        whole = path.read_bytes()
        for part in range(8):
            path.write_bytes(whole[: len(whole) * part // 8])
            with pytest.raises(UserError, match=str(path.parent)):
                shard_images(str(out), SHAPE)
        path.write_bytes(whole)
    assert len(shard_images(str(out), SHAPE).train) == 96
    chunks = json.loads(index.read_text())
    chunks["chunks"].pop()
    index.write_text(json.dumps(chunks))
    with pytest.raises(UserError, match=r"train has \d+ images and 96 labels: its files do not belong together"):
        shard_images(str(out), SHAPE)


def test_a_root_that_cannot_be_is_refused(folder, shards, tmp_path):
    with pytest.raises(UserError, match="is not a folder; give one of shards"):
        shard_images(str(tmp_path / "nothing"), SHAPE)
    with pytest.raises(UserError, match=r"there are no shards in .*: neither it nor train/ in it has an index\.json"):
        shard_images(str(folder), SHAPE)
    with pytest.raises(UserError, match="is not empty: give a new folder for the shards"):
        write_shards(str(folder), str(shards))


def test_the_script_writes_shards(folder, tmp_path):
    script = [sys.executable, ROOT / "scripts" / "write_shards.py", folder]
    ended = subprocess.run([*script, tmp_path / "out"], capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout == f"{tmp_path / 'out'}: train 96 images, test 20 images\n"
    assert len(shard_images(str(tmp_path / "out"), SHAPE).test) == 20
    again = subprocess.run([*script, tmp_path / "out"], capture_output=True, text=True)
    assert again.returncode == 2
    assert "is not empty" in again.stderr


def test_without_litdata_one_is_told_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "litdata", None)
    with pytest.raises(UserError, match="litdata is not installed: uv sync --extra shards, or pip install litdata"):
        shard_images(".", SHAPE)
