"""Decoded images on the disk: equal to decoding, written once, never out of date."""

import logging
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from diabolo.data import files
from diabolo.data.cache import entry as cache_entry
from diabolo.data.cache import writer as cache_writer
from diabolo.data.cache.store import caches
from diabolo.data.decoding import try_decode
from diabolo.data.images import MappedImages, MemoryImages
from diabolo.errors import UserError
from photos import GIB, fill, opened, pixels, plain, plain_of

pytestmark = pytest.mark.usefixtures("root")


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
@pytest.mark.parametrize("shape", [(3, 8, 8), (1, 9, 14)])
def test_pixels_and_labels_are_those_of_decoding(photos, fit, shape):
    expected, labels = plain(photos, shape, fit=fit), opened(photos, limit=0).labels
    for again in range(2):
        mapped = opened(photos, shape=shape, fit=fit)
        assert isinstance(mapped, MappedImages), again
        assert torch.equal(pixels(mapped), expected)
        assert torch.equal(mapped[7], expected[7])
        assert torch.equal(mapped.labels, labels)


def test_a_set_in_several_chunks_is_written_by_several_processes(photos, monkeypatch, tmp_path):
    monkeypatch.setattr(cache_writer, "CHUNK_IMAGES", 3)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2})
    processes = tmp_path / "processes"

    def noted(*arguments):
        with processes.open("a") as file:
            file.write(f"{os.getpid()} {torch.get_num_threads()}\n")
        return try_decode(*arguments)

    monkeypatch.setattr(files, "try_decode", noted)
    assert torch.equal(pixels(opened(photos)), plain_of(photos))
    used = {tuple(line.split()) for line in processes.read_text().splitlines()}
    assert len(used) == 3
    assert {threads for _, threads in used} == {"1"}
    assert str(os.getpid()) not in {number for number, _ in used}


def test_it_is_decoded_once(photos, decoded):
    opened(photos)
    assert len(decoded()) == 20
    opened(photos)
    opened(photos, unreadable="skip")
    assert decoded() == []
    opened(photos, fit="pad")
    assert len(decoded()) == 20


def test_what_fits_in_memory_comes_from_the_cache_where_decoding_takes_long(photos, decoded, monkeypatch, root):
    assert isinstance(opened(photos, memory=GIB), MemoryImages)
    assert not root.exists(), "20 small files are decoded faster than they are looked up"
    monkeypatch.setattr(files, "SMALL", 0)
    first = opened(photos, memory=GIB)
    decoded()
    second = opened(photos, memory=GIB)
    assert decoded() == []
    assert isinstance(second, MemoryImages)
    assert torch.equal(second.pixels, first.pixels)
    assert torch.equal(second.pixels, plain(photos))
    assert torch.equal(second.labels, first.labels)


def test_the_same_folder_by_another_way_is_the_same_entry(photos, decoded, monkeypatch, tmp_path):
    opened(photos)
    (tmp_path / "link").symlink_to(photos)
    monkeypatch.chdir(tmp_path)
    decoded()
    opened(Path("photos"))
    opened(tmp_path / "link")
    assert decoded() == []


def test_a_copy_elsewhere_is_another_entry(photos, decoded, tmp_path):
    opened(photos)
    photos.rename(tmp_path / "moved")
    decoded()
    opened(tmp_path / "moved")
    assert len(decoded()) == 20


def test_writing_to_the_pixels_of_one_process_changes_no_file(photos):
    opened(photos).pixels.zero_()
    assert torch.equal(pixels(opened(photos)), plain(photos))


def test_the_numbers_that_weights_are_drawn_from_are_left_alone(photos, monkeypatch):
    monkeypatch.setattr(cache_writer, "CHUNK_IMAGES", 5)
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    opened(photos)
    assert torch.equal(torch.rand(3), expected)


def rewrite(path: Path, seed: int) -> None:
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (10, 12, 3), dtype=np.uint8)).save(path)


def put_back_with_its_old_size_and_time(photos: Path) -> None:
    path = photos / "class0/004.png"
    before = path.stat()
    rewrite(path, 100)
    path.write_bytes(path.read_bytes().ljust(before.st_size, b"\0")[: before.st_size])
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)


CHANGES = {
    "changed": (lambda photos: rewrite(photos / "class0/004.png", 99), ["004.png"]),
    "put back": (put_back_with_its_old_size_and_time, ["004.png"]),
    "added": (lambda photos: fill(photos, 2, first=50), ["050.png", "051.png"]),
    "removed": (lambda photos: (photos / "class0/004.png").unlink(), []),
    "renamed": (lambda photos: (photos / "class0/004.png").rename(photos / "class0/900.png"), ["900.png"]),
    "touched": (lambda photos: os.utime(photos / "class0/004.png", (1, 1)), ["004.png"]),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_of_a_file_shows_and_only_that_file_is_decoded_again(photos, decoded, name):
    change, again = CHANGES[name]
    opened(photos)
    decoded()
    change(photos)
    now = opened(photos)
    assert decoded() == again
    assert torch.equal(pixels(now), plain(photos))
    assert len(caches()) == 2, "the entry of before is still there, for who goes back"


def test_another_way_of_decoding_is_another_entry(photos, decoded, monkeypatch):
    opened(photos)
    decoded()
    monkeypatch.setattr(cache_entry, "DECODING", "another version")
    opened(photos)
    assert len(decoded()) == 20


@pytest.fixture
def broken(photos) -> Path:
    (photos / "class1/none.png").write_text("no image")
    cut = (photos / "class0/002.png").read_bytes()
    (photos / "class0/002.png").write_bytes(cut[: len(cut) // 2])
    return photos


def test_unreadable_files_are_refused_or_skipped_by_name_the_second_time_without_decoding(broken, decoded, caplog):
    for _ in range(2):
        with pytest.raises(UserError, match=r"2 of the images in .*002.png \(.*none.png \(not an image\)"):
            opened(broken)
    decoded()
    with caplog.at_level(logging.WARNING):
        kept = opened(broken, unreadable="skip")
    assert "skipped 2 unreadable images" in caplog.text
    assert set(decoded()) <= {"002.png", "none.png"}
    (broken / "class1/none.png").unlink()
    (broken / "class0/002.png").unlink()
    decoded()
    assert torch.equal(pixels(kept), pixels(opened(broken)))
    assert decoded() == [], "all others were decoded before"
    assert torch.equal(pixels(kept), plain(broken))


def test_a_file_that_could_not_be_read_for_a_moment_is_read_the_next_time(photos, monkeypatch):
    def failing(path, *arguments):
        return "Input/output error" if path.name == "003.png" else try_decode(path, *arguments)

    with monkeypatch.context() as patched:
        patched.setattr(files, "try_decode", failing)
        with pytest.raises(UserError, match=r"003.png \(Input/output error\)"):
            opened(photos)
    assert torch.equal(pixels(opened(photos)), plain(photos))
