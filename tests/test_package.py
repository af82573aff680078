"""The package: which module may import which, and the wheel that is built from it."""

import ast
import shutil
import subprocess
import sys
import zipfile

import pytest

from support import CONF, ROOT

SOURCE = ROOT / "src" / "diabolo"
MODULES = {
    ".".join(("diabolo", *path.relative_to(SOURCE).with_suffix("").parts)).removesuffix(".__init__"): path
    for path in SOURCE.rglob("*.py")
}
ROOMS = {  # what each room may import, in whole or for type checking only; the loose files count as rooms
    "errors": set(),
    "plotting": set(),
    "rooms": set(),
    "data": {"errors"},
    "network": {"errors"},
    "measures": {"data", "errors"},
    "training": {"data", "errors", "measures", "network"},
    "callbacks": {"data", "errors", "measures", "network", "plotting", "training"},
    "runs": {"callbacks", "data", "errors", "measures", "network", "training"},
    "sweeping": {"errors", "measures", "runs", "training"},
    "lessons": {"errors", "network", "runs"},
    "use": {"callbacks", "data", "errors", "measures", "network", "plotting", "runs", "training"},
    "report": {"data", "errors", "measures", "plotting", "runs", "training"},
    "cli": {"errors", "lessons", "report", "runs", "sweeping", "use"},
    "__init__": {"report", "runs", "use"},
    "__main__": {"cli"},
}
BY_NAME_ONLY = {  # files with parts that only yaml names, and from which only their own room imports
    "callbacks",
    "data.corruptions",
    "network.bottlenecks",
    "network.families",
    "training.losses",
    "training.penalties",
    "training.schedulers",
    "training.trainer",
}


def imported(path) -> set[str]:
    """The modules of diabolo that a file imports, wherever in it, without the leading "diabolo."."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] == "diabolo":
            found |= {f"{node.module}.{name.name}" if f"{node.module}.{name.name}" in MODULES else node.module
                      for name in node.names}  # fmt: skip
        elif isinstance(node, ast.Import):
            found |= {name.name for name in node.names if name.name.partition(".")[0] == "diabolo"}
    return {name.removeprefix("diabolo.") for name in found}


@pytest.mark.parametrize("name", MODULES)
def test_arrows_run_one_way(name):
    room = "__init__" if name == "diabolo" else name.split(".")[1]
    reached = {other.partition(".")[0] for other in imported(MODULES[name])}
    assert reached <= ROOMS[room] | {room, "rooms"}, f"{name} imports {sorted(reached - ROOMS[room])}"


def test_each_room_and_each_loose_file_is_in_the_table():
    rooms = {path.name for path in SOURCE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert rooms | {path.stem for path in SOURCE.glob("*.py")} == set(ROOMS)
    assert len(list(SOURCE.glob("*.py"))) <= 6


def test_what_yaml_names_is_imported_by_no_room_but_its_own():
    for name, path in MODULES.items():
        own = name.removeprefix("diabolo.").partition(".")[0]
        named = {other for other in imported(path) if any(f"{other}.".startswith(f"{part}.") for part in BY_NAME_ONLY)}
        named -= {"callbacks.pictures", "callbacks.sparing"}  # evaluation leaves out what draws, no run dies of it
        named -= {"callbacks.layout"}  # a contact sheet is laid out
        named -= {"callbacks.sampling"}  # codes are drawn outside a run, too
        assert {other.partition(".")[0] for other in named} <= {own}, name


def test_only_build_instantiates_and_only_train_is_a_hydra_main():
    texts = {name: path.read_text() for name, path in MODULES.items()}
    assert {name for name, text in texts.items() if "hydra.utils" in text} == {"diabolo.runs.make"}
    assert {name for name, text in texts.items() if "\n@hydra.main" in text} == {"diabolo.runs.train"}


def test_the_wheel_holds_every_yaml_and_composes_in_any_folder(tmp_path):
    for name in ("src", "conf"):
        shutil.copytree(ROOT / name, tmp_path / "clone" / name, ignore=shutil.ignore_patterns("*.egg-info"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path / "clone")
    build = f"from setuptools.build_meta import build_wheel; build_wheel({str(tmp_path)!r})"
    built = subprocess.run([sys.executable, "-c", build], cwd=tmp_path / "clone", capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        inside = set(archive.namelist())
        archive.extractall(tmp_path / "site")
    assert {f"diabolo/conf/{path.relative_to(CONF).as_posix()}" for path in CONF.rglob("*.yaml")} <= inside
    plugins = SOURCE.parent / "hydra_plugins"
    assert {f"hydra_plugins/{path.relative_to(plugins).as_posix()}" for path in plugins.rglob("*.py")} <= inside
    assert "hydra_plugins/__init__.py" not in inside  # it belongs to all plugins
    assert {f"diabolo/{path.relative_to(SOURCE).as_posix()}" for path in SOURCE.rglob("*.py")} <= inside
    assert "diabolo/py.typed" in inside
    pages = {path for ending in ("html", "js") for path in SOURCE.rglob(f"*.{ending}")}
    assert {f"diabolo/{path.relative_to(SOURCE).as_posix()}" for path in pages} <= inside
    script = (
        f"import sys; sys.path.insert(0, {str(tmp_path / 'site')!r})\n"
        "import diabolo.conf; from diabolo.runs.config import compose_config\n"
        "print(diabolo.__file__, diabolo.conf.__file__, compose_config(['experiment=fc_hidden_sizes']).bottleneck.size)"
    )
    ended = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert ended.stdout.split() == [
        f"{tmp_path}/site/diabolo/__init__.py",
        f"{tmp_path}/site/diabolo/conf/__init__.py",
        "25",
    ], ended.stderr
