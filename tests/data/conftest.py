"""Photographs on the disk, and a cache of their own."""

import subprocess
import sys
from pathlib import Path

import pytest

from diabolo.data import files
from diabolo.data.decoding import try_decode
from photos import fill
from processes import all_ended

SLOW = """
import sys, time
from diabolo.data import files
from diabolo.data.cache import writer as cache_writer
from diabolo.data.decoding import try_decode
from diabolo.data.folders.folder import folder_images
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
def root(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("DIABOLO_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def photos(root, tmp_path) -> Path:
    return fill(tmp_path / "photos", 20)


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


@pytest.fixture
def slow(photos, tmp_path):
    """Starts a process that opens the photos and takes its time to decode each."""

    def start(wait: float = 0.1, noted: str = "noted") -> subprocess.Popen:
        command = [sys.executable, "-c", SLOW, str(photos), str(tmp_path / noted), str(wait)]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        return started[-1]

    with all_ended() as started:
        yield start
