"""The attacks of `scripts/attack.py`, each in a small dose; a larger one is for whoever changes what they attack."""

import importlib.util
import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from support import ROOT

SCRIPT = ROOT / "scripts" / "attack.py"


@pytest.fixture(scope="module")
def attack():
    before = dict(os.environ)
    spec = importlib.util.spec_from_file_location("attack", SCRIPT)
    module = sys.modules["attack"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    del sys.modules["attack"]
    os.environ.clear()
    os.environ.update(before)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "count"), [("fuzz", 20), ("damage", 3), ("kill", 5), ("strangers", 3), ("tmpdir", 3)])
def test_nothing_gives_way(name, count):
    command = [sys.executable, str(SCRIPT), name, "--count", str(count)]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "survived" in ended.stdout


def test_a_traceback_a_lost_command_and_another_exit_code_are_found(attack):
    assert attack.verdict(attack.Ended(0, "all is well")) == []
    assert attack.verdict(attack.Ended(2, "diabolo: a sentence.")) == []
    said = "Traceback (most recent call last):\n  ...\nValueError: five"
    assert attack.verdict(attack.Ended(0, said)) == ["traceback: ValueError: five"]
    assert attack.verdict(attack.Ended(None, "")) == ["its time was up"]
    assert attack.verdict(attack.Ended(-11, "")) == ["exit code -11: "]


def test_a_run_that_is_not_the_undisturbed_one_is_found(attack, compared):
    whole = compared
    assert attack.differences(whole, whole) == []
    wrong = attack.differences(whole / "nowhere", whole)
    assert len(wrong) == 3
    assert all("No such file" in one for one in wrong)


def test_changed_weights_and_figures_are_found(attack, compared, tmp_path):

    for folder in ("ours", "whole"):
        shutil.copytree(compared / "mse_4", tmp_path / folder / "run")
    run = tmp_path / "ours" / "run"
    kept = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    next(iter(kept["state_dict"].values())).view(-1)[0] += 1
    torch.save(kept, run / "checkpoints" / "last.ckpt")
    metrics = json.loads((run / "metrics.json").read_text())
    (run / "metrics.json").write_text(json.dumps(metrics | {"seconds": 5}))
    assert attack.differences(tmp_path / "ours", tmp_path / "whole") == ["run: last weights differ"]
    (run / "metrics.json").write_text(json.dumps(metrics | {"epochs": 5}))
    (run / "checkpoints" / ".last.ckpt.1").touch()
    assert attack.differences(tmp_path / "ours", tmp_path / "whole")[1:] == [
        "run: metrics.json differs",
        "run: .last.ckpt.1 is left",
    ]
    (run / "state.json").write_text('{"state": "running"}')
    assert attack.differences(tmp_path / "ours", tmp_path / "whole") == ["run is not done"]


def test_a_torn_checkpoint_is_found(attack, compared, tmp_path):
    whole = compared / "mse_4" / "checkpoints" / "last.ckpt"
    assert attack.is_whole(whole)
    (tmp_path / "torn.ckpt").write_bytes(whole.read_bytes()[:-100])
    assert not attack.is_whole(tmp_path / "torn.ckpt")


def test_processes_are_found_by_what_they_were_started_for(attack, tmp_path):
    with subprocess.Popen(["sleep", "60"], env=os.environ | {attack.MARK: str(tmp_path)}) as process:
        try:
            while b"sleep" not in Path(f"/proc/{process.pid}/cmdline").read_bytes():
                pass
            assert attack.started(tmp_path) == [process.pid]
            assert attack.started(tmp_path / "other") == []
        finally:
            process.kill()


def test_damage_is_damage_and_the_same_with_the_same_seed(attack):
    content = b'{"loss": 1.5, "name": "eleven", "epoch": 3}\n' * 20
    for name, spoil in attack.DAMAGES.items():
        spoilt = spoil(content, random.Random(0))
        assert spoilt != content, name
        assert spoilt == spoil(content, random.Random(0)), name


def test_every_reading_command_and_every_key_is_attacked(attack):
    from diabolo.cli import COMMANDS

    assert {arguments[0] for arguments in attack.READING} == set(COMMANDS) - {"search", "inspect"}
    keys = attack._keys()
    assert {"bottleneck.size", "optimizer.lr", "callbacks.codes", "scheduler.patience", "seed", "data.limit"} <= set(
        keys
    )
    assert not any(key.startswith(("hydra", "data.root")) for key in keys)
