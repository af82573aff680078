"""The attacks of `scripts/attack.py`, each in a small dose; a larger one is for whoever changes what they attack."""

import importlib.util
import json
import os
import random
import shutil
import subprocess
import sys

import pytest
import torch

from support import ROOT

SCRIPT = ROOT / "scripts" / "attack.py"


@pytest.fixture(scope="module")
def attack():
    """The package of the attacks; `script` is the script that makes them."""
    before = dict(os.environ)
    sys.path.append(str(SCRIPT.parent))
    spec = importlib.util.spec_from_file_location("attack", SCRIPT)
    script = sys.modules["attack"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    import attacks

    attacks.script = script
    yield attacks
    sys.path.remove(str(SCRIPT.parent))
    for name in [name for name in sys.modules if name.partition(".")[0] in ("attack", "attacks")]:
        del sys.modules[name]
    os.environ.clear()
    os.environ.update(before)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "count"), [("fuzz", 20), ("damage", 3), ("kill", 6), ("tmpdir", 3), ("strangers", 3), ("surroundings", 14)]
)
def test_nothing_gives_way(name, count):
    command = [sys.executable, str(SCRIPT), name, "--count", str(count)]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "survived" in ended.stdout


def test_a_traceback_a_lost_command_and_another_exit_code_are_found(attack):
    assert attack.commands.verdict(attack.commands.Ended(0, "all is well")) == []
    assert attack.commands.verdict(attack.commands.Ended(2, "diabolo: a sentence.")) == []
    said = "Traceback (most recent call last):\n  ...\nValueError: five"
    assert attack.commands.verdict(attack.commands.Ended(0, said)) == ["traceback: ValueError: five"]
    assert attack.commands.verdict(attack.commands.Ended(None, "")) == ["its time was up"]
    assert attack.commands.verdict(attack.commands.Ended(-11, "")) == ["exit code -11: "]


def test_a_run_that_is_not_the_undisturbed_one_is_found(attack, compared):
    whole = compared
    assert attack.equality.differences(whole, whole) == []
    wrong = attack.equality.differences(whole / "nowhere", whole)
    assert len(wrong) == 3
    assert all(one.startswith("missing: ") for one in wrong)
    assert len(attack.equality.differences(whole, whole / "nowhere")) == 3, "runs that should not be there"


def test_changed_weights_and_figures_are_found(attack, compared, tmp_path):

    for folder in ("ours", "whole"):
        shutil.copytree(compared / "mse_4", tmp_path / folder / "run")
    run = tmp_path / "ours" / "run"
    kept = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    next(iter(kept["state_dict"].values())).view(-1)[0] += 1
    torch.save(kept, run / "checkpoints" / "last.ckpt")
    metrics = json.loads((run / "metrics.json").read_text())
    (run / "metrics.json").write_text(json.dumps(metrics | {"seconds": 5}))
    assert attack.equality.differences(tmp_path / "ours", tmp_path / "whole") == ["other weights: run, last"]
    (run / "metrics.json").write_text(json.dumps(metrics | {"epochs": 5}))
    (run / "checkpoints" / ".last.ckpt.1").touch()
    assert attack.equality.differences(tmp_path / "ours", tmp_path / "whole") == [
        "a draft: .last.ckpt.1",
        "other weights: run, last",
        "other figures: run, metrics.json",
    ]
    (run / "state.json").write_text('{"state": "running"}')
    assert attack.equality.differences(tmp_path / "ours", tmp_path / "whole")[1:] == ["not done: run"]


def test_a_torn_checkpoint_is_found(attack, compared, tmp_path):
    whole = compared / "mse_4" / "checkpoints" / "last.ckpt"
    assert attack.equality.is_whole(whole)
    (tmp_path / "torn.ckpt").write_bytes(whole.read_bytes()[:-100])
    assert not attack.equality.is_whole(tmp_path / "torn.ckpt")


def test_processes_are_found_by_their_session(attack):
    from attacks.processes import left, started

    with subprocess.Popen(["sh", "-c", "sleep 60 & wait"], start_new_session=True) as process:
        while len(started(process.pid)) < 2:
            pass
        (child,) = started(process.pid).keys() - {process.pid}
        assert started(process.pid)[child] == process.pid
        assert started(child) == {}
        attack.processes.PATIENCE = 0.1
        assert left(process.pid) == ["2 processes are left after 0.1 s"]
    assert left(process.pid) == []


def test_damage_is_damage_and_the_same_with_the_same_seed(attack):
    content = b'{"loss": 1.5, "name": "eleven", "epoch": 3}\n' * 20
    for name, spoil in attack.damage.DAMAGES.items():
        spoilt = spoil(content, random.Random(0))
        assert spoilt != content, name
        assert spoilt == spoil(content, random.Random(0)), name


def test_every_reading_command_and_every_key_is_attacked(attack):
    from diabolo.cli import COMMANDS

    assert {line[0] for line in attack.damage.READING} - {"load"} == set(COMMANDS) - {
        "inspect",
        "data",
    }  # these read no run folder
    keys = attack.fuzz.keys_of_conf()
    assert {"bottleneck.size", "optimizer.lr", "callbacks.codes", "scheduler.patience", "seed", "data.limit"} <= set(
        keys
    )
    assert not any(key.startswith(("hydra", "data.root")) for key in keys)


def test_the_table_counts_what_survived_and_what_was_lost(attack, capsys):
    outcomes = [
        attack.commands.Outcome(*o) for o in (("a", [], []), ("b", ["hung"], []), ("c", [], ["torn: x", "torn: y"]))
    ]
    line = attack.script.tally("kill", outcomes)
    assert (line.tried, line.survived, line.nothing_lost, line.lost) == (3, 2, 2, {"torn": 2})
    assert str(line).split() == ["kill", "3", "2", "2", "2", "torn"]
    assert capsys.readouterr().out == "kill: b: hung\nkill: c: torn: x; torn: y\n"


def test_which_files_a_command_opens_is_noted(attack, compared, tmp_path):
    opened = set()
    ended = attack.commands.command(("runs", "show", str(compared / "mse_4")), tmp_path, opened=opened)
    assert ended.code == 0, ended.said
    assert compared / "mse_4" / "state.json" in opened
    assert compared / "mse_4" / "checkpoints" / "best.ckpt" not in opened
