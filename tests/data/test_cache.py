"""Decoded images on the disk: equal to decoding, written once, never out of date, within bounds, whatever happens."""

import json
import logging
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from diabolo.data import cache, cache_entry, cache_writer, files
from diabolo.data.cache import cache_folder, caches, remove
from diabolo.data.decoding import try_decode
from diabolo.data.files import FileImages
from diabolo.data.folder import folder_images
from diabolo.data.images import MappedImages, MemoryImages
from diabolo.data.interrupts import Interrupts
from diabolo.errors import UserError
from diabolo.runs.folder import RunFolder
from diabolo.runs.train import resume
from stopping import assert_same, stop

SHAPE = (3, 8, 8)
ROW = 3 * 8 * 8
GIB = 1 << 30


@pytest.fixture(autouse=True)
def root(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("DIABOLO_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def fill(folder: Path, count: int, size=(10, 12), first: int = 0) -> Path:
    """Writes PNGs of random pixels, in two classes."""
    for i in range(first, first + count):
        path = folder / f"class{i % 2}" / f"{i:03}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(i).integers(0, 256, (*size, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
    return folder


@pytest.fixture
def photos(tmp_path) -> Path:
    return fill(tmp_path / "photos", 20)


def opened(folder: Path, limit: int = GIB, memory: int = 0, shape=SHAPE, **more):
    return folder_images(str(folder), shape, memory_limit=memory, cache_limit=limit, **more).train


def pixels(images) -> torch.Tensor:
    return images.take(range(len(images)))


def plain(folder: Path, shape=SHAPE, **more) -> torch.Tensor:
    """The pixels decoded into memory, without a cache."""
    return pixels(opened(folder, limit=0, memory=GIB, shape=shape, **more))


@pytest.fixture
def decoded(monkeypatch, tmp_path):
    """The names of the files that were decoded since the last call, by whichever process."""
    written = tmp_path / "decoded"

    def noted(path, *arguments):
        with written.open("a") as file:
            file.write(f"{path.name}\n")
        return try_decode(path, *arguments)

    def since() -> list[str]:
        names = written.read_text().split() if written.exists() else []
        written.unlink(missing_ok=True)
        return sorted(names)

    monkeypatch.setattr(files, "try_decode", noted)
    return since


# ---- what is in it ----


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


def plain_of(folder: Path) -> torch.Tensor:
    return torch.stack([try_decode(path, SHAPE, "crop") for path in sorted(folder.rglob("*.png"))])


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


# ---- never out of date ----


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


# ---- unreadable files ----


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


# ---- damage ----


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


# ---- processes ----

SLOW = """
import sys, time
from diabolo.data import cache_writer, files
from diabolo.data.decoding import try_decode
from diabolo.data.folder import folder_images
folder, noted, wait = sys.argv[1], sys.argv[2], float(sys.argv[3])
cache_writer.CHUNK_IMAGES, cache_writer.NOTED = 2, 0
def slow(path, *arguments):
    time.sleep(wait)
    with open(noted, "a") as file:
        file.write(path.name + "\\n")
    return try_decode(path, *arguments)
files.try_decode = slow
images = folder_images(folder, (3, 8, 8), memory_limit=0, cache_limit=1 << 30).train
print(type(images).__name__, int(images.take(range(len(images))).long().sum()))
"""


@pytest.fixture
def slow(photos, tmp_path):
    """Starts a process that opens the photos and takes its time to decode each."""
    started = []

    def start(wait: float = 0.1, noted: str = "noted") -> subprocess.Popen:
        command = [sys.executable, "-c", SLOW, str(photos), str(tmp_path / noted), str(wait)]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        return started[-1]

    yield start
    for one in started:
        if one.poll() is None:
            one.kill()
        one.communicate()


def wait_for(condition, seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


def progress_lines() -> int:
    return sum(len(path.read_text().splitlines()) for path in cache_folder().glob("*.draft/progress.jsonl"))


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
        "from diabolo.data import cache_writer, files\n"
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


# ---- no room ----


def refused(photos: Path, caplog, **more) -> str:
    """The warning with which the photos are decoded batch by batch."""
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        images = opened(photos, **more)
    assert isinstance(images, FileImages)
    assert torch.equal(pixels(images), plain(photos))
    (record,) = caplog.records
    return record.message


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


# ---- within bounds ----


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


# ---- what people see ----


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
        "import sys; from diabolo.data.folder import folder_images\n"
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


# ---- runs ----


@pytest.mark.filterwarnings("ignore:Checkpoint directory .* is not empty")
@pytest.mark.parametrize("goes_on", ["from the cache", "decoding batch by batch", "in memory"])
def test_a_run_stopped_within_an_epoch_goes_on_bit_for_bit(photos, trained, monkeypatch, tmp_path, goes_on):
    overrides = (*RUN, f"data.root={photos}", "corruption=gaussian")  # 13 training images, of which 8 make a step
    unbroken = trained(*overrides, "data.source.cache_limit=0")
    run = RunFolder(tmp_path / "run")
    assert stop(monkeypatch, run, (*overrides, "data.block=1"), 2) == 143
    assert [entry.whole for entry in caches()] == [True]
    more = {"from the cache": [], "decoding batch by batch": ["data.source.cache_limit=0"]}
    resume(run.path, more.get(goes_on, ["data.source.memory_limit=1000000", "data.block=null"]))
    assert_same(run, unbroken)
    assert json.loads((run.path / "state.json").read_text())["state"] == "done"
