"""Which arrays of a file are images and which labels, by their names; and labels that are names."""

import numpy as np
import pytest
import torch
from PIL import Image

from diabolo.data import array_images
from diabolo.data.arrays.names import numbered
from diabolo.errors import UserError
from made_arrays import FIRST, SHAPE, T, X, Y, npz


def test_which_arrays_are_meant_is_asked_for_with_all_there_are(tmp_path):
    root = str(npz(tmp_path, clean=X, noisy=255 - X, shape=Y, size=Y + 3))
    with pytest.raises(UserError, match=r"which arrays are the images\? .*data\.source\.images=KEY.*clean \(20 x 16 x"):
        array_images(root, SHAPE)
    with pytest.raises(UserError, match=r"which arrays are the labels\? .*shape \(20, int64\), size \(20, int64\)"):
        array_images(root, SHAPE, images="noisy")
    splits = array_images(root, SHAPE, images="noisy", labels="size")
    assert torch.equal(splits.train.pixels, 255 - FIRST)
    assert splits.train.labels.tolist() == (Y + 3).tolist()
    assert set(array_images(root, SHAPE, images="noisy", labels="none").train.labels.tolist()) == {-1}
    with pytest.raises(UserError, match=r"`images` \(= 'x'\) is none of the arrays: clean \(20"):
        array_images(root, SHAPE, images="x")
    with pytest.raises(UserError, match=r"`labels` \(= 'y'\) is none of the arrays: clean \(20"):
        array_images(root, SHAPE, images="clean", labels="y")


def test_a_name_without_its_part_is_that_of_each_part(tmp_path):
    root = str(npz(tmp_path, clean_train=X, noisy_train=255 - X, clean_test=X[:5], noisy_test=255 - X[:5]))
    splits = array_images(root, SHAPE, images="noisy")
    assert torch.equal(splits.train.pixels, 255 - FIRST)
    assert torch.equal(splits.test.pixels, 255 - FIRST[:5])


def test_names_as_labels_are_numbered_over_all_parts(tmp_path):
    names = np.array(["dog", "cat"] * 10)
    splits = array_images(str(npz(tmp_path, x_train=X, y_train=names, x_test=X[:1], y_test=["emu"])), SHAPE)
    assert splits.classes == ("cat", "dog", "emu")
    assert splits.train.labels.tolist() == [1, 0] * 10
    assert splits.test.labels.tolist() == [2]


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (Y - 2, r"hold numbers under 0"),
        (Y + 0.5, r"are no whole numbers"),
        (np.ones((20, 4)), r"labels \(20 x 4, float64\) are not one for each image of images \(20 x 16"),
        (np.arange(19), r"labels \(19, int64\) are not one for each image"),
    ],
)
def test_labels_that_cannot_be_are_refused(tmp_path, labels, said):
    with pytest.raises(UserError, match=said):
        array_images(str(npz(tmp_path, images=X, labels=labels)), SHAPE, labels="labels")


def test_what_is_pickled_is_refused_where_it_is_asked_for_and_else_left_alone(tmp_path):
    strange = np.array([{"author": 1}], dtype=object)
    root = str(npz(tmp_path, imgs=X[..., 0] // 200, metadata=strange))  # as dSprites' file has it
    assert len(array_images(root, (1, 16, 12), value_range=(0, 1)).train) == 20
    with pytest.raises(UserError, match=r"the array metadata \(1, pickled\) in .*data\.npz is pickled and not loaded"):
        array_images(root, SHAPE, images="metadata")
    objects = np.empty((2, 8, 8), dtype=object)
    np.save(tmp_path / "o.npy", objects, allow_pickle=True)
    with pytest.raises(UserError, match=r"o \(2 x 8 x 8, pickled\) in .*o\.npy is pickled"):
        array_images(str(tmp_path / "o.npy"), (1, 8, 8))
    torch.save({"images": T, "args": Image.new("L", (1, 1))}, tmp_path / "p.pt")
    with pytest.raises(UserError, match=r"p\.pt holds pickled Python objects, which are not loaded"):
        array_images(str(tmp_path / "p.pt"), SHAPE)


def test_classes_that_are_texts_are_numbered_in_their_order_and_numbers_among_them_by_size():
    (train, none), classes = numbered([np.array(["10", "9", "2", "10"]), None], ["y", ""])
    assert classes == ("2", "9", "10")
    assert train.tolist() == [2, 1, 0, 2]
    assert none is None
    (train, test), classes = numbered([np.array([b"oak", b"ash"]), np.array(["elm"])], ["y", "z"])
    assert classes == ("ash", "elm", "oak")
    assert (train.tolist(), test.tolist()) == ([2, 0], [1])
