"""`diabolo sample`: codes from where one says, and the training images nearest to what they decode to."""

from pathlib import Path

import numpy as np
import pytest
import torch

from diabolo.measures.mixture import CodeMixture
from diabolo.runs.loading import load
from diabolo.use.nearest import nearest_images
from support import TINY, opened_data, pixels

QUIET = (*TINY, "callbacks=none", "logger=none")


def test_the_nearest_image_is_that_of_plain_code(run):
    data = opened_data(run.config())
    data.eval_batch_size = 5  # several batches
    train = data.images("train").float() / 255
    asked = torch.cat([train[[7, 3]], torch.rand(4, 1, 8, 8)])
    errors = (asked[:, None] - train[None]).square().mean((2, 3, 4))
    found = nearest_images(asked, data)
    assert found.places.tolist() == errors.argmin(1).tolist()
    assert found.errors[:2].tolist() == [0, 0]
    torch.testing.assert_close(found.errors, errors.min(1).values)


def test_a_folder_gets_images_codes_and_a_sheet(diabolo, run):
    command = ("sample", str(run.path), "-n", "14", "--from", "gaussian", "--seed", "3", "--out", "made")
    ended = diabolo(*command)
    assert ended.code == 0, ended.err
    assert ended.out.startswith("14 samples of a Gaussian fitted to 22 training codes -> made\n")
    data, model = opened_data(run.config()), load(run.path)
    with torch.no_grad():
        codes = CodeMixture(model.encode(data.images("train")), 1, 3).sample(14)
        images = model.decode(codes).clamp(0, 1)
    with np.load("made/codes.npz") as found:
        np.testing.assert_allclose(found["codes"], codes, atol=1e-5)
        nearest = nearest_images(images, data)
        assert found["nearest"].tolist() == nearest.places.tolist()
        np.testing.assert_allclose(found["nearest_mse"], nearest.errors, atol=1e-6)
    for place, image in enumerate(images, 1):
        found = pixels(Path(f"made/{place:02}.png"))
        assert np.abs(found - image[0].numpy() * 255).max() <= 0.51
    assert len(list(Path("made").iterdir())) == 16
    assert len(pixels(Path("made/sheet.png"))) > 4 * 58
    assert diabolo(*command).code == 2, "they are there already"


BOTTLENECKS = {
    "vector": "mixture",
    "variational": "the prior",
    "noisy": "mixture",
    "nested": "mixture",
    "top_k": "mixture",
    "vq": "mixture",
    "fsq": "mixture",
}


@pytest.mark.parametrize(("name", "source"), BOTTLENECKS.items())
def test_every_bottleneck_gives_samples(diabolo, trained, tmp_path, name, source):
    more = {"top_k": ("bottleneck.k=2",), "fsq": ("bottleneck.levels=[3,3]",)}.get(name, ())
    run = trained(*QUIET, f"bottleneck={name}", *more)
    ended = diabolo("sample", str(run.path), "-n", "5", "--components", "2", "--out", "sheet.png")
    assert ended.code == 0, ended.err
    assert source in ended.out or "a Gaussian" in ended.out
    assert pixels(tmp_path / "sheet.png").shape[1] > 5 * 58
    for out in ("again.png", "third.png"):
        diabolo("sample", str(run.path), "-n", "5", "--components", "2", "--out", out)
    assert Path("again.png").read_bytes() == Path("third.png").read_bytes()
    if name != "variational":
        ended = diabolo("sample", str(run.path), "--from", "prior", "--out", "none.png")
        assert ended.code == 2
        assert "has none; take gaussian or mixture" in ended.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-n", "0", "--out", "x"], "`-n` (= 0) must be a whole number of at least 1."),
        (["--out", "x.jpg"], "'x.jpg' must be a folder, or a file that ends in .png."),
        (["--from", "nowhere", "--out", "x"], "`--from` (= 'nowhere') must be one of prior, gaussian, mixture"),
        (["--data-root", "gone", "--out", "x"], "gone"),
    ],
)
def test_mistakes_are_one_sentence(diabolo, run, arguments, words):
    ended = diabolo("sample", str(run.path), *arguments)
    assert ended.code == 2
    assert words in ended.err
    assert len(ended.err.splitlines()) == 1
