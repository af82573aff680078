"""The cache within its bounds: what makes room, what is told and removed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from diabolo.data.cache import store as cache
from diabolo.data.cache.store import cache_folder, caches, remove
from diabolo.data.files import FileImages
from diabolo.data.images import MappedImages
from diabolo.errors import UserError
from photos import ROW, fill, opened, pixels, plain, progress_lines, refused, wait_for

pytestmark = pytest.mark.usefixtures("root")


def used_at(name: str, when: float) -> None:
    (entry,) = cache_folder().glob(f"{name}-*")
    os.utime(entry / "manifest.json", (when, when))


def names() -> set[str]:
    return {entry.name.rpartition("-")[0] for entry in caches()}


def test_the_least_recently_used_make_room_and_none_in_use(tmp_path, caplog):
    sets = {name: fill(tmp_path / name, 20) for name in "abcd"}
    in_use = opened(sets["a"])
    opened(sets["b"])
    opened(sets["c"])
    one = max(entry.bytes for entry in caches())
    for name, when in (("a", 1000), ("b", 3000), ("c", 2000)):
        used_at(name, when)
    opened(sets["d"], limit=3 * one + 100)
    assert names() == {"a", "b", "d"}, "a is older than c, but in use"
    assert torch.equal(pixels(in_use), plain(sets["a"]))
    del in_use
    opened(sets["c"], limit=3 * one + 100)
    assert names() == {"b", "c", "d"}


def test_using_an_entry_counts(tmp_path):
    sets = {name: fill(tmp_path / name, 20) for name in "abc"}
    opened(sets["a"])
    opened(sets["b"])
    used_at("a", 1000)
    used_at("b", 2000)
    opened(sets["a"])
    assert [entry.name[0] for entry in caches()] == ["a", "b"]
    opened(sets["c"], limit=2 * max(entry.bytes for entry in caches()) + 100)
    assert names() == {"a", "c"}


def test_a_set_beyond_the_limit_is_refused_and_removes_nothing(photos, tmp_path, caplog):
    opened(fill(tmp_path / "other", 4))
    said = refused(photos, caplog, limit=20 * ROW - 1)
    assert "raise `data.source.cache_limit` (= 3839)" in said
    assert names() == {"other"}


def test_where_all_is_in_use_a_set_is_refused(photos, tmp_path, caplog):
    held = opened(fill(tmp_path / "other", 20))
    said = refused(photos, caplog, limit=30 * ROW)
    assert "other runs are using" in said
    assert len(held) == 20
    assert names() == {"other"}


def test_no_cache_where_none_is_wanted(photos, root):
    assert isinstance(opened(photos, limit=0), FileImages)
    assert not root.exists()


def test_entries_are_told_and_removed(photos, root):
    before = time.time()
    images = opened(photos)
    (entry,) = caches()
    assert entry.name.startswith("photos-")
    assert (entry.of, entry.images, entry.whole) == (str(photos), 20, True)
    assert 20 * ROW < entry.bytes < 20 * ROW + 5000
    assert before - 1 < entry.last_used <= time.time()
    with pytest.raises(UserError, match="is in use"):
        remove(entry)
    assert len(caches()) == 1
    del images
    remove(entry)
    assert caches() == []


def test_another_process_that_reads_an_entry_keeps_it(photos):
    opened(photos)
    code = (
        "import sys; from diabolo.data.folders.folder import folder_images\n"
        "kept = folder_images(sys.argv[1], (3, 8, 8), memory_limit=0, cache_limit=1 << 30)\n"
        "print('open', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(photos)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "open\n"
        (entry,) = caches()
        with pytest.raises(UserError, match="is in use"):
            remove(entry)
        other.kill()
        other.wait()
        remove(entry)
    assert caches() == []


def test_a_draft_that_is_being_written_is_not_removed_and_one_left_behind_is(slow):
    writing = slow(0.3)
    wait_for(lambda: progress_lines() >= 1)
    (entry,) = caches()
    assert not entry.whole
    with pytest.raises(UserError, match="is in use"):
        remove(entry)
    writing.send_signal(signal.SIGKILL)

    def gone() -> bool:
        try:
            remove(entry)
        except UserError:  # its workers look after their parent now and then
            return False
        return True

    wait_for(gone)
    assert caches() == []


def test_what_else_lies_there_is_left_alone(photos, root):
    (root / "my photos").mkdir(parents=True)
    (root / "my photos" / "1.txt").write_text("mine")
    (root / "notes-2026").mkdir()
    opened(photos, limit=20 * ROW + 1)
    assert [entry.of for entry in caches()] == [str(photos)]
    assert (root / "my photos" / "1.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"DIABOLO_CACHE": "/big/disk", "XDG_CACHE_HOME": "/other"}, "/big/disk"),
        ({"XDG_CACHE_HOME": "/other"}, "/other/diabolo"),
        ({"HOME": "/home/me"}, "/home/me/.cache/diabolo"),
    ],
)
def test_where_it_lies(monkeypatch, variables, expected):
    for name in ("DIABOLO_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert cache_folder() == Path(expected)


def test_no_name_of_a_folder_is_one_that_a_file_system_refuses(tmp_path):
    images = opened(fill(tmp_path / "Fotos\udcff (2026) ü: x*?" / ("long" * 50), 2))
    assert isinstance(images, MappedImages)
    (entry,) = caches()
    assert cache.NAME.fullmatch(entry.name)
    assert len(entry.name) < 60
