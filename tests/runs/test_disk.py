"""Full disks and folders one may only read: one sentence where something is to be written, and else nothing."""

import csv
import errno
import json
import logging
import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest

from diabolo.errors import UserError
from diabolo.report.board import write_board
from diabolo.report.collect import collect
from diabolo.runs.folder import RunFolder
from diabolo.runs.terminal import LogFile, logging_to
from diabolo.training.whole_files import write_whole
from made_runs import write_run
from support import TINY

FULL = OSError(errno.ENOSPC, "No space left on device")


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """No file can grow beyond `size` bytes, as on a disk that is nearly full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def contents(folder: Path) -> dict[str, bytes | None]:
    return {str(path): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


@pytest.fixture(scope="module")
def made(trained) -> RunFolder:
    return trained(*TINY, "logger=none", "callbacks=none", "scheduler=none")


@pytest.mark.parametrize(
    "command",
    [
        ("evaluate", "run"),
        ("probe", "run"),
        ("runs", "ls", "run"),
        ("runs", "show", "run"),
        ("runs", "best", "run"),
        ("compare", "run"),
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("disk", ["read-only", "full"])
def test_what_only_reads_works_where_nothing_can_be_written(diabolo, made, monkeypatch, command, disk):
    def denied(self):
        raise PermissionError(errno.EACCES, "Permission denied", self.baseFilename)

    if disk == "read-only":
        monkeypatch.setattr(LogFile, "_open", denied)
    shutil.copytree(made.path, "run")
    before = contents(Path("run"))
    with room_for(0):
        ended = diabolo(*command)
    assert ended.code == 0, ended
    assert "Traceback" not in ended.out + ended.err
    assert "Logging error" not in ended.err
    assert ended.out
    assert contents(Path("run")) == before


@pytest.mark.parametrize(
    "asked",
    [
        ("--csv", "/dev/full"),
        ("--markdown", "/dev/full"),
        ("--html", "/dev/full"),
        ("--html", "page.html"),
        ("--plots", "plots"),
        ("--tensorboard", "board"),
        ("--csv", "file/table.csv"),
        ("--markdown", "file/table.md"),
        ("--html", "file/page.html"),
        ("--plots", "file/plots"),
        ("--tensorboard", "file/board"),
    ],
    ids=" ".join,
)
def test_a_comparison_that_cannot_be_written_is_one_sentence(diabolo, tmp_path, asked):
    for size in (2, 4):
        write_run(tmp_path / "runs" / str(size), size, metrics={"test/mse": 1 / size})
    Path("file").touch()
    with room_for(1000):
        ended = diabolo("compare", *asked)
    assert ended.code == 2, ended
    assert "Traceback" not in ended.out + ended.err
    (line,) = ended.err.splitlines()
    why = {"/dev": "No space left on device", "file": "Not a directory"}.get(asked[1][:4], "File too large")
    if asked[1] == "file/page.html":
        why = "File exists"
    assert line.startswith(f"diabolo: '{asked[1]}")
    assert line.endswith(f"cannot be written ({why}); choose another place.")


def test_an_earlier_board_stays_until_the_new_one_stands(tmp_path):
    write_run(tmp_path / "runs" / "one", metrics={"test/mse": 0.5})
    runs, _ = collect([tmp_path / "runs"])
    write_board(runs, tmp_path)
    (before,) = (tmp_path / "comparison").iterdir()
    with room_for(1000), pytest.raises(UserError, match="comparison' cannot be written"):
        write_board(runs, tmp_path)
    assert list((tmp_path / "comparison").iterdir()) == [before]


def test_a_log_on_a_full_disk_hides_no_sentence(capsys):
    def speak() -> None:
        with logging_to(Path("/dev/full")):
            logging.getLogger("diabolo").warning("something is said")
            raise UserError("the sentence")

    with pytest.raises(UserError, match="the sentence"):
        speak()
    said = capsys.readouterr()
    assert "something is said" in said.out
    assert said.err == ""


def test_a_log_is_written_whatever_a_name_holds(tmp_path):
    with logging_to(tmp_path / "run.log"):
        logging.getLogger("diabolo").info("größe \udcff", extra={"file_only": True})
    assert (tmp_path / "run.log").read_text("utf-8").endswith("INFO diabolo: größe \\udcff\n")


def test_a_run_that_fails_on_a_full_disk_still_says_so(tmp_path, monkeypatch):
    def full(*_):
        raise FULL

    run = RunFolder(write_run(tmp_path / "run", state="running"))
    monkeypatch.setattr("diabolo.runs.folder.write_whole", full)
    with pytest.raises(OSError, match="No space left"):
        run.mark("done")
    assert run.state()["state"] == "running"
    run.mark("failed", reason="a reason that is longer than what was there")
    assert run.state() | {"changed": ""} == {
        **json.loads((tmp_path / "run" / "state.json").read_text()),
        "state": "failed",
        "reason": "a reason that is longer than what was there",
        "changed": "",
    }
    run.mark("stopped")
    assert run.state()["state"] == "stopped"
    assert "reason" not in run.state(), "a shorter text leaves nothing of the longer one"
    with pytest.raises(OSError, match="No space left"):
        run.mark("failed", reason="long" * 10_000)
    assert run.state()["state"] == "stopped", "what does not fit is not begun"


@pytest.mark.parametrize("room", [True, False])
def test_a_disk_that_fills_up_at_the_end_of_a_run_is_told(diabolo, tiny, monkeypatch, room):
    def filling(path, content):
        if path.name == "metrics.json" or Path("filled").exists():
            Path("filled").touch()
            raise FULL
        write_whole(path, content)

    monkeypatch.setattr("diabolo.runs.folder.write_whole", filling)
    if not room:
        monkeypatch.setattr("diabolo.runs.folder._room", lambda _: 0)
    ended = diabolo("train", *tiny, "logger=none", "callbacks=none", "hydra.run.dir=run")
    assert ended.code == 2, ended
    (line,) = ended.err.splitlines()
    assert "the run folder 'run' cannot be written (No space left on device); free some space" in line.replace(
        f"{Path.cwd()}/", ""
    )
    assert RunFolder("run").state()["state"] == ("failed" if room else "running")
    assert ("still says that it is running" in " ".join(ended.out.split())) is not room


def full(*_, **__):
    raise OSError(errno.ENOSPC, "No space left on device")  # a new one: an exception keeps where it was raised before


CSV = ("logger._target_=lightning.pytorch.loggers.CSVLogger", "~logger.default_hp_metric")
WITHOUT_DUMPS = SimpleNamespace(dumps=full, loads=json.loads)


@pytest.mark.filterwarnings("ignore:Experiment logs directory .* exists")
@pytest.mark.parametrize(
    ("logger", "patched", "file"),
    [
        (("logger=tensorboard", "model.hidden=[8]"), None, "events.out.tfevents."),
        ((*CSV, "callbacks=none"), ("csv.DictWriter.writerows", full), "metrics.csv"),
        (("logger=none", "callbacks=none"), ("diabolo.training.recording.json", WITHOUT_DUMPS), "history.jsonl"),
    ],
    ids=["tensorboard", "csv", "history"],
)
def test_a_record_that_cannot_be_written_is_named_and_the_run_has_failed(
    diabolo, tiny, monkeypatch, logger, patched, file
):
    if patched:
        monkeypatch.setattr(*patched)
    with nullcontext() if patched else room_for(40_000):  # TensorBoard's events alone, with their pictures, are larger
        ended = diabolo("train", *tiny, *logger, "hydra.run.dir=run")
    assert ended.code == 2, ended
    assert "Traceback" not in ended.out + ended.err
    (line,) = ended.err.splitlines()
    why = "No space left on device" if patched else "File too large"
    assert f"run' cannot be written ({why}); free some space" in line
    assert f"; the file was '{file}" in line
    state = RunFolder("run").state()
    assert state["state"] == "failed"
    assert state["reason"] in line


def test_a_config_that_cannot_be_written_leaves_nothing(diabolo, tiny, monkeypatch):
    def filling(path, content):
        if path.name == "config.yaml":
            raise FULL
        write_whole(path, content)

    monkeypatch.setattr("diabolo.runs.folder.write_whole", filling)
    assert diabolo("train", *tiny, "logger=none", "callbacks=none", "hydra.run.dir=a/run").code == 2
    assert not list(Path().iterdir())


def test_a_run_that_goes_on_where_its_config_cannot_be_written_is_what_it_was(diabolo, tiny, made, monkeypatch):
    shutil.copytree(made.path, "run")
    before = RunFolder("run").state()

    def filling(path, content):
        if path.name == "config.yaml":
            raise FULL
        write_whole(path, content)

    monkeypatch.setattr("diabolo.runs.folder.write_whole", filling)
    assert diabolo("train", "run", "trainer.max_epochs=3").code == 2
    assert RunFolder("run").state() == before


def test_a_table_is_utf_8_whatever_the_locale(diabolo, tmp_path):
    write_run(tmp_path / "runs" / "größe", metrics={"test/mse": 0.5})
    assert diabolo("compare", "--csv", "table.csv").code == 0
    with open("table.csv", encoding="utf-8", newline="") as file:
        assert next(csv.DictReader(file))["folders"] == "runs/größe"
