"""Nothing of the user's is deleted or overwritten: precious files beside, above, below and behind links."""

import shutil
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from diabolo.runs.files_written import is_free, is_ours, written
from diabolo.runs.folder import RunFolder
from support import TINY

pytestmark = pytest.mark.filterwarnings("ignore:Checkpoint directory .* is not empty")  # it is the run's own

BARE = ("train", *TINY, "callbacks=none", "logger=none")


def snapshot(folder: Path) -> dict[str, bytes | str | bool]:
    """Every file and folder below `folder` with its content; links are not followed."""
    return {
        str(path.relative_to(folder)): str(path.readlink())
        if path.is_symlink()
        else path.read_bytes()
        if path.is_file()
        else None
        for path in sorted(folder.rglob("*"))
    }


def project(folder: Path) -> None:
    """A foreign project with names that a run has, too."""
    for name in (
        "pictures/cat.png",
        "checkpoints/best.ckpt",
        "checkpoints/mine.ckpt",
        "20261/notes.txt",
        "src/main.py",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"precious {name}")
    for name in ("config.yaml", "run.log", "metrics.json"):
        (folder / name).write_text("a: 1\n" if name == "config.yaml" else "precious")


@pytest.mark.parametrize("state", ["", '{"state": "done"}', "[]", '{"state": "done", "versions": {"torch": "2"}}'])
@pytest.mark.parametrize("more", [(), ("rerun=true",)])
@pytest.mark.parametrize("place", ["hydra.run.dir=", "hydra.run.dir=.", "hydra.run.dir=''"])
def test_a_foreign_project_is_not_touched(diabolo, tmp_path, place, more, state):
    project(tmp_path)
    if state:
        (tmp_path / "state.json").write_text(state)
    before = snapshot(tmp_path)
    ended = diabolo(*BARE, place, *more)
    assert ended.code == 2
    assert len(ended.err.splitlines()) == 1
    assert "hydra.run.dir" in ended.err
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("value", ["no", "banana", "1", "null"])
def test_rerun_is_true_or_false(diabolo, value):
    assert diabolo(*BARE, "hydra.run.dir=run").code == 0
    before = snapshot(Path("run"))
    ended = diabolo(*BARE, "hydra.run.dir=run", f"rerun={value}")
    assert ended.code == 2
    assert "`rerun` (= " in ended.err
    assert "must be true or false" in ended.err
    assert snapshot(Path("run")) == before


def test_a_rerun_removes_what_a_run_writes_and_nothing_else(diabolo, tmp_path):
    assert diabolo(*BARE, "hydra.run.dir=run").code == 0
    outside = tmp_path / "outside"
    project(outside)
    mine = {
        "notes.md": "mine",
        "pictures/mine/sketch.txt": "mine",
        "checkpoints/mine.ckpt": "mine",
        "12345/a.txt": "mine",
    }
    for name, text in mine.items():
        (Path("run") / name).parent.mkdir(parents=True, exist_ok=True)
        (Path("run") / name).write_text(text)
    (Path("run") / "pictures" / "linked").symlink_to(outside / "pictures")
    (Path("run") / "per_image.npz").unlink(missing_ok=True)
    (Path("run") / "per_image.npz").symlink_to(outside / "src" / "main.py")
    before = snapshot(outside)
    first = RunFolder("run").metrics()["finished"]
    ended = diabolo(*BARE, "hydra.run.dir=run", "rerun=true")
    assert ended.code == 0, ended.err
    assert RunFolder("run").metrics()["finished"] >= first
    assert {name: (Path("run") / name).read_text() for name in mine} == mine
    assert (Path("run") / "per_image.npz").is_symlink(), "a link is the user's"
    assert snapshot(outside) == before


@pytest.mark.parametrize("words", [("rm", "."), ("rm", ".."), ("rm", "../below")])
def test_rm_never_removes_the_current_folder_or_one_above_it(diabolo, tmp_path, monkeypatch, words):
    assert diabolo(*BARE, "hydra.run.dir=below").code == 0
    (tmp_path / "below" / "sources.py").write_text("precious")
    monkeypatch.chdir(tmp_path / "below")
    before = snapshot(tmp_path)
    ended = diabolo("runs", *words, "--yes")
    assert ended.code == 2
    assert "the current folder or one above it" in ended.err
    assert snapshot(tmp_path) == before


def test_rm_removes_what_a_run_writes_and_says_what_it_leaves(diabolo, tmp_path):
    for name in ("one", "two"):
        assert diabolo(*BARE, f"hydra.run.dir=runs/{name}").code == 0
    shutil.copytree("runs/two", "runs/one/nested")
    Path("runs/one/notes.md").write_text("mine")
    ended = diabolo("runs", "rm", "runs", "--yes")
    assert ended.code == 2
    assert "notes.md" in ended.err
    assert not Path("runs/two").exists()
    assert sorted(path.name for path in Path("runs/one").iterdir()) == ["nested", "notes.md"]
    assert is_ours(Path("runs/one/nested"))


@pytest.mark.parametrize("words", ["link", "parent/run", "folder"])
def test_rm_goes_behind_no_link(diabolo, tmp_path, words):
    assert diabolo(*BARE, "hydra.run.dir=elsewhere/run").code == 0
    Path("link").symlink_to("elsewhere/run")
    Path("parent").symlink_to("elsewhere")
    Path("folder").mkdir()
    Path("folder/link").symlink_to("../elsewhere")
    before = snapshot(tmp_path)
    ended = diabolo("runs", "rm", words, "--yes")
    assert ended.code == 2
    assert "link" in ended.err
    assert snapshot(tmp_path) == before


def test_a_foreign_folder_that_looks_like_a_run_is_not_removed(diabolo, tmp_path):
    project(tmp_path / "theirs")
    (tmp_path / "theirs" / "state.json").write_text('{"state": "done", "versions": {"other": "1"}}')
    before = snapshot(tmp_path)
    assert diabolo("runs", "rm", "theirs", "--yes").code == 2
    assert snapshot(tmp_path) == before


def test_a_refused_run_leaves_nothing(diabolo, tmp_path):
    for mistake in (
        "bottleneck.size=ten",
        "optimizer.lr=-1",
        "callbacks.reconstructions.images=[999]",
        "trainer.ema=7",
    ):
        assert diabolo("train", *TINY, mistake).code == 2
        assert not list(tmp_path.rglob("state.json")), mistake
        assert not list(Path("runs").glob("*")) if Path("runs").exists() else True, mistake


def test_what_a_run_writes_is_known_to_the_last_file(trained):
    run = trained(*TINY)  # with every default callback and TensorBoard
    left = {path for path in run.path.rglob("*") if path.is_file()} - set(written(run.path))
    assert {path.name for path in left} <= {".lock"}
    assert is_ours(run.path)
    assert not is_free(run.path)


def test_what_a_killed_process_was_writing_goes_when_the_run_goes_on_and_nothing_else(tmp_path):
    run = RunFolder(tmp_path / "run")
    run.begin(OmegaConf.create({"seed": 0}), [])
    drafts = (".metrics.json.4711", "checkpoints/.last.ckpt.4711")
    precious = (".notes.txt.12", "checkpoints/.mine.ckpt.4711", ".last.ckpt.4711", ".gitignore")
    for name in (*drafts, *precious):
        (run.path / name).write_text(name)
    run.begin(OmegaConf.create({"seed": 0}), [])
    assert [name for name in drafts if (run.path / name).exists()] == []
    assert [(run.path / name).read_text() for name in precious] == list(precious)


@pytest.mark.parametrize(
    ("name", "free"), [(".state.json.4711", True), (".config.yaml.4711", False), ("state.json", False)]
)
def test_a_folder_is_free_after_a_run_that_was_killed_while_it_wrote_its_first_file(name, free, tmp_path):
    (tmp_path / "run.log").touch()
    (tmp_path / name).touch()
    assert is_free(tmp_path) == free
