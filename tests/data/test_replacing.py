"""Files that take the place of others, also on Windows, where one that is open cannot be replaced."""

import os

import pytest

from diabolo.data import replacing
from diabolo.data.cache import store
from diabolo.training.whole_files import write_whole


@pytest.fixture
def still_open(monkeypatch):
    """Has the next renamings fail as on Windows while someone has the target open; says how many are left to fail."""
    left, replace = [0], os.replace

    def refused(draft, target):
        if left[0]:
            left[0] -= 1
            raise PermissionError(13, "The process cannot access the file because it is being used", str(target))
        replace(draft, target)

    monkeypatch.setattr(os, "replace", refused)
    monkeypatch.setattr(replacing, "IN_USE", True)
    monkeypatch.setattr(store, "IN_USE", True)
    return left


def test_a_file_waits_until_its_place_is_free(still_open, tmp_path):
    still_open[0] = 3
    write_whole(tmp_path / "state.json", "old")
    assert still_open == [0]
    still_open[0] = 1
    write_whole(tmp_path / "state.json", "new")
    assert (tmp_path / "state.json").read_text(encoding="utf-8") == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["state.json"]


def test_it_does_not_wait_for_ever(still_open, monkeypatch, tmp_path):
    write_whole(tmp_path / "state.json", "old")
    monkeypatch.setattr(replacing, "PATIENCE", 0.2)
    still_open[0] = 1000
    with pytest.raises(PermissionError):
        write_whole(tmp_path / "state.json", "new")
    assert (tmp_path / "state.json").read_text(encoding="utf-8") == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["state.json"]


def test_where_what_is_open_can_be_replaced_a_refusal_is_one(still_open, monkeypatch, tmp_path):
    monkeypatch.setattr(replacing, "IN_USE", False)
    still_open[0] = 1
    with pytest.raises(PermissionError):
        write_whole(tmp_path / "state.json", "new")


def test_images_in_use_stay_in_the_cache(still_open, tmp_path):
    entry = tmp_path / "entry"
    entry.mkdir()
    (entry / store.PIXELS).write_bytes(b"pixels")
    still_open[0] = 1
    assert not store._removed(entry)
    assert (entry / store.PIXELS).read_bytes() == b"pixels"
    assert store._removed(entry)
    assert not entry.exists()
