"""`diabolo data`: what it says of folders and of other sets, its contact sheet, and the commands of the cache."""

import shutil
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from diabolo.errors import UserError


@pytest.fixture
def images(tmp_path):
    """Twelve cats, three dogs, a copy, masks, a hidden folder and a broken file."""
    draw = np.random.default_rng(0)
    for name, count in (("train/cat", 12), ("train/dog", 2), ("val/dog", 1), ("masks/dog", 1), (".cache", 2)):
        (tmp_path / "set" / name).mkdir(parents=True)
        for i in range(count):
            side = 10 if i else 12
            pixels = draw.integers(0, 256, (side, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels if i != 1 else pixels[..., 0]).save(tmp_path / "set" / name / f"{i}.png")
    (tmp_path / "set/train/dog/bad.jpg").write_text("no image")
    shutil.copy(tmp_path / "set/train/cat/3.png", tmp_path / "set/val/dog/copy.png")
    return tmp_path / "set"


def test_a_folder_is_described_without_training(diabolo, images, tmp_path):
    ended = diabolo("data", str(images), "data.image_shape=[3,8,8]", "--images", "3", "--out", "sheet.png")
    assert (ended.code, ended.err) == (0, "")
    assert [line.rstrip() for line in ended.out.splitlines()] == [
        f"{images}: train 15 from train/, val 2 from val/; 2 classes: cat 12, dog 5",
        "left out: 1 image in masks/ (masks); 2 hidden or system files",
        "class  train  val",
        "cat       12    0",
        "dog        3    2",
        "all       15    2",
        "test: no images of its own; a run sets 20% aside (data.test_fraction)",
        "sizes: 8x10 (13), 8x12 (3)",
        "pixels: RGB (14), L (2)",
        "formats: PNG (16)",
        "unreadable: 1; remove them or set data.source.unreadable=skip",
        "  train/dog/bad.jpg (not an image)",
        "copies: 1 picture is there more than once; 1 image in training and in validation or test",
        "  val/dog/copy.png = train/cat/3.png",
        "contact sheet: sheet.png",
    ]
    assert not (tmp_path / "runs").exists()
    sheet = np.asarray(Image.open(tmp_path / "sheet.png"))
    assert sheet.shape[0] == 2 * 56 + 2, "two rows of images, enlarged"
    assert len(np.unique(sheet[:56, -56:])) > 20, "three cats fill the first row"
    assert np.unique(sheet[58:, -56:]).tolist() == [255], "of the dogs two can be read"


def test_a_set_without_classes_is_drawn_in_rows_of_its_parts(diabolo, tmp_path):
    for name in ("train/0", "train/1", "test/0"):
        (tmp_path / "set" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((8, 8), 10 * len(name), np.uint8)).save(tmp_path / "set" / f"{name}.png")
    ended = diabolo("data", "set", "data.image_shape=[1,8,8]")
    assert ended.code == 0, ended.err
    assert "no classes" in ended.out
    assert np.asarray(Image.open(tmp_path / "contact_sheet.png")).shape[0] == 2 * 56 + 2


def test_another_set_is_described_as_a_run_gets_it(diabolo, tmp_path):
    ended = diabolo("data", "data=digits", "data.limit=100", "data.image_shape=[1,8,8]")
    assert ended.code == 0, ended.err
    assert [line.split() for line in ended.out.splitlines() if line.startswith(("class", "all"))] == [
        ["class", "train", "val", "test"],
        ["all", "90", "10", "359"],
    ]
    assert np.asarray(Image.open(tmp_path / "contact_sheet.png")).shape[0] == 10 * 58 - 2


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nowhere"], "is not a folder"),
        (["empty"], "there is no image in"),
        (["broken"], "there is no image that can be read"),
        ([], "needs a folder of images"),
        (["empty", "broken"], "takes one folder, not 2"),
        (["empty", "data.imag_shape=[1,8,8]"], "there is no config key 'data.imag_shape'"),
        (["broken", "data.source.fit=squash"], "must be one of crop, stretch, pad"),
        (["good", "--out", "nowhere/sheet.png"], "'nowhere/sheet.png' cannot be written"),
        (["cache", "purge"], "there is no `diabolo data cache purge`; there are ls, rm."),
    ],
)
def test_what_is_no_data_ends_with_a_sentence_and_code_2(diabolo, tmp_path, arguments, sentence):
    for name in ("empty", "broken", "good"):
        (tmp_path / name).mkdir()
    (tmp_path / "broken" / "0.png").write_text("no image")
    Image.new("RGB", (8, 8)).save(tmp_path / "good" / "0.png")
    ended = diabolo("data", *arguments)
    assert ended.code == 2
    assert sentence in ended.err
    assert ended.err.count("\n") == 1


def test_a_run_says_what_it_understood(diabolo, images, tiny):
    (images / "train/dog/bad.jpg").unlink()
    overrides = (*tiny, "data=folder", f"data.root={images}", "data.limit=10", "data.test_limit=4", "callbacks=none")
    ended = diabolo("train", *overrides, "logger=none", "hydra.run.dir=run")
    assert ended.code == 0, ended.err
    said = " ".join(ended.out.split())
    assert "train 14 from train/, val 2 from val/; 2 classes: cat 12, dog 4" in said
    assert "left out: 1 image in masks/ (masks); 2 hidden or system files" in said
    log = (images.parent / "run" / "run.log").read_text()
    assert "left out: 1 image in masks/ (masks); 2 hidden or system files" in log


@pytest.fixture
def kept(monkeypatch):
    """A cache of two entries, one in use; removed ones are noted."""
    removed = []

    entries = [
        SimpleNamespace(name="abc", of="/photos", images=1200, bytes=3_400_000, last_used=86400.0 * 365, whole=True),
        SimpleNamespace(name="def", of="/busy", images=7, bytes=999, last_used=0.0, whole=False),
    ]

    def remove(entry):
        if entry.of == "/busy":
            raise UserError("def is in use.")
        removed.append(entry.name)

    module = ModuleType("diabolo.data.cache.store")
    module.caches, module.remove = lambda: entries, remove
    monkeypatch.setitem(sys.modules, "diabolo.data.cache.store", module)
    return SimpleNamespace(entries=entries, removed=removed)


def test_the_cache_is_listed(diabolo, kept):
    lines = [line.split() for line in diabolo("data", "cache", "ls").out.splitlines()]
    assert lines[0] == ["name", "images", "size", "last", "used", "of"]
    assert lines[1][:4] == ["abc", "1,200", "3.4", "MB"]
    assert lines[1][4].startswith("197")
    assert lines[1][-1] == "/photos"
    assert lines[2][-3:] == ["/busy", "(not", "whole)"]
    assert lines[3] == ["all", "1,207", "3.4", "MB"]
    kept.entries.clear()
    assert diabolo("data", "cache", "ls").out == "Nothing is kept.\n"


def test_entries_of_the_cache_are_removed_by_name(diabolo, kept):
    ended = diabolo("data", "cache", "rm", "abc")
    assert (ended.code, ended.out, kept.removed) == (0, "removed abc (3.4 MB)\n", ["abc"])


def test_all_of_the_cache_is_removed_but_what_is_in_use(diabolo, kept):
    ended = diabolo("data", "cache", "rm", "--all")
    assert (ended.code, kept.removed, ended.err) == (2, ["abc"], "diabolo: def is in use.\n")


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (["abd"], "nothing of the name 'abd' is kept (did you mean 'abc'?)."),
        ([], "say what is to be removed: the names that diabolo data cache ls lists, or --all."),
        (["abc", "--all"], "say what is to be removed"),
    ],
)
def test_nothing_is_removed_by_a_slip(diabolo, kept, names, sentence):
    ended = diabolo("data", "cache", "rm", *names)
    assert (ended.code, kept.removed) == (2, [])
    assert sentence in ended.err
