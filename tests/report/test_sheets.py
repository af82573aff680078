"""Sheets of images, every pixel against plain code, and runs whose data or weights are gone."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image
from sklearn.decomposition import PCA

import diabolo
from diabolo.data.datamodule import ImageData
from diabolo.report.collect import collect
from diabolo.report.sheet import captioned
from diabolo.report.sheets import sheets
from diabolo.runs.folder import RunFolder
from diabolo.runs.trusted_classes import note_own_parts
from support import TINY, opened_data


@pytest.fixture
def copied(compared, tmp_path):
    return shutil.copytree(compared, tmp_path / "runs")


def images_of(row, count: int) -> np.ndarray:
    """The N x 8 x 8 bytes of a row, whose images stand a pixel apart."""
    return np.stack([row.picture[:, 9 * place : 9 * place + 8] for place in range(count)])


def config_of(path):
    return RunFolder(path).config()


def as_bytes(images: torch.Tensor) -> np.ndarray:
    return (images.detach().clamp(0, 1).numpy() * 255).round().astype(np.uint8)[:, 0]


def test_the_contact_sheet_holds_originals_pca_and_each_run(compared):
    runs, _ = collect([compared])
    made, missing = sheets(runs)
    assert not missing
    sheet = next(sheet for sheet in made if sheet.name == "contact_sheet")
    models = {run.name: diabolo.load(run.path) for run in runs}
    errors = {run.name: run.metrics["test/mse"] for run in runs}
    first, second = sorted(("mse_4", "mae_4"), key=errors.__getitem__)
    assert [row.caption for row in sheet.rows] == [
        "originals", "PCA of size 2", "loss=mse bottleneck.size=2", "PCA of size 4",
        f"loss={first[:3]} bottleneck.size=4", f"loss={second[:3]} bottleneck.size=4",
    ]  # fmt: skip
    data = opened_data(config_of(compared / "mse_4"))
    test = data.images("test", range(10))
    np.testing.assert_array_equal(images_of(sheet.rows[0], 10), test[:, 0].numpy())
    for row, name in zip((sheet.rows[2], *sheet.rows[4:]), ("mse_2", first, second), strict=True):
        np.testing.assert_array_equal(images_of(row, 10), as_bytes(models[name].reconstruct(test)))
        assert row.error == errors[name]
    pca = PCA(2, svd_solver="full").fit(data.images("train").flatten(1).numpy() / 255)
    theirs = pca.inverse_transform(pca.transform(test.flatten(1).numpy() / 255)).reshape(-1, 1, 8, 8)
    difference = images_of(sheet.rows[1], 10).astype(int) - as_bytes(torch.from_numpy(theirs))
    assert abs(difference).max() <= 1, "but for rounding"
    assert sheet.rows[1].error == runs[1].metrics["test/pca_mse"]
    picture = captioned(sheet)
    assert picture.shape[2] == 3
    original = picture[26 : 26 + 56 : 7, 6 : 6 + 56 : 7, 0]  # below the first caption, 7 times as large
    np.testing.assert_array_equal(original, test[0, 0].numpy())


def test_a_conditional_network_is_given_the_labels_of_the_images(trained):
    plain = ("bottleneck=variational", "bottleneck.conditional=true", "bottleneck.classes=10", "callbacks.pca=null")
    run = trained(*TINY, *plain, "logger=none")
    made, missing = sheets(collect([run.path])[0])
    assert not missing
    data, model = opened_data(run.config()), diabolo.load(run.path)
    (row,) = (row for row in made[0].rows if row.run is not None)
    images, labels = data.images("test", range(10)), data.labels("test")[:10]
    np.testing.assert_array_equal(images_of(row, 10), as_bytes(model.reconstruct(images, labels)))
    assert {sheet.name for sheet in made} >= {"contact_sheet", "best_and_worst"}


def test_one_fit_serves_the_pca_of_all_sizes(compared, monkeypatch):
    fitted = []
    fit = PCA.fit
    monkeypatch.setattr(PCA, "fit", lambda pca, data: fitted.append(pca.n_components) or fit(pca, data))
    made, _ = sheets(collect([compared])[0])
    assert fitted == [4]
    assert [row.caption for row in made[0].rows if "PCA" in row.caption] == ["PCA of size 2", "PCA of size 4"]


def test_a_single_training_image_has_no_pca(compared, monkeypatch):
    monkeypatch.setattr(ImageData, "count", lambda data, split: 1 if split == "train" else len(data.splits[split]))
    made, missing = sheets(collect([compared])[0])
    assert not missing
    assert [row.caption.partition("=")[0] for row in made[0].rows] == ["originals", "loss", "loss", "loss"]


def test_best_and_worst_are_those_of_the_best_run(compared):
    runs, _ = collect([compared])
    best = min(runs, key=lambda run: run.metrics["test/mse"])
    sheet = next(sheet for sheet in sheets(runs)[0] if sheet.name == "best_and_worst")
    data = opened_data(config_of(best.path))
    test = data.images("test")
    ours = diabolo.load(best.path).reconstruct(test)
    errors = ((ours - test.float() / 255) ** 2).mean((1, 2, 3)).detach().numpy()
    assert errors.mean() == pytest.approx(best.metrics["test/mse"], rel=1e-5)
    order = np.argsort(errors, kind="stable")
    for places, originals, reconstructions in ((order, *sheet.rows[:2]), (order[::-1], *sheet.rows[2:])):
        np.testing.assert_array_equal(images_of(originals, 10), test[places[:10].copy(), 0].numpy())
        np.testing.assert_array_equal(images_of(reconstructions, 10), as_bytes(ours[places[:10].copy()]))
    assert f"{errors.min():.3g}" in sheet.rows[1].caption
    assert f"{errors.max():.3g}" in sheet.rows[3].caption


def test_interpolations_are_those_in_the_run_folders(compared):
    runs, _ = collect([compared])
    sheet = next(sheet for sheet in sheets(runs)[0] if sheet.name == "interpolations")
    for row, run in zip(sheet.rows, sorted(runs, key=lambda r: (r.get("code_size"), r.get("test/mse"))), strict=True):
        theirs = np.asarray(Image.open(run.path / "pictures" / "interpolation" / "final.png"))
        np.testing.assert_array_equal(row.picture, theirs)


def test_runs_whose_weights_or_data_are_gone_show_what_they_drew_or_are_named(copied):
    (copied / "mae_4" / "checkpoints" / "best.ckpt").write_bytes(b"cut short")
    gone = copied / "mse_2"
    text = (gone / "config.yaml").read_text()
    gone.joinpath("config.yaml").write_text(text.replace("data.digit_images", "data.folder_images"))
    shutil.rmtree(gone / "pictures")
    runs, _ = collect([copied])
    made, missing = sheets(runs)
    names = [sheet.name for sheet in made]
    assert names == ["contact_sheet_2", "best_and_worst_2", "kept_reconstructions", "interpolations"]
    assert [row.caption for row in made[0].rows] == [
        "originals", "PCA of size 4", "data=digits loss=mse bottleneck.size=4"
    ]  # fmt: skip
    kept = np.asarray(Image.open(copied / "mae_4" / "pictures" / "reconstructions" / "final.png"))
    np.testing.assert_array_equal(made[2].rows[0].picture, np.asarray(kept))
    assert [sentence.partition(" (in ")[2].partition(",")[0] for sentence in sorted(missing)] == [
        "mae_4): as it was drawn in training",
        "mse_2): no picture",
    ]


def test_runs_on_other_images_get_a_sheet_of_their_own(copied):
    text = (copied / "mse_2" / "config.yaml").read_text()
    (copied / "mse_2" / "config.yaml").write_text(text.replace("split_seed: 0", "split_seed: 1"))
    made, missing = sheets(collect([copied])[0])
    assert not missing
    contact = [sheet for sheet in made if sheet.name.startswith("contact_sheet")]
    assert [[row.caption.split("size")[-1] for row in sheet.rows] for sheet in contact] == [
        ["originals", " 2", "=2"],
        ["originals", " 4", "=4", "=4"],
    ]
    assert (contact[0].rows[0].picture != contact[1].rows[0].picture).any()
    assert contact[0].title.endswith("digits 1x8x8")


def test_nothing_is_downloaded(copied, monkeypatch):
    from torchvision import datasets

    asked = []

    class MNIST:
        def __init__(self, root, train, download):
            asked.append(download)
            raise RuntimeError("Dataset not found.")

    monkeypatch.setattr(datasets, "MNIST", MNIST)
    for run in ("mse_4", "mae_4", "mse_2"):
        config = config_of(copied / run)
        config.data.root = "nowhere"
        config.data.source = {
            "_target_": "diabolo.data.vision.torchvision_images", "_partial_": True, "dataset": "MNIST",
            "train": {"train": True}, "test": {"train": False}, "download": True,
        }  # fmt: skip
        OmegaConf.save(config, copied / run / "config.yaml")
    made, missing = sheets(collect([copied])[0])
    assert asked == [False]
    assert [sheet.name for sheet in made] == ["kept_reconstructions", "interpolations"]
    assert len(missing) == 3
    assert "there is no MNIST" in missing[0]


OWN = """
from diabolo.training import MSE
from pathlib import Path


class Own(MSE):
    def __init__(self, **_):
        super().__init__()
        Path("ran").touch()
"""


def test_a_run_that_is_not_trusted_shows_what_it_drew_itself_until_the_reader_trusts_it(diabolo, copied):
    Path("own.py").write_text(OWN)
    for name in ("mse_2", "mse_4"):
        text = (copied / name / "config.yaml").read_text()
        (copied / name / "config.yaml").write_text(text.replace("diabolo.training.MSE", "own.Own"))
    first = min(copied.iterdir())
    assert first.name == "mae_4"
    for command in (["--html", "page.html"], ["--tensorboard", "board"]):
        assert diabolo("compare", "runs", *command).code == 0
        assert not Path("ran").exists()
    page = Path("page.html").read_text()
    assert page.count("as it was drawn in training, since the config of") == 2
    assert "names &#39;own.Own&#39; at `loss._target_`" in page
    assert "say --trust" in page
    assert "The same test images" in page, "of the run that is trusted"
    assert diabolo("compare", "runs", "--html", "page.html", "--trust").code == 0
    assert Path("ran").exists()
    assert "since the config of" not in Path("page.html").read_text()


def test_a_part_of_ones_own_is_found_in_the_current_folder(diabolo, copied):
    Path("mine_own.py").write_text(OWN)
    text = (copied / "mse_4" / "config.yaml").read_text().replace("diabolo.training.MSE", "mine_own.Own")
    (copied / "mse_4" / "config.yaml").write_text(text)
    sys.path.append(str(Path.cwd()))  # as training does
    note_own_parts({"loss": {"_target_": "mine_own.Own"}})
    sys.path.pop()
    assert diabolo("compare", "runs", "--html", "page.html").code == 0
    assert Path("ran").exists()
    assert "since" not in Path("page.html").read_text()


def test_a_run_whose_metrics_are_of_another_model_is_named(copied):
    for name, size in (("mse_4", 400_000), ("mae_4", -4)):
        file = copied / name / "metrics.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | {"code_size": size}))
    made, missing = sheets(collect([copied])[0])
    assert [row.caption for row in made[0].rows][:2] == ["originals", "PCA of size 2"]
    assert len(missing) == 2
    assert "its model has a code of 4, and its metrics say 400000" in " ".join(missing)
