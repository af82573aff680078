"""The page on callbacks: none is missing, and the one that it writes works as it stands."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from diabolo.runs.folder import RunFolder
from diabolo.runs.loading import load
from support import CONF, ROOT, TINY, opened_data, tiles

PAGE = (ROOT / "src" / "diabolo" / "callbacks" / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", sorted(CONF.glob("callbacks/*.yaml")), ids=lambda path: path.stem)
def test_every_callback_has_a_row_that_says_how_to_switch_it_on(path):
    for node in (yaml.safe_load(path.read_text()) or {}).values():
        name = node["_target_"].rpartition(".")[2]
        rows = [line for line in PAGE.splitlines() if line.startswith(f"| `{name}` |")]
        wanted = f"| `{name}` | WHAT IT DRAWS OR MEASURES | AS WHAT | `{path.stem}` | WHAT IT COSTS |"
        assert len(rows) == 1, f"src/diabolo/callbacks/README.md needs one row for it; add:\n{wanted}"
        (row,) = rows
        switch = row.split("|")[4]
        assert (path.stem if path.stem in ("default", "classify") else f"`{path.stem}`") in switch


def test_the_callback_that_the_page_writes_draws_what_it_says(diabolo, tmp_path, monkeypatch):
    blocks = re.findall(r"^```(?:python|yaml)\n# (\S+)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert [name for name, _ in blocks] == ["mine.py", "myconf/callbacks/darkest.yaml"]
    for name, text in blocks:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (command,) = re.findall(r"^    diabolo train (--config-dir .*)$", PAGE, re.MULTILINE)
    monkeypatch.setitem(sys.modules, "mine", None)  # whatever another test left there is put back
    del sys.modules["mine"]
    ended = diabolo("train", *command.split(), *TINY, "logger=none", "hydra.run.dir=run")
    assert ended.code == 0, ended.err
    files = sorted(path.name for path in Path("run/pictures/darkest").iterdir())
    assert files == ["epoch_0000.png", "epoch_0002.png", "final.png"]
    run = RunFolder("run")
    data = opened_data(run.config())
    images = data.images("test")
    darkest = images[np.argsort([int(image.long().sum()) for image in images], kind="stable")[:10]]
    with torch.no_grad():
        reconstructions = (load(run.path).reconstruct(darkest).clamp(0, 1) * 255).round().numpy()
    picture = np.asarray(Image.open("run/pictures/darkest/final.png").convert("RGB"))
    assert np.array_equal(tiles(picture, 0, 10), darkest.expand(-1, 3, -1, -1))
    assert np.abs(tiles(picture, 1, 10).astype(float) - reconstructions).max() <= 1
