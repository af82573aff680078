"""The cache when something goes wrong: damaged entries, a full disk, folders that cannot be written."""

import os
import resource
import signal
from pathlib import Path

import pytest
import torch

from diabolo.data.cache import store as cache
from diabolo.data.cache import writer as cache_writer
from diabolo.data.cache.store import cache_folder, caches
from diabolo.data.images import MappedImages
from photos import ROW, fill, opened, pixels, plain, refused

pytestmark = pytest.mark.usefixtures("root")


def whole_entry() -> Path:
    (entry,) = (path for path in cache_folder().iterdir() if path.is_dir())
    return entry


DAMAGE = {
    "manifest cut": lambda entry: os.truncate(entry / "manifest.json", 40),
    "manifest empty": lambda entry: os.truncate(entry / "manifest.json", 0),
    "manifest gone": lambda entry: (entry / "manifest.json").unlink(),
    "manifest a list": lambda entry: (entry / "manifest.json").write_text("[1, 2]"),
    "manifest of bytes": lambda entry: (entry / "manifest.json").write_bytes(b"\xff\xfe" * 30),
    "manifest changed": lambda entry: (entry / "manifest.json").write_text(
        (entry / "manifest.json").read_text().replace('"bad": {}', '"bad": {"3": "x"}')
    ),
    "pixels cut": lambda entry: os.truncate(entry / "pixels", 500),
    "pixels gone": lambda entry: (entry / "pixels").unlink(),
    "pixels longer": lambda entry: os.truncate(entry / "pixels", 5000),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_entry_is_written_again(photos, decoded, name):
    opened(photos)
    DAMAGE[name](whole_entry())
    assert isinstance(caches(), list)
    decoded()
    assert torch.equal(pixels(opened(photos)), plain(photos))
    assert len(decoded()) > 19
    assert caches()[0].whole


def test_without_its_list_of_files_an_entry_still_serves(photos, decoded):
    opened(photos)
    (whole_entry() / "images.txt").write_bytes(b"\xff")
    decoded()
    opened(photos)
    assert decoded() == []
    fill(photos, 1, first=50)
    assert torch.equal(pixels(opened(photos)), plain(photos))


@pytest.mark.parametrize("left", ["", "no json\n[0, 2", "[0, 7, {}]\n", "[99, 2, {}]\n", "5\n[0, 2, 3]\n[[], 2, {}]\n"])
def test_what_is_left_of_a_draft_may_be_damaged(photos, monkeypatch, left):
    monkeypatch.setattr(cache_writer, "CHUNK_IMAGES", 2)
    opened(photos)
    whole = whole_entry()
    draft = whole.rename(whole.with_name(whole.name + ".draft"))
    (draft / "pixels").write_bytes(bytes(20 * ROW))
    (draft / "progress.jsonl").write_text(left)
    (draft / "manifest.json").write_text("{")
    assert torch.equal(pixels(opened(photos)), plain(photos))


def test_a_disk_without_room_is_told_before_anything_is_written(photos, caplog, monkeypatch, root):
    usage = type("Usage", (), {"free": cache.FREE + 1000})
    monkeypatch.setattr(cache.shutil, "disk_usage", lambda _: usage)
    assert "the disk of" in (said := refused(photos, caplog))
    assert "DIABOLO_CACHE" in said
    assert caches() == []


def test_a_disk_that_is_full_while_it_is_written_is_given_back_what_was(photos, caplog, root):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, before[1]))
    try:
        said = refused(photos, caplog)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert "cannot be written to: File too large" in said
    assert [path for path in root.iterdir() if path.is_dir()] == []


def test_a_failure_of_a_worker_is_told_in_the_same_way(photos, caplog, monkeypatch, root):
    failing = lambda chunks, number: cache_writer.Chunk(number, {}, (28, "No space left on device"))  # noqa: E731
    monkeypatch.setattr(cache_writer._Chunks, "__getitem__", failing)
    assert "cannot be written to: No space left on device" in refused(photos, caplog)
    assert [path for path in root.iterdir() if path.is_dir()] == []


def test_a_folder_that_cannot_be_written_is_told(photos, caplog, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DIABOLO_CACHE", str(tmp_path / "file" / "below"))
    assert "cannot be written to: Not a directory" in refused(photos, caplog)


def test_an_entry_that_may_only_be_read_serves(photos, decoded, monkeypatch):
    opened(photos)
    decoded()

    def denied(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "utime", denied)
    monkeypatch.setattr(cache, "FileLock", denied)
    assert isinstance(opened(photos), MappedImages)
    assert decoded() == []
