"""Folders of strangers: no command executes what their config names; one's own parts still load."""

import json
import shutil
import sys
from pathlib import Path

import pytest
import yaml

from diabolo.runs.folder import RunFolder
from diabolo.runs.loading import load
from diabolo.runs.trusted_classes import Distrusted, check, is_trusted, own_targets
from support import CONF, TINY

pytestmark = pytest.mark.filterwarnings("ignore:Checkpoint directory .* is not empty")  # it is the run's own

TOUCH = "the stranger's code ran"


def penalty(**node):
    return {"penalty": node}


STRANGERS = {  # what each writes into a run's config; each would leave the file `harmed`, or take away `precious`
    "copy": penalty(_target_="shutil.copy", src="precious", dst="harmed"),
    "unlink": penalty(_target_="pathlib.Path.unlink", _args_=[{"_target_": "pathlib.Path", "_args_": ["precious"]}]),
    "write": penalty(_target_="diabolo.training.write_whole", path="harmed", content=TOUCH),
    "module beside": penalty(_target_="stranger.harm"),
    "loss": {"loss": {"_target_": "stranger.harm"}},
    "encoder": {"encoder": {"_target_": "stranger.harm"}},
    "callback": {"callbacks": {"mine": {"_target_": "stranger.harm"}}},
    "data": {"data": {"source": {"_target_": "stranger.harm"}}},
    "in a list": {"loss": {"_target_": "diabolo.training.Mix", "terms": [{"_target_": "stranger.harm"}]}},
    "logger": {"logger": {"_target_": "stranger.harm"}},
    "trainer": {"trainer": {"_target_": "stranger.harm"}},
    "task": {"task": {"_target_": "stranger.harm"}},
    "by a resolver": {"penalty": "${oc.create:'{_target_: stranger.harm}'}"},
    "torch.load": penalty(_target_="torch.load", f="bad.pt", weights_only=False),
    "builtin": penalty(_target_="builtins.open", file="harmed", mode="w"),
    "own room, no part": penalty(_target_="diabolo.runs.folder.RunFolder.clear"),
}
COMMANDS = (
    ("evaluate", "run"),
    ("probe", "run"),
    ("train", "run", "trainer.max_epochs=3"),
    ("compare", "run", "--html", "page.html"),
    ("compare", "run", "--tensorboard", "board"),
    ("compare", "run"),
    ("runs", "ls", "run"),
    ("runs", "show", "run"),
    ("train", *TINY, "encoder.init_from=run"),
)


@pytest.fixture(scope="module")
def run(trained) -> RunFolder:
    return trained(*TINY, "logger=none", "callbacks=none", "scheduler=none")


def strange(run: RunFolder, node: dict) -> None:
    """A copy of the run in the current folder as a stranger hands it on, with a module and a precious file beside."""
    shutil.copytree(run.path, "run")
    file = Path("run/config.yaml")
    config = yaml.safe_load(file.read_text())
    for group, value in node.items():
        config[group] = config.get(group, {}) | value if group in ("data", "callbacks") else value
    file.write_text(yaml.safe_dump(config))
    Path("stranger.py").write_text(
        "from pathlib import Path\nPath('harmed').touch()\n\n\ndef harm(*_, **__):\n    pass\n"
    )
    Path("precious").write_text("precious")


@pytest.mark.parametrize("name", STRANGERS)
def test_no_command_runs_what_a_strangers_folder_names(diabolo, run, name):
    strange(run, STRANGERS[name])
    for command in COMMANDS:
        ended = diabolo(*command)
        assert not Path("harmed").exists(), command
        assert Path("precious").read_text() == "precious", command
        assert "stranger" not in sys.modules, command
        assert "Traceback" not in ended.err, command
        if command[0] in ("evaluate", "probe") or command[:2] == ("train", "run"):
            assert ended.code == 2
            assert "say --trust" in ended.err
            assert "trust=True" in ended.err
    with pytest.raises(Distrusted):
        load("run")


def test_the_readers_word_lets_it_run(diabolo, run):
    strange(run, {"callbacks": {"mine": {"_target_": "stranger.harm"}}})
    Path("stranger.py").write_text(
        "from pathlib import Path\nfrom lightning import Callback\n\n\n"
        "class harm(Callback):\n    def __init__(self):\n        Path('harmed').touch()\n"
    )
    try:
        ended = diabolo("evaluate", "run", "--trust")
        assert ended.code == 0, ended.err
        assert Path("harmed").exists()
        assert load("run", trust=True).autoencoder.code_size == 4
        assert diabolo("evaluate", "run").code == 2, "the word holds for one command"
    finally:
        sys.modules.pop("stranger", None)


PART = """
from torch import nn


class MyEncoder(nn.Sequential):
    def __init__(self, image_shape, out_features):
        super().__init__(nn.Flatten(), nn.Linear(64, out_features))
"""


def test_ones_own_parts_load_where_one_has_trained_with_them_and_no_strangers_of_that_name(
    diabolo, tmp_path, monkeypatch
):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    Path("myparts.py").write_text(PART)
    Path("myconf/encoder").mkdir(parents=True)
    Path("myconf/encoder/mine.yaml").write_text("_target_: myparts.MyEncoder\n")
    try:
        ended = diabolo("train", "--config-dir", "myconf", *TINY, "encoder=mine", "callbacks=none", "logger=none",
                        "scheduler=none", "hydra.run.dir=run")  # fmt: skip
        assert ended.code == 0, ended.err
        (note,) = (tmp_path / "settings" / "diabolo" / "own_parts").iterdir()
        assert json.loads(note.read_text()) == {"target": "myparts.MyEncoder", "file": str(tmp_path / "myparts.py")}
        assert diabolo("evaluate", "run").code == 0
        assert diabolo("train", "run", "trainer.max_epochs=3").code == 0
        # the same folder, read where another's module bears the name
        foreign = tmp_path / "foreign"
        foreign.mkdir()
        shutil.copytree("run", foreign / "run")
        shutil.copy("myparts.py", foreign / "myparts.py")
        monkeypatch.chdir(foreign)
        monkeypatch.setattr(sys, "path", [str(foreign) if place == str(tmp_path) else place for place in sys.path])
        sys.modules.pop("myparts", None)
        assert not is_trusted("myparts.MyEncoder")
        with pytest.raises(Distrusted, match=r"names 'myparts\.MyEncoder' at `encoder\._target_`"):
            load("run")
        assert load("run", trust=True).autoencoder.code_size == 4
    finally:
        sys.modules.pop("myparts", None)


def test_a_search_notes_ones_own_parts_too(diabolo, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    Path("myparts.py").write_text(PART)
    Path("myconf/encoder").mkdir(parents=True)
    Path("myconf/encoder/mine.yaml").write_text("_target_: myparts.MyEncoder\n")
    try:
        own = ("--config-dir", "myconf", *TINY, "encoder=mine", "callbacks=none", "logger=none")
        ended = diabolo("search", *own, "seed=0,1", "--trials", "1", "--study", "study")
        assert ended.code == 0, ended.err
        (run,) = (path for path in Path("study").iterdir() if path.is_dir())
        assert diabolo("evaluate", str(run)).code == 0
    finally:
        sys.modules.pop("myparts", None)


def test_all_that_conf_names_is_trusted_and_little_else():
    named = {
        line.split(":", 1)[1].strip()
        for path in CONF.rglob("*.yaml")
        for line in path.read_text().splitlines()
        if line.strip().startswith("_target_:")
    }
    assert named == set(own_targets())
    for target in named:
        check({"part": [{"_target_": target}]}, Path("run"))
    for target in ("os.system", "diabolo.training.write_whole", "diabolo.network.ConvEncoder.load_state_dict", "",
                   "torch.nn.Module", "torch.hub.load", "numpy.load", "diabolo", "joblib.load"):  # fmt: skip
        assert not is_trusted(target)


def test_without_a_home_nothing_is_noted_and_nothing_breaks(diabolo, monkeypatch):
    from diabolo.runs import trusted_classes

    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.setattr(trusted_classes.Path, "home", lambda: (_ for _ in ()).throw(RuntimeError("no home")))
    Path("myparts.py").write_text(PART)
    monkeypatch.syspath_prepend(str(Path.cwd()))
    trusted_classes.note_own_parts({"encoder": {"_target_": "myparts.MyEncoder"}})
    assert not is_trusted("myparts.MyEncoder")
