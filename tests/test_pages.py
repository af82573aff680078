"""The pages: what they name is there, and what is there they name, so that neither can move without the other. Where a
row is missing, the test prints it: only the words are yours."""

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf

from diabolo.runs.config import compose_config
from diabolo.runs.identity import plain
from support import CONF, ROOT, TINY

SWITCHES = (CONF / "README.md").read_text()
PAGES = [
    path
    for path in (
        ROOT / "README.md",
        *(ROOT / ".github").glob("*.md"),
        *(path for top in ("conf", "scripts", "src") for path in (ROOT / top).rglob("README.md")),
    )
    if "egg-info" not in str(path)
]
SOURCE = ROOT / "src"
MAP = (SOURCE / "diabolo" / "README.md").read_text()
CHOICES = sorted(
    (path.parent.relative_to(CONF).as_posix(), path.stem) for path in CONF.rglob("*.yaml") if path.parent != CONF
)


def loaded(*parts: str) -> dict[str, Any]:
    """What a yaml below conf/ sets, without its defaults list."""
    found: Any = OmegaConf.to_container(OmegaConf.load(CONF.joinpath(*parts).with_suffix(".yaml")))
    return {key: value for key, value in (found or {}).items() if key != "defaults"}


def words(node: Mapping[str, Any], depth: int, prefix: str = "") -> Iterator[str]:
    """KEY=VALUE for each key of a yaml, down to `depth`; KEY alone where the value is a mapping or an interpolation."""
    for key, value in node.items():
        if key in ("_target_", "_partial_"):
            continue
        if isinstance(value, dict) and value and depth > 1 and key not in ("train", "test"):
            yield from words(value, depth - 1, f"{prefix}{key}.")
        elif isinstance(value, dict) or "${" in str(value):
            yield f"{prefix}{key}"
        else:
            yield f"{prefix}{key}={plain(value)}"


def section(title: str) -> str:
    """The text below a heading of third rank, up to the next heading."""
    return re.split(r"^##", SWITCHES.split(f"\n### {title}\n")[1], maxsplit=1, flags=re.MULTILINE)[0]


def row(table: str, name: str, title: str, *others: str) -> str:
    """The row that begins with `name`, of a table in the section `title`; `others` are the cells behind it."""
    rows = re.findall(rf"^\| `{re.escape(name)}`.*$", table, re.MULTILINE)
    wanted = " | ".join([f"`{name}`", "WHAT IT IS", *others])
    assert rows, f"conf/README.md, section {title}: add the row\n| {wanted} |"
    return rows[0]


def check_row(table: str, name: str, title: str, keys: Iterable[str]) -> None:
    """Fails where the row of a choice is missing, or its last cell does not name these keys, each in backticks."""
    wanted = list(keys)
    cell = ", ".join(f"`{key}`" for key in wanted)
    found = row(table, name, title, cell)
    named = set(re.findall(r"`([^`]+)`", found.rstrip("|").rpartition(" | ")[2]))
    assert named == set(wanted), f"conf/README.md, section {title}: the last cell of the row `{name}` must be\n{cell}"


@pytest.mark.parametrize(("group", "name"), [pair for pair in CHOICES if not pair[0].startswith("experiment")])
def test_each_choice_has_a_row_with_its_keys_and_their_values(group, name):
    if (group, name) == ("callbacks", "default"):
        return  # has a table of its own, see below
    node = loaded(group, name)
    if "@package _global_" in (CONF / group / f"{name}.yaml").read_text() and group != "model":
        node = {**node.pop(group), **node}
    node = node.get(name, node) if group == "callbacks" else node
    check_row(section(group).split("The choices:")[-1], name, group, words(node, 2))


def test_each_switch_has_a_row_with_its_value():
    root = loaded("train")
    groups = {group: root.pop(group) for group in ("model", "encoder", "bottleneck", "data")}
    groups |= {"trainer": loaded("trainer", "auto")}
    hydra = root.pop("hydra")
    for group, node in groups.items():
        for word in words({group: node}, 2):
            row(section(group), word, group)
    for word in words(root, 1):
        row(section("Single keys"), word, "Single keys")
    told = {word for key in hydra for word in (f"hydra.{key}", *(f"hydra.{key}.{below}" for below in hydra[key] or ()))}
    told &= set(re.findall(r"`(hydra\.[\w.]+)`", section("Single keys")))
    assert {word.split(".")[1] for word in told} == set(hydra)


def test_each_of_the_usual_callbacks_has_a_row_with_its_keys_and_their_values():
    table = section("callbacks").split("The choices:")[0]
    for name, node in loaded("callbacks", "default").items():
        check_row(table, name, "callbacks", words(node, 1))


@pytest.mark.parametrize(("group", "name"), [pair for pair in CHOICES if pair[0].startswith("experiment")])
def test_each_experiment_has_a_row_with_what_it_sweeps(group, name):
    if "/" in group:
        row(section("experiment").split(f"| `{group}=` |")[1].split("\n\n")[0], name, group)
        return
    swept = loaded(group, name).get("hydra", {}).get("sweeper", {}).get("params", {})
    cell = ", ".join(f"`{key}`" for key in swept)
    found = row(section("experiment").split("Three experiments have")[0], name, group, cell, "SOURCE")
    named = set(re.findall(r"`([^`]+)`", found.split(" | ")[2]))
    assert set(swept) <= named, f"conf/README.md, section experiment: the third cell of `{name}` must be\n{cell}"


def test_no_row_names_a_choice_that_is_not_there():
    for group in {group for group, _ in CHOICES}:
        if group == "hydra/launcher" or "/" in group:
            continue  # most launchers are Hydra's own
        text = section(group).split("Three experiments have")[0].split("The choices:")[-1]
        named = set(re.findall(r"^\| `(\w+)`", text, re.MULTILINE))
        gone = named - {name for found, name in CHOICES if found == group}
        assert not gone, f"conf/README.md, section {group}: remove the rows of {gone}, of which there is no yaml"


def room(file: str) -> str:
    """The heading of the map that a file below src/ belongs to: `diabolo/` for loose files."""
    return "/".join(file.split("/")[:-1][:2]) + "/"


def test_the_map_has_a_line_for_each_file_and_none_for_another():
    """A heading of the map is a folder below src/, a row below it is a file in there."""
    named = []
    for folder, rows in re.findall(r"^### `([\w/]+/)`\n(.*?)(?=^##|\Z)", MAP, re.MULTILINE | re.DOTALL):
        named += [folder + name for name in re.findall(r"^\| `([\w/]+\.\w+)` \| \S", rows, re.MULTILINE)]
    there = [path for ending in ("py", "html", "js") for path in SOURCE.rglob(f"*.{ending}")]
    inits = {path for path in there if path.name == "__init__.py"} - {SOURCE / "diabolo" / "__init__.py"}
    assert len(named) == len(set(named))
    files = {path.relative_to(SOURCE).as_posix() for path in {*there} - inits}
    rows = [f"below `{room(file)}`: | `{file.removeprefix(room(file))}` | WHAT IT DOES |" for file in files - {*named}]
    assert not rows, "\n".join(["src/diabolo/README.md: add the rows", *rows])
    assert not {*named} - files, "src/diabolo/README.md: remove the rows of these, which are no more"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_within_the_house_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        file, _, heading = target.partition("#")
        if re.match(r"https?:", target):
            continue
        found = (page.parent / file).resolve() if file else page
        assert found.exists(), target
        headings = re.findall(r"^#+ (.*)$", found.read_text(), re.MULTILINE) if found.suffix == ".md" else []
        assert not heading or heading in {re.sub(r"[^\w -]", "", text.lower()).replace(" ", "-") for text in headings}


def commands() -> list[str]:
    """Every `diabolo train ...` and `diabolo inspect ...` of the pages that needs nothing of the reader's own."""
    found = []
    for page in PAGES:
        blocks = re.findall(r"^```\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
        indented = re.findall(r"^ {4}(.*)$", page.read_text(), re.MULTILINE)
        for line in [line for block in blocks for line in block.splitlines()] + indented:
            line = line.partition(" #")[0].strip().removeprefix("uv run ")
            if re.match(r"diabolo (train|inspect) (-m )?[\w/+~']+[=.]", line):
                found.append(line)
    return sorted(set(found))


@pytest.mark.parametrize("command", commands())
def test_commands_of_the_pages_compose(command):
    overrides = [word for word in shlex.split(command)[2:] if word != "-m"]
    swept = [word for word in overrides if not word.startswith("hydra")]
    plain_values = [re.sub(r"^([\w./+~]+=)([^\[{(]*?),.*$", r"\1\2", word) for word in swept]
    compose_config(plain_values)


def test_the_python_lines_of_the_readme_run(tmp_path, monkeypatch):
    text = (ROOT / "README.md").read_text().split("\n## From Python\n")[1]
    lines = re.split(r"^```", text, maxsplit=2, flags=re.MULTILINE)[1].removeprefix("python\n")
    monkeypatch.chdir(tmp_path)
    small = lines.replace('"bottleneck.size=8"', ", ".join(map(repr, [*TINY, "bottleneck.size=8"])))
    assert small != lines
    names: dict[str, Any] = {"images": torch.zeros(3, 1, 8, 8)}
    exec(compile(small, "README.md", "exec"), names)
    assert names["codes"].shape == (3, 8)
    assert [row["bottleneck.size"] for row in names["rows"]] == [8]
