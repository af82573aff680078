"""Names, values and reasons from run folders are data wherever they are shown."""

import csv
import json
import os
import re
import sys
from pathlib import Path

import pytest

from diabolo.report.manage import manage
from diabolo.report.table import csv_cell, markdown
from diabolo.runs.terminal import text_table, visible
from made_runs import write_run

ESC, BIDI = "\x1b]0;owned\x07", "\u202e"
HOSTILE = f'<img src=x onerror=alert(1)>|`code`[a](http://b)&amp;"{ESC}{BIDI}\u2028[red]'
OBEYED = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


@pytest.fixture
def hostile(tmp_path) -> Path:
    """Two runs, of which one has hostile text wherever text can be."""
    write_run(tmp_path / "runs" / "good", 2, metrics={"test/mse": 0.5})
    name = os.fsdecode(b"\xff") + "<b>|`" + ESC.replace("/", "") + BIDI
    path = write_run(
        tmp_path / "runs" / name,
        4,
        loss="mae",
        metrics={"test/mse": 0.25, HOSTILE: 1},
        config={
            "data.root": "/data",
            "encoder.hidden": HOSTILE,
            "encoder.other": "=cmd()",
            "data.source.dataset": HOSTILE,
        },
        choices={"loss": HOSTILE, "encoder": "@sum"},
        started=HOSTILE,
    )
    state = json.loads((path / "state.json").read_text())
    state |= {"state": "failed", "reason": HOSTILE, "versions": {HOSTILE: HOSTILE}, "host": HOSTILE}
    (path / "state.json").write_text(json.dumps(state | {"overrides": [HOSTILE, "\ud800"], "changed": HOSTILE}))
    broken = write_run(tmp_path / "runs" / f"broken{ESC}{BIDI}")
    (broken / "state.json").write_text(json.dumps({"state": HOSTILE}))
    return path


def test_the_terminal_shows_what_it_would_obey(diabolo, hostile):
    for command in (
        ("runs", "ls"),
        ("runs", "show", str(hostile)),
        ("compare",),
        ("runs", "best", "--by", "test/mse"),
        ("compare", "--sort", HOSTILE),
        ("runs", "ls", "--sort", HOSTILE),
        ("runs", "rm", "runs"),
        ("evaluate", str(hostile)),
        ("train", str(hostile)),
    ):
        ended = diabolo(*command)
        assert "Traceback" not in ended.out + ended.err
        assert not OBEYED.search(ended.out + ended.err), (command, ended)
    listed = diabolo("runs", "ls").out
    assert "runs/\\xff<b>|`\\x1b]0;owned\\x07\\u202e" in listed
    assert "\\x1b]0;owned\\x07\\u202e\\u2028[red]" in listed
    assert "skipped runs/broken\\x1b" in diabolo("runs", "ls").err


def test_the_best_path_is_printed_to_the_byte(diabolo, hostile, monkeypatch):
    hostile.joinpath("state.json").write_text('{"state": "done"}')
    with open("out", "w") as out:
        monkeypatch.setattr(sys, "stdout", out)
        manage(["best", "--by", "test/mse"])
    assert Path("out").read_bytes() == b"runs/" + os.fsencode(hostile.name) + b"\n"


def test_the_page_holds_no_element_of_a_run(diabolo, hostile):
    assert diabolo("compare", "--html", "page.html").code == 0
    page = Path("page.html").read_text("utf-8")
    assert "<img src=x" not in page
    assert "<b>" not in page
    assert "&lt;img src=x onerror=alert(1)&gt;" in page
    assert not OBEYED.search(page)


def test_markdown_has_no_tag_link_code_or_cell_of_a_run(diabolo, hostile):
    assert diabolo("compare", "--markdown", "table.md").code == 0
    text = Path("table.md").read_text("utf-8")
    assert not OBEYED.search(text)
    assert not re.search(r"(?<!\\)[<`\[]", text)
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert len({len(re.findall(r"(?<!\\)\|", row)) for row in rows}) == 1, "as many cells in each row"


def test_csv_has_no_formula_and_its_numbers_stay(diabolo, hostile):
    write_run(Path("runs/third"), 8, config={"optimizer.lr": -1, "encoder.other": "-2e-3"}, metrics={"test/mse": 1})
    assert diabolo("compare", "--csv", "table.csv").code == 0
    text = Path("table.csv").read_text("utf-8")
    assert not OBEYED.search(text.replace("\r\n", "\n"))
    rows = list(csv.reader(text.splitlines()))
    cells = {cell for row in rows for cell in row}
    assert {"'=cmd()", "'@sum", "-1", "-2e-3"} <= cells
    assert not {cell for cell in cells if cell.startswith(("=", "@", "+"))}
    assert {float(row[rows[0].index("test/mse")]) for row in rows[1:]} == {0.25, 0.5, 1.0}


@pytest.mark.parametrize(
    ("text", "shown"),
    {
        "plain": "plain",
        "größe 😀": "größe 😀",
        "two\nlines": "two\nlines",
        "\x1b[31m": r"\x1b[31m",
        "a\tb\r": r"a\x09b\x0d",
        "\x9b\u202e\u2066": r"\x9b\u202e\u2066",
        os.fsdecode(b"\xff\xc3\xa9"): "\\xffé",
        "\ud800\U000e0001": r"\ud800\U000e0001",
    }.items(),
)
def test_what_would_be_obeyed_is_made_visible(text, shown):
    assert visible(text) == visible(visible(text)) == shown


def test_heads_and_cells_of_a_table_are_no_markup():
    table = text_table(["[red]a", "b\x1b"], [["[bold]c", "\x1b"]])
    assert [column.header.plain for column in table.columns] == ["[red]a", r"b\x1b"]
    assert [cell.plain for cell in table.columns[0].cells] == ["[bold]c"]


@pytest.mark.parametrize(
    ("text", "escaped"),
    {
        "test/pca_mse 0.5 *": "test/pca_mse 0.5 *",
        "a|b": r"a\|b",
        "`x` <b> [a](b) &lt;": r"\`x\` \<b\> \[a\](b) \&lt;",
        "**bold** _it_ ~~no~~": r"\*\*bold\*\* \_it\_ \~\~no\~\~",
        "two\nlines": "two lines",
        "a\\|b": r"a\\\|b",
        "# head": r"\# head",
        "- item": r"\- item",
        "-0.5": "-0.5",
    }.items(),
)
def test_markdown_shows_a_text_as_it_is(text, escaped):
    assert markdown(text) == escaped


@pytest.mark.parametrize("cell", ["-1", "+1.5", "-2e-3", "-inf", "0.5", "text", "a=b", ""])
def test_a_number_and_a_word_stay_in_csv(cell):
    assert csv_cell(cell) == cell


@pytest.mark.parametrize("cell", ["=1+1", "+cmd", "-cmd", "@sum", "\t=1", "\r=1", "\n=1", "-1+1", "+"])
def test_a_formula_becomes_a_text(cell):
    assert csv_cell(cell) == "'" + visible(cell)
