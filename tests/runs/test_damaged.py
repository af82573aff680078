"""Damaged files of a run folder: each command that uses the run goes on, or names the file in one sentence."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from diabolo.runs.folder import RunFolder
from diabolo.runs.safe_reading import read_arrays, read_picture, read_yaml
from diabolo.training.recording import _epoch
from harm import ANY_FILE, CONFIG_FILE, Harm, fifo, flipped, text
from support import TINY

pytestmark = pytest.mark.filterwarnings("ignore:Checkpoint directory .* is not empty")  # it is the run's own


@pytest.fixture(scope="module")
def made(trained) -> RunFolder:
    return trained(*TINY, "logger=none", "callbacks=none", "scheduler=none")


def without(group: str) -> Harm:
    def write(path: Path) -> None:
        import yaml

        config = yaml.safe_load(path.read_text())
        del config[group]
        path.write_text(yaml.safe_dump(config))

    return write


def replaced(old: str, new: str) -> Harm:
    def write(path: Path) -> None:
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new, 1))

    return write


CONFIGS: dict[str, Harm] = {
    **{name: CONFIG_FILE[name] for name in ("zeroed", "latin-1", "python object", "aliases", "deep")},
    "half": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "no trainer": without("trainer"),
    "no bottleneck": without("bottleneck"),
    "an interpolation": replaced("size: 4", "size: ${seed}"),
    "a broken interpolation": replaced("size: 4", "size: ${"),
    "a text as size": replaced("size: 4", "size: four"),
    "a misspelt key": replaced("image_shape:", "imgae_shape:"),
    "a list as a class": replaced("_target_: diabolo.network.FCEncoder", "_target_: [a]"),
    "a mapping as shape": replaced("source:", "source: 5\n  other:"),
}
CHECKPOINTS: dict[str, Harm] = {
    **{name: ANY_FILE[name] for name in ("zeroed", "empty", "fifo")},
    "cut short": lambda path: path.write_bytes(path.read_bytes()[:-2000]),
    "flipped": flipped,
    "text": text("no checkpoint"),
}
USING = (("evaluate", "run"), ("probe", "run"))


@pytest.mark.parametrize("command", [*USING, ("train", "run", "trainer.max_epochs=3")], ids=lambda words: words[0])
@pytest.mark.parametrize("harm", CONFIGS)
def test_a_damaged_config_is_one_sentence(diabolo, made, harm, command):
    shutil.copytree(made.path, "run")
    CONFIGS[harm](Path("run/config.yaml"))
    ended = diabolo(*command)
    assert ended.code == 2, ended
    assert "Traceback" not in ended.out + ended.err
    (line,) = ended.err.splitlines()
    assert line.startswith("diabolo: ")


@pytest.mark.parametrize("command", USING, ids=lambda words: words[0])
@pytest.mark.parametrize("harm", CHECKPOINTS)
def test_a_damaged_checkpoint_is_one_sentence(diabolo, made, harm, command):
    shutil.copytree(made.path, "run")
    best = Path("run/checkpoints/best.ckpt")
    best.unlink() if harm == "fifo" else None
    Path("run/checkpoints/last.ckpt").unlink()
    CHECKPOINTS[harm](best)
    ended = diabolo(*command)
    assert ended.code == 2, ended
    assert "Traceback" not in ended.out + ended.err
    (line,) = ended.err.splitlines()
    assert ("has no checkpoint yet" if harm == "fifo" else "best.ckpt' cannot be read: ") in line


HISTORIES: dict[str, tuple[Harm, int]] = {  # and how many of two lines are left
    "latin-1": (lambda path: path.write_bytes(path.read_bytes() + "größe\n".encode("latin-1")), 2),
    "zeroed": (ANY_FILE["zeroed"], 0),
    "a list": (lambda path: path.write_text('[1]\n"a"\n5\n' + path.read_text()), 2),
    "strange epochs": (lambda path: path.write_text('{"epoch": "1"}\n{"epoch": [1]}\n{}\n' + path.read_text()), 2),
    "deep": (lambda path: path.write_text("[" * 100_000 + "\n" + path.read_text()), 2),
    "5,000 digits": (lambda path: path.write_text('{"epoch": ' + "9" * 5000 + "}\n" + path.read_text()), 2),
    "gone": (Path.unlink, 0),
}


@pytest.mark.parametrize("harm", HISTORIES)
def test_a_run_with_a_damaged_history_goes_on(diabolo, made, harm):
    shutil.copytree(made.path, "run")
    harmed, left = HISTORIES[harm]
    harmed(Path("run/history.jsonl"))
    ended = diabolo("train", "run", "trainer.max_epochs=3")
    assert (ended.code, ended.err) == (0, ""), ended
    rows = [json.loads(line) for line in Path("run/history.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == [1, 2, 3][2 - left :]


def test_a_history_that_is_no_file_is_one_sentence_and_changes_nothing(diabolo, made):
    shutil.copytree(made.path, "run")
    fifo(Path("run/history.jsonl"))
    before = Path("run/state.json").read_text()
    ended = diabolo("train", "run", "trainer.max_epochs=3")
    assert ended.code == 2, ended
    assert "history.jsonl' is no regular file" in ended.err
    assert len(ended.err.splitlines()) == 1
    assert Path("run/state.json").read_text() == before


def test_damaged_metrics_cost_evaluate_its_second_column(diabolo, made):
    shutil.copytree(made.path, "run")
    for content in ('{"test/mse": "low"}', "{"):
        Path("run/metrics.json").write_text(content)
        ended = diabolo("evaluate", "run")
        assert (ended.code, ended.err) == (0, ""), ended
        assert "test/mse" in ended.out
    assert "There is nothing to compare with: 'run/metrics.json' cannot be read: it is no JSON" in ended.out


def test_plain_values_alone_are_read(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("a: 1\nb: [x, 0.5, null, true]\n")
    assert read_yaml(path) == {"a": 1, "b": ["x", 0.5, None, True]}
    np.savez(tmp_path / "a.npz", one=np.arange(3))
    assert read_arrays(tmp_path / "a.npz")["one"].tolist() == [0, 1, 2]
    Image.fromarray(np.arange(12, dtype=np.uint8).reshape(2, 6)).save(tmp_path / "a.png")
    assert read_picture(tmp_path / "a.png").tolist() == [[0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10, 11]]
    assert (_epoch(b'{"epoch": 2}'), _epoch(b'{"epoch": 2')) == (2, float("inf"))
