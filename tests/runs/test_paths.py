"""A path is written on the command line as in any other command, whatever is in its name."""

from pathlib import Path

import pytest

from diabolo.runs.config import compose_config, quoted_paths
from diabolo.runs.folder import RunFolder
from support import TINY, write_mnist

NAMES = ("plain", "with space", "ümläut", "it's", 'say "so"', "a(b)", "a[1]", "a{2}", "a#b", "a,b", "a=b", "a$b", "a:b",
         "back\\slash", "ends in \\", "100%", "a;b", "-dash", "tilde~", "q?", "st*r", "日本")  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("key", ["data.root", "encoder.init_from"])
def test_a_folder_of_any_name_is_composed(key, name):
    place = f"/somewhere/{name}"
    config = compose_config([f"{key}={place}"])
    assert {"data.root": config.data.root, "encoder.init_from": config.encoder.init_from}[key] == place


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_of_any_name_holds_data_a_run_and_the_run_it_starts_from(diabolo, tmp_path, name):
    root = write_mnist(tmp_path / name / "data", 40, 20)
    small = (*TINY, "data=mnist", "data.limit=32", "callbacks=none", "logger=none", f"data.root={root}")
    assert (ended := diabolo("train", *small, f"hydra.run.dir={name}/run")).code == 0, ended.err
    run = RunFolder(Path(name) / "run")
    assert run.config().data.root == str(root)
    more = (f"encoder.init_from={name}/run", f"hydra.run.dir={name}/more")
    assert (ended := diabolo("train", *small, *more)).code == 0, ended.err
    assert RunFolder(Path(name) / "more").config().encoder.init_from == str(run.path.absolute())
    assert (ended := diabolo("evaluate", f"./{name}/run", f"data.root={root}")).code == 0, ended.err


def test_quotes_null_and_several_for_a_sweep_stay_what_they_are():
    same = ["data.root='a b'", 'data.root="a"', "encoder.init_from=null", "data.root=", "loss=mse,mae", "data.root"]
    assert quoted_paths(same) == same
    assert quoted_paths(["data.root=a,b"]) == ["data.root='a,b'"]
    assert quoted_paths(["-m", "data.root=a,b"]) == ["-m", "data.root='a','b'"]
    assert quoted_paths(["-m", "data.root=choice(a,b)"]) == ["-m", "data.root=choice(a,b)"]
