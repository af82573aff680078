"""`diabolo runs`: list, show, choose, remove."""

import io
import os
import subprocess
import sys

import pytest

from made_runs import write_run


class Terminal(io.StringIO):
    """stdin as a terminal on which an answer was typed."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def folder(tmp_path):
    for size, loss, mse in ((2, "mse", 0.4), (4, "mse", 0.1), (8, "mae", 0.2)):
        started = f"2026-11-{20 - size}"
        metrics = {"val/mse": mse, "test/mse": mse / 2, "test/ssim": 1 - mse}
        write_run(tmp_path / "runs" / f"{loss}{size}", size, loss, seed=size, metrics=metrics, started=started)
    write_run(tmp_path / "runs" / "bad", 4, seed=9, state="failed", reason="no memory", started="2026-11-19")
    write_run(tmp_path / "runs" / "cut", 4, seed=8, state="running", started="2026-11-20")
    return tmp_path / "runs"


def names(folder) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_ls_lists_every_run_by_its_start(diabolo, folder):
    ended = diabolo("runs", "ls")
    lines = [line.split() for line in ended.out.splitlines()]
    assert lines[0] == ["run", "state", "loss", "bottleneck.size", "seed", "val/mse", "test/mse", "test/ssim"]
    assert lines[1:4] == [
        ["runs/mae8", "done", "mae", "8", "8", "0.2", "0.1", "0.8"],
        ["runs/mse4", "done", "mse", "4", "4", "0.1", "0.05", "0.9"],
        ["runs/mse2", "done", "mse", "2", "2", "0.4", "0.2", "0.6"],
    ]
    assert lines[4:] == [["runs/bad", "failed", "mse", "4", "9"], ["runs/cut", "cut", "off", "mse", "4", "8"]]


def test_ls_chooses_and_sorts(diabolo, folder):
    ended = diabolo("runs", "ls", "runs", "--where", "state=done", "--sort", "test/ssim", "--top", "2")
    assert [line.split()[0] for line in ended.out.splitlines()[1:]] == ["runs/mse4", "runs/mae8"]


def test_show_tells_all_of_one_run(diabolo, folder):
    picture = folder / "mse4" / "pictures" / "reconstructions" / "final.png"
    picture.parent.mkdir(parents=True)
    picture.touch()
    out = diabolo("runs", "show", "runs/mse4").out
    lines = [line.split() for line in out.splitlines()]
    for line in (["overrides", "bottleneck.size=4", "loss=mse"], ["val/mse", "0.1"], ["state", "done"]):
        assert line in lines
    assert "runs/mse4/pictures/reconstructions/final.png" in out
    assert "failed: no memory" in diabolo("runs", "show", "runs/bad").out


def test_best_prints_the_path_alone(diabolo, folder):
    assert diabolo("runs", "best").out == "runs/mse4\n"
    assert diabolo("runs", "best", "runs", "--where", "loss=mae").out == "runs/mae8\n"
    assert diabolo("runs", "best", "runs", "--by", "bottleneck.size").out == "runs/mse2\n"
    assert diabolo("runs", "best", "--where", "loss=mae", "runs").out == "runs/mae8\n"
    assert "val/mse 0.1, the best of 3 runs" in diabolo("runs", "best").err


@pytest.mark.parametrize(
    ("arguments", "words"),
    {
        "best --by val/mes": "`--by` names 'val/mes', which no run has (did you mean 'val/mse'?)",
        "best --where state=failed": "names 'val/mse', which no run has",
        "list": "there is no `diabolo runs list`; there are ls, show, best, rm",
        "show runs": "'runs' is not a run folder",
        "rm runs": "nothing was removed of 5 runs, 0.0 MB: say --yes where nobody can be asked",
        "rm nowhere --yes": "'nowhere' is not a folder",
        "rm runs --where los=mse --yes": "(did you mean 'loss'?)",
        "rm runs --where loss=ssim --yes": "none of the 5 runs fits",
    }.items(),
)
def test_a_mistake_is_one_sentence_and_removes_nothing(diabolo, folder, monkeypatch, arguments, words):
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    before = names(folder)
    ended = diabolo("runs", *arguments.split())
    assert ended.code == 2
    assert words in ended.err
    assert len(ended.err.splitlines()) == 1
    assert names(folder) == before


@pytest.mark.parametrize(("answer", "gone"), [("y", {"mse2", "mse4"}), ("n", set()), ("", set())])
def test_rm_asks_and_removes_what_was_listed(diabolo, folder, monkeypatch, answer, gone):
    monkeypatch.setattr("sys.stdin", Terminal(f"{answer}\n"))
    before = names(folder)
    ended = diabolo("runs", "rm", "runs", "--where", "state=done", "--where", "loss=mse")
    assert ended.code == 0
    assert {line.split()[0] for line in ended.out.splitlines() if line.startswith("runs/")} == {
        "runs/mse2",
        "runs/mse4",
    }
    assert before - names(folder) == gone


def test_rm_leaves_what_trains_and_what_is_no_run(diabolo, folder):
    (folder / "notes").mkdir()
    write_run(folder / "half")
    (folder / "half" / "state.json").unlink()
    (folder / "link").symlink_to(write_run(folder.parent / "elsewhere", 3))
    hold = (
        "import sys, time; from diabolo.runs.folder import RunFolder\n"
        "with RunFolder(sys.argv[1]).held(): print(1, flush=True), time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(folder / "cut")], stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline() == "1\n"
        ended = diabolo("runs", "rm", "runs", "--yes")
        other.kill()
    assert ended.code == 2
    assert "'runs/cut' is being trained by another process" in ended.err
    assert "runs/link (runs/link is a link)" in ended.err
    assert names(folder) == {"cut", "half", "link", "notes"}
    assert (folder.parent / "elsewhere" / "state.json").exists()


def test_all_that_lies_in_a_sweep_may_be_named_and_its_runs_alone_are_removed(diabolo, tmp_path):
    sweep = tmp_path / "sweeps" / "seed"
    for name in ("seed=0", "seed=1"):
        write_run(sweep / name)
    (sweep / "multirun.yaml").write_text("seed: 0,1\n")
    (sweep / "notes.txt").write_text("precious")
    (sweep / "pictures").mkdir()
    (sweep / "pictures" / "mine.png").write_text("precious")
    named = [f"sweeps/seed/{name}" for name in sorted(os.listdir(sweep))]
    assert diabolo("runs", "ls", *named).code == diabolo("compare", *named).code == 0
    ended = diabolo("runs", "rm", *named, "--yes")
    assert (ended.code, ended.out.splitlines()[-1][:19]) == (0, "Removed 2 of 2 runs")
    assert ended.err.splitlines() == [
        "skipped sweeps/seed/notes.txt: it is a file",
        "skipped sweeps/seed/pictures: there is no run in it",
    ]
    assert names(sweep) == {"multirun.yaml", "notes.txt", "pictures"}
    assert (sweep / "pictures" / "mine.png").read_text() == "precious"
    ended = diabolo("runs", "rm", "sweeps/seed/multirun.yaml", "sweeps/seed/notes.txt", "--yes")
    assert ended.code == 2
    assert "there is no run below sweeps/seed/multirun.yaml or sweeps/seed/notes.txt" in ended.err
