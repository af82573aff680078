"""What a command line may name as images, and what is said of it."""

import re

import h5py
import numpy as np
import pytest
import torch
from PIL import Image

from diabolo.callbacks.pictures import SPLITS
from diabolo.errors import UserError
from diabolo.use.images import chosen_images, given_images
from diabolo.use.reading import ImageReader
from diabolo.use.trained import open_trained
from support import opened_data, pixels


@pytest.fixture(scope="module")
def opened(run):
    return open_trained(run.path)


def test_other_sizes_and_kinds_are_fitted_as_the_runs_own_and_that_is_said_once(opened, tmp_path, capsys):
    for i, size in enumerate([(12, 8), (20, 10), (8, 8)]):
        Image.new("L" if i == 2 else "RGB", size, 90).save(tmp_path / f"{i}.png")
    (batch,) = given_images(opened, [str(tmp_path)]).batches()
    assert batch.images.shape == (3, 1, 8, 8)
    assert capsys.readouterr().err == (
        "2 images of another size or kind (12x8 RGB, 20x10 RGB), cropped to 8x8 with 1 channel, as the run's own images"
        " are\n"
    )


def test_a_split_is_the_runs_own(opened, run):
    data = opened_data(run.config())
    for split in SPLITS:
        found = given_images(opened, [], split)
        images = [image for batch in found.batches() for image in batch.images]
        assert np.array_equal(np.stack(images), data.images(split))
        assert [data.classes.index(label) for label in found.labels] == data.labels(split).tolist()


def test_single_images_come_by_file_or_by_place_in_the_order_asked_for(opened, run, images):
    own = opened_data(run.config()).images("test", [2])[0]
    file = images / "bar" / "00.png"
    found = chosen_images(opened, ["test:2", str(file), "test:2"])
    assert np.array_equal(found[0], own)
    assert np.array_equal(found[1, 0], pixels(file))
    assert np.array_equal(found[2], own)


def test_each_page_of_a_file_is_an_image_with_a_name_of_its_own(opened, tmp_path):
    pages = [Image.new("L", (8, 8), shade) for shade in (10, 20, 30)]
    pages[0].save(tmp_path / "scan.tif", save_all=True, append_images=pages[1:])
    found = ImageReader(opened.reading, [str(tmp_path / "scan.tif")], skip=False)
    assert found.names == ["scan#1.tif", "scan#2.tif", "scan#3.tif"]
    (batch,) = found.batches()
    assert batch.images[:, 0, 0, 0].tolist() == [10, 20, 30]


def test_what_cannot_be_read_is_refused_or_named_and_left_out(opened, images, tmp_path, capsys):
    broken = tmp_path / "broken.png"
    broken.write_bytes((images / "bar" / "00.png").read_bytes()[:40])
    places = [str(broken), str(images / "bar")]
    with pytest.raises(UserError, match=re.escape(f"'{broken}' cannot be read (")):
        list(given_images(opened, places).batches())
    (batch,) = given_images(opened, places, skip=True).batches()
    assert batch.places == list(range(1, 16))
    assert f"skipped {broken} (" in capsys.readouterr().err
    with pytest.raises(UserError, match=r"none of these images can be read\."):
        list(given_images(opened, places[:1], skip=True).batches())


@pytest.mark.parametrize(
    ("places", "split", "sentence"),
    [
        ([], None, "name images or folders of images, or a split of the run's own data by --split test."),
        (["x.png"], "test", "name images or folders of images, or a split of the run's own data by --split test."),
        (["nowhere"], None, "'nowhere' is neither a file nor a folder."),
        ([], "tests", "--split (= 'tests') must be one of train, val, test (did you mean 'test'?)."),
        (["empty"], None, "there is no image in 'empty': no file there has an ending that Pillow reads."),
        (["a.txt"], None, "'a.txt' has no ending of an image file that Pillow reads."),
    ],
)
def test_what_is_no_image_is_named(opened, tmp_path, monkeypatch, places, split, sentence):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "a.txt").touch()
    with pytest.raises(UserError) as refused:
        given_images(opened, places, split)
    assert str(refused.value) == sentence


def test_a_place_beyond_the_split_is_named(opened):
    with pytest.raises(UserError, match=r"`test:999` names image 999, but the test split has 6 images\."):
        chosen_images(opened, ["test:999"])


@pytest.mark.parametrize("ending", ["npy", "npz", "h5"])
def test_a_file_of_arrays_holds_images_and_labels(opened, tmp_path, ending):
    images = np.random.default_rng(0).integers(0, 256, (12, 8, 8), dtype=np.uint8)
    file = tmp_path / f"mine.{ending}"
    if ending == "npy":
        np.save(file, images)
    elif ending == "npz":
        np.savez(file, images=images, labels=np.arange(12) % 3)
    else:
        with h5py.File(file, "w") as content:
            content["images"], content["labels"] = images, np.arange(12) % 3
    found = given_images(opened, [str(file)])
    found.batch_size = 5
    batches = list(found.batches())
    assert [place for batch in batches for place in batch.places] == list(range(12))
    assert np.array_equal(torch.cat([batch.images for batch in batches])[:, 0], images)
    assert found.names[:2] == ["mine_00", "mine_01"]
    assert found.labels[:4] == (["0", "1", "2", "0"] if ending != "npy" else [""] * 4)
    with pytest.raises(UserError, match=re.escape(f"'{file}' holds arrays: name it alone.")):
        given_images(opened, [str(file), str(tmp_path)])
