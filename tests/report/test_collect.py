"""Reading run folders, and naming what is none."""

import json
import subprocess
import sys

import pytest

from diabolo.errors import UserError
from diabolo.report.collect import collect
from diabolo.runs.folder import RunFolder
from made_runs import write_run


def test_a_run_is_read_as_its_folder_tells_it(tmp_path):
    history = [{"epoch": 1, "val/mse": 0.5}, {"epoch": 2, "val/mse": 0.25}]
    path = write_run(tmp_path / "a" / "one", 25, "mae", seed=3, metrics={"test/mse": 0.5}, history=history)
    with (path / "history.jsonl").open("ab") as file:
        file.write(b'3\n{"epoch": 3, "val/m\xff')  # no mapping; cut short by a kill
    (run,), skipped = collect([tmp_path])
    assert skipped == []
    assert (run.path, run.name, run.state) == (path, "a/one", "done")
    assert run.config["bottleneck.size"] == run.get("bottleneck.size") == 25
    assert run.config["model.hidden"] == [16]
    assert run.get("loss") == "mae"
    assert (run.get("test/mse"), run.get("seed"), run.get("nothing")) == (0.5, 3, None)
    assert run.history == history


def test_what_is_no_run_is_named_with_the_reason(tmp_path):
    good = write_run(tmp_path / "good", metrics={"test/mse": 0.5})
    for name in ("half", "other", "state", "list", "metrics", "yaml", "tag", "binary", "stateless"):
        write_run(tmp_path / name, metrics={"test/mse": 0.5})
    (tmp_path / "half" / "state.json").write_text('{"state": "do')
    (tmp_path / "other" / "state.json").write_text('{"state": "unheard of"}')
    (tmp_path / "state" / "config.yaml").unlink()
    (tmp_path / "list" / "config.yaml").write_text("- 1\n")
    (tmp_path / "metrics" / "metrics.json").write_text("")
    (tmp_path / "yaml" / "config.yaml").write_text("a: [1\n")
    (tmp_path / "tag" / "config.yaml").write_text("a: !!python/object/apply:os.getcwd []\n")
    (tmp_path / "binary" / "config.yaml").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "stateless" / "state.json").unlink()
    (tmp_path / "empty").mkdir()
    (tmp_path / "foreign" / "deep").mkdir(parents=True)
    (tmp_path / "foreign" / "deep" / "notes.txt").touch()
    (tmp_path / ".hidden").mkdir()
    runs, skipped = collect([tmp_path])
    assert [run.path for run in runs] == [good]
    why = {one.path.name: one.why for one in skipped}
    assert why["empty"] == "it is empty"
    assert why["foreign"] == "there is no run in it"
    assert why["state"] == "it has no config.yaml"
    assert why["stateless"] == "it has no state.json"
    assert why["other"] == "state.json cannot be read: it names no state"
    assert why["list"] == "config.yaml cannot be read: it holds no mapping"
    assert why["half"].startswith("state.json cannot be read: it is no JSON (")
    assert why["metrics"].startswith("metrics.json cannot be read: it is no JSON (")
    assert why["yaml"].startswith("config.yaml cannot be read: it is no YAML (")
    assert why["tag"].startswith("config.yaml cannot be read: it is no YAML (")
    assert why["binary"] == "config.yaml cannot be read: it is no text in UTF-8"
    assert set(why) == {
        "half",
        "other",
        "state",
        "list",
        "metrics",
        "yaml",
        "tag",
        "binary",
        "stateless",
        "empty",
        "foreign",
    }
    assert len(skipped) == len(why)


def test_each_run_is_read_once_whatever_leads_to_it(tmp_path):
    path = write_run(tmp_path / "a" / "one")
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    (tmp_path / "again").symlink_to(path)
    runs, skipped = collect([path, tmp_path / "a", tmp_path])
    assert ([run.name for run in runs], skipped) == (["one"], [])


def test_a_folder_that_does_not_exist_is_one_sentence(tmp_path):
    with pytest.raises(UserError, match="nowhere' is not a folder"):
        collect([tmp_path / "nowhere"])


HOLD = """import sys, time
from diabolo.runs.folder import RunFolder
with RunFolder(sys.argv[1]).held():
    print(1, flush=True), time.sleep(60)"""


def test_a_run_whose_process_is_gone_is_cut_off(tmp_path):
    path = write_run(tmp_path / "one", state="running")
    assert collect([tmp_path])[0][0].state == "cut off", "no process ever held it"
    with subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "1\n"
        assert RunFolder(path).is_held()
        assert collect([tmp_path])[0][0].state == "running"
        other.kill()
    assert not RunFolder(path).is_held()
    assert collect([tmp_path])[0][0].state == "cut off"
    assert json.loads((path / "state.json").read_text())["state"] == "running", "looking changes nothing"


def test_strange_contents_are_shown_and_break_nothing(tmp_path, diabolo):
    strange = {"test/mse": "low", "test/mae": 1e308, "val/mse": None, "code/dead_units": -3, "parameters": True}
    for name, size in (("a", "many"), ("b", None)):
        write_run(
            tmp_path / "runs" / name,
            size,
            seed=[1],
            metrics=strange | {"code_size": "x"},
            config={"callbacks.hparams.params.seed": [1]},  # equal, not the same: that would be an alias
            history=[{"val/mse": "?"}],
        )
    (tmp_path / "runs" / "a" / "per_image.npz").write_text("no zip")
    (tmp_path / "runs" / "b" / "metrics.json").write_text('{"test/mse": NaN, "val/mse": Infinity}')
    for command in (["compare"], ["runs", "ls"], ["runs", "show", "runs/a"], ["compare", "--sort", "test/mse"]):
        ended = diabolo(*command)
        assert ended.code == 0, ended.err
        assert "many" in ended.out
