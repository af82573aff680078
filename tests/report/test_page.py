"""The page, parsed: every number is the run folders', nothing comes from elsewhere, hostile names stay text."""

import base64
import io
import json
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from diabolo.report.collect import Skipped, collect
from diabolo.report.page import figures, image, run_table, short, write_page
from diabolo.report.sheet import Row
from diabolo.report.sheets import sheets
from made_runs import made, sweep
from support import ROOT


class Page(HTMLParser):
    """Tables as rows of (text, data-value), images, data-values elsewhere, addresses, tags that stay open."""

    VOID = ("meta", "img", "path", "use", "br", "link", "!doctype")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tables, self.images, self.values, self.addresses, self.open = [], [], [], [], []
        self.heads, self.words, self.ids = [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        if tag not in self.VOID:
            self.open.append(tag)
        self.addresses += [attributes[name] for name in ("src", "href", "xlink:href", "action") if name in attributes]
        self.ids += [attributes["id"]] if "id" in attributes else []
        if tag == "table":
            self.tables.append([])
            self.heads.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag == "th":
            self.heads[-1].append(attributes.get("data-key"))
        elif tag == "td":
            self.tables[-1][-1].append(["", attributes.get("data-value")])
        elif "data-value" in attributes:
            self.values.append(float(attributes["data-value"]))
        if tag == "img":
            self.images.append(attributes["src"])
        if tag == "li":
            self.words.append("")

    handle_startendtag = HTMLParser.handle_startendtag

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag, tag

    def handle_data(self, data):
        if "td" in self.open:
            self.tables[-1][-1][-1][0] += data
        if "li" in self.open:
            self.words[-1] += data


@pytest.fixture(scope="session")
def page(compared, tmp_path_factory):
    runs, skipped = collect([compared])
    file = tmp_path_factory.mktemp("page") / "new" / "page.html"
    write_page(runs, skipped, file, ["The best is 1 < 2 & so on."], (), *sheets(runs))
    return file.read_text(), runs


def test_every_number_of_the_table_is_that_of_the_run_folder(page):
    text, runs = page
    parsed = Page(text)
    assert not parsed.open
    head, rows = parsed.heads[0], [row for row in parsed.tables[0] if row]
    for key in ("test/mse", "test/mae", "test/psnr", "test/ssim", "test/pca_mse", "parameters", "seconds", "val/mse"):
        assert key in head
    assert len(rows) == len(runs) == 3
    for row in rows:
        cells = dict(zip(head, row, strict=True))
        folder = next(run.path for run in runs if run.name == cells["folder"][0])
        metrics = json.loads((folder / "metrics.json").read_text())
        for key, (shown, value) in cells.items():
            if key in metrics:
                assert float(value) == metrics[key], key
                scale = 100 if key.endswith("accuracy") else 1  # shown in %
                assert float(shown.replace(",", "")) == pytest.approx(scale * metrics[key], rel=1e-3)
        assert float(cells["bottleneck.size"][1]) == metrics["code_size"]
    errors = [float(row[head.index("test/mse")][1]) for row in rows]
    assert errors == sorted(errors)


def test_the_numbers_of_the_captions_are_the_runs_too(page):
    text, runs = page
    known = {run.metrics[key] for run in runs for key in ("test/mse", "test/pca_mse")}
    values = Page(text).values
    assert set(values) == known
    assert len(values) == 3 + 2 + 3, "contact sheet, PCA, interpolations"


def test_the_page_needs_nothing_else(page):
    text, _ = page
    parsed = Page(text)
    assert "http" not in text.replace("http-equiv", "")
    assert "default-src &#39;none&#39;" in text
    assert all(address.startswith(("data:", "#")) for address in parsed.addresses)
    assert {address[1:] for address in parsed.addresses if address.startswith("#")} <= set(parsed.ids)
    assert len(parsed.ids) == len(set(parsed.ids))
    assert '<meta name="viewport"' in text
    assert "prefers-color-scheme: dark" in text
    assert '<meta name="color-scheme" content="light dark">' in text
    assert "The best is 1 < 2 & so on." in parsed.words


def test_images_are_those_of_the_sheets(page):
    from diabolo.report.sheets import sheets

    text, runs = page
    theirs = [row.picture for sheet in sheets(runs)[0] for row in sheet.rows]
    images = [base64.b64decode(source.partition("base64,")[2]) for source in Page(text).images]
    assert len(images) == len(theirs) == 6 + 4 + 3
    for ours, their in zip(images, theirs, strict=True):
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(ours))), their)


def test_colour_images_are_small_and_close():
    ramp = np.linspace(0, 255, 640 * 64, dtype=np.uint8).reshape(64, 640)
    picture = np.stack([ramp, ramp[::-1], 255 - ramp], 2)
    tag = image(Row('a "b"', picture))
    assert 'alt="a &#34;b&#34;"' in tag
    content = base64.b64decode(tag.partition("base64,")[2].partition('"')[0])
    assert len(content) < picture.nbytes / 20
    assert abs(np.asarray(Image.open(io.BytesIO(content))).astype(int) - picture).mean() < 3


def test_what_failed_or_was_skipped_is_named_and_stays_text(tmp_path):
    runs = [*sweep(), made(mse=None, seed=7)]
    runs[-1].state, runs[-1].reason = "failed", "<script>alert(1)</script> & NaN"
    skipped = [Skipped(Path("/a/<b>"), "JSONDecodeError: <img src=x>")]
    write_page(runs, skipped, tmp_path / "page.html", [])
    text = (tmp_path / "page.html").read_text()
    parsed = Page(text)
    assert [[cell[0] for cell in row] for row in parsed.tables[-1] if row] == [
        [runs[-1].name, "failed", "<script>alert(1)</script> & NaN"],
        ["/a/<b>", "skipped", "JSONDecodeError: <img src=x>"],
    ]
    assert text.count("<script") == 2
    assert not parsed.images


def test_errors_of_images_are_json_whatever_they_are():
    assert json.loads(figures((0.5, float("nan"), float("inf")))) == [0.5, None, None]


def test_further_tables_are_shown_with_whole_numbers(tmp_path):
    table = ("Losses", ["loss", "mse"], [["mae", 1 / 3], ["mse", None], ["bce", float("nan")]])
    write_page([], [], tmp_path / "page.html", [], tables=[table])
    rows = [row for row in Page((tmp_path / "page.html").read_text()).tables[0] if row]
    assert rows[:2] == [[["mae", None], ["0.3333", repr(1 / 3)]], [["mse", None], ["", None]]]
    assert rows[2][1] == ["nan", "NaN"]


def test_columns_are_what_differs_and_was_measured():
    runs = [made(size=2, model__hidden=[8], trainer__precision="32"), made(size=2, model__hidden=[9], mse=None)]
    table = run_table(runs)
    assert table.header == ["model.hidden", "trainer.precision", "bottleneck.size", "seed",
                            "test/mse", "test/pca_mse", "state", "run", "folder"]  # fmt: skip
    assert [row[0] for row in table.rows] == [[8], [9]]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0123456, "0.01235"),
        (403730, "403,730"),
        (8, "8"),
        (12.0, "12"),
        (123456.7, "123,457"),
        (None, ""),
        ([1], "[1]"),
    ],
)
def test_numbers_are_shown_short(value, shown):
    assert short(value) == shown


SCALE = """
import sys, time
from pathlib import Path
from diabolo.report.collect import collect
from diabolo.report.page import write_page
start = time.process_time()
runs, skipped = collect([sys.argv[1]])
write_page(runs, skipped, Path(sys.argv[2]), ["words"])
spent = time.process_time() - start
assert "torch" not in sys.modules and len(runs) == 500 and not skipped
peak = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(spent, peak)
"""


@pytest.mark.slow
def test_500_runs_take_seconds_and_no_torch(compared, tmp_path):
    (run, *_), _ = collect([compared])
    config = (run.path / "config.yaml").read_text()
    history = [{**run.history[-1], "epoch": epoch, "val/mse": 0.1 / epoch} for epoch in range(1, 26)]
    for place in range(500):
        folder = tmp_path / "runs" / f"{place:03d}"
        folder.mkdir(parents=True)
        folder.joinpath("config.yaml").write_text(
            config.replace("seed: 0", f"seed: {place % 5}").replace("size: 4", f"size: {2 + place // 5}")
        )
        folder.joinpath("metrics.json").write_text(json.dumps(run.metrics | {"code_size": 2 + place // 5}))
        folder.joinpath("state.json").write_text((run.path / "state.json").read_text())
        folder.joinpath("history.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in history))
    command = [sys.executable, "-c", SCALE, str(tmp_path / "runs"), str(tmp_path / "page.html")]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert ended.returncode == 0, ended.stderr
    print(ended.stdout)
    seconds, kilobytes = map(float, ended.stdout.split())
    assert seconds < 10, "of the processor"
    assert kilobytes < 1_000_000
    assert (tmp_path / "page.html").stat().st_size < 3_000_000
