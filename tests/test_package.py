"""The package: which module may import which, and the wheel that is built from it."""

import ast
import shutil
import subprocess
import sys
import zipfile

import pytest

from conftest import CONF, ROOT

SOURCE = ROOT / "src" / "diabolo"
MODULES = {
    ".".join(("diabolo", *path.relative_to(SOURCE).with_suffix("").parts)).removesuffix(".__init__"): path
    for path in SOURCE.rglob("*.py")
}
ARROWS = {  # what each room may import, in whole or for type checking only
    "__init__": {"runs"},
    "__main__": {"cli"},
    "cli": {"config", "errors", "evaluation", "inspection", "report", "runs", "search", "train"},
    "train": {
        "build",
        "config",
        "continuing",
        "errors",
        "launch",
        "machine",
        "progress",
        "recording",
        "runs",
        "sweep",
        "terminal",
        "data.datamodule",
        "learner",
        "transfer",
    },
    "continuing": {"config", "errors", "runs"},
    "launch": {"errors", "runs"},
    "sweep": {"config", "errors", "runs", "terminal"},
    "search": {"config", "errors", "pruning", "recording", "runs", "space", "terminal", "train", "yardstick"},
    "pruning": {"errors", "recording"},
    "space": {"errors"},
    "evaluation": {"build", "callbacks.pictures", "config", "continuing", "runs", "terminal", "train"},
    "inspection": {"arithmetic", "autoencoder", "build", "classifier", "terminal", "upsampling"},
    "build": {"autoencoder", "data.datamodule", "errors", "layers", "learner"},
    "runs": {"build", "classifier", "errors", "module"},
    "transfer": {"errors", "runs"},
    "epoch_loss": {"errors"},
    "learner": {"adam_kernel", "epoch_loss", "errors"},
    "adam_kernel": set(),
    "module": {"autoencoder", "epoch_loss", "errors", "learner", "metrics", "pixels"},
    "classifier": {"data.datamodule", "errors", "layers", "learner", "pixels"},
    "autoencoder": {"errors", "layers", "upsampling"},
    "bottlenecks": {"bottlenecks", "errors", "layers"},
    "arithmetic": {"errors", "shapes", "upsampling"},
    "checkerboard": {"errors"},
    "definitions": {"shapes"},
    "penalties": {"errors"},
    "config": {"errors"},
    "layers": {"errors"},
    "losses": {"errors", "pixels"},
    "machine": set(),
    "metrics": set(),
    "yardstick": set(),
    "errors": set(),
    "corruptions": {"errors"},
    "linear": set(),
    "pca": {"metrics", "errors"},
    "pixels": {"errors"},
    "progress": set(),
    "recording": set(),
    "schedulers": {"errors", "yardstick"},
    "shapes": {"errors"},
    "terminal": set(),
    "trainer": {"errors", "machine", "yardstick"},
    "doubling": set(),
    "upsampling": {"doubling", "errors", "shapes"},
    "families": {"errors", "families", "layers", "shapes", "upsampling"},
    "data": {"data", "errors", "pixels"},
    "probes": {"data.datamodule", "errors"},
    "report": {
        "build",
        "continuing",
        "probes",
        "data.datamodule",
        "errors",
        "module",
        "pca",
        "report",
        "runs",
        "yardstick",
    },
    "callbacks": {
        "callbacks",
        "checkerboard",
        "classifier",
        "data.datamodule",
        "errors",
        "linear",
        "metrics",
        "module",
        "pca",
        "pixels",
        "probes",
        "report.figures",  # how a plot looks
    },
}
BY_NAME_ONLY = (  # from yaml
    "bottlenecks",
    "callbacks",
    "corruptions",
    "data",
    "families",
    "losses",
    "penalties",
    "schedulers",
    "trainer",
)
BASE_TYPES = {"data.datamodule", "callbacks.pictures"}  # ... but for what build checks and evaluation leaves out


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
    room = "__init__" if name == "diabolo" else name.removeprefix("diabolo.")
    allowed = ARROWS.get(room) or ARROWS[room.partition(".")[0]]
    strange = {other for other in imported(MODULES[name]) if not {other, other.partition(".")[0]} & allowed}
    assert not strange, f"{name} imports {sorted(strange)}"


def test_what_yaml_names_is_imported_by_no_room_but_its_own():
    for name, path in MODULES.items():
        own = name.removeprefix("diabolo.").partition(".")[0]
        reached = {other for other in imported(path) if other.partition(".")[0] in BY_NAME_ONLY} - BASE_TYPES
        assert {other.partition(".")[0] for other in reached} <= {own}, name


def test_only_build_instantiates_and_only_train_is_a_hydra_main():
    texts = {name: path.read_text() for name, path in MODULES.items()}
    assert {name for name, text in texts.items() if "hydra.utils" in text} == {"diabolo.build"}
    assert {name for name, text in texts.items() if "\n@hydra.main" in text} == {"diabolo.train"}


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
    assert "diabolo/report/page.html" in inside
    script = (
        f"import sys; sys.path.insert(0, {str(tmp_path / 'site')!r})\n"
        "import diabolo.conf; from diabolo.config import compose_config\n"
        "print(diabolo.__file__, diabolo.conf.__file__, compose_config(['experiment=fc_hidden_sizes']).bottleneck.size)"
    )
    ended = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert ended.stdout.split() == [
        f"{tmp_path}/site/diabolo/__init__.py",
        f"{tmp_path}/site/diabolo/conf/__init__.py",
        "25",
    ], ended.stderr
