"""What is printed goes into pipes that are closed and disks that are full: no traceback, and no run is given up."""

import json
import logging
import os
import subprocess
import sys

import pytest
from rich.console import Console

from diabolo.runs import terminal
from diabolo.runs.output import Output
from diabolo.runs.terminal import logging_to
from support import TINY

PYTHON = (sys.executable, "-m", "diabolo")
TRAIN = (*PYTHON, "train", *TINY, "callbacks=none", "logger=none", "hydra.run.dir=run")


def closed_pipe() -> int:
    """The writing end of a pipe that nobody reads, as of `| true`."""
    reader, writer = os.pipe()
    os.close(reader)
    return writer


def test_output_that_nobody_reads_is_let_go():
    with os.fdopen(closed_pipe(), "w") as stream:
        out = Output(stream)
        assert out.write("a") == 1
        assert out.failure is None, "it is buffered"
        out.flush()
        assert isinstance(out.failure, BrokenPipeError)
        assert out.write("x" * 100_000) == 100_000
        out.flush()
        assert os.readlink(f"/proc/self/fd/{out.fileno()}") == "/dev/null"


@pytest.mark.parametrize("command", [("--help",), (), ("runs", "--help"), ("--version",)])
def test_a_command_that_only_prints_ends_quietly_with_its_pipe(command):
    ended = subprocess.run([*PYTHON, *command], stdout=closed_pipe(), stderr=subprocess.PIPE, text=True)
    assert (ended.returncode, ended.stderr) == (141, "")


def test_a_full_disk_is_told_in_a_sentence():
    with open("/dev/full", "w") as full:
        ended = subprocess.run([*PYTHON, "--help"], stdout=full, stderr=subprocess.PIPE, text=True)
    assert (ended.returncode, ended.stderr) == (
        1,
        "diabolo: the output cannot be written (No space left on device).\n",
    )


@pytest.mark.parametrize("closed", [">&-", ">&- 2>&- <&-"])
def test_closed_streams_are_none_to_worry_about(closed):
    shell = ["sh", "-c", f'exec "$@" {closed}', "sh", *PYTHON]
    assert subprocess.run([*shell, "--help"]).returncode == 0
    assert subprocess.run([*shell, "banana"]).returncode == 2


@pytest.mark.slow
@pytest.mark.parametrize("where", ["pipe", "/dev/full", ">&-"])
def test_a_run_whose_output_nobody_reads_is_trained_to_its_end(tmp_path, where):
    command = ["sh", "-c", 'exec "$@" >&-', "sh", *TRAIN] if where == ">&-" else TRAIN
    out = os.open("/dev/full", os.O_WRONLY) if where == "/dev/full" else closed_pipe()
    ended = subprocess.run(command, cwd=tmp_path, stdout=out, stderr=subprocess.PIPE, text=True)
    os.close(out)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert json.loads((tmp_path / "run" / "state.json").read_text())["state"] == "done"


def test_a_line_of_the_log_is_not_broken_and_shows_what_a_terminal_would_obey(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(terminal, "console", Console(width=40, highlight=False))
    command = f"go on with: diabolo train {'runs/long-name' * 12}"
    with logging_to(tmp_path / "run.log"):
        logging.getLogger("diabolo.x").warning("%s [bold]\x1b[2J", command)
        logging.getLogger("lightning").warning("not ours")
    assert capsys.readouterr().out == f"{command} [bold]\\x1b[2J\n"
