"""Images in HDF5 files."""

import multiprocessing
import pickle
import sys

import h5py
import numpy as np
import pytest
import torch

from diabolo.data import hdf5_images
from diabolo.data.arrays.sets import ArrayImages
from diabolo.data.batches import ResumableSampler, StreamedBatches
from diabolo.errors import UserError

X = np.random.default_rng(0).integers(0, 256, (20, 16, 12, 3), dtype=np.uint8)
Y = np.arange(20) % 3
SHAPE = (3, 16, 12)
FIRST = torch.from_numpy(X).permute(0, 3, 1, 2)


def h5(path, **arrays):
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file.create_dataset(name.replace("__", "/"), data=array, chunks=(4, *array.shape[1:]), compression="gzip")
    return path


WRITTEN = {  # what writes files -> the numbers of images in training, validation and test
    "groups": (lambda f: h5(f / "a.h5", train__images=X, train__labels=Y, test__images=X[:5], test__labels=Y[:5]),
               (20, None, 5)),
    "one set": (lambda f: h5(f / "a.hdf5", images=X, labels=Y), (20, None, None)),
    "a file a part and kind": (  # as PatchCamelyon's, whose labels are N x 1 x 1 x 1
        lambda f: [h5(f / f"level_2_split_{part}_{kind}.h5", **{kind: array[:count]})
                   for part, count in (("train", 20), ("valid", 7), ("test", 5))
                   for kind, array in (("x", X), ("y", Y.reshape(-1, 1, 1, 1)))] and f,
        (20, 7, 5),
    ),
}  # fmt: skip


@pytest.mark.parametrize("how", WRITTEN)
@pytest.mark.parametrize("memory_limit", [1 << 30, 0])
def test_parts_images_and_labels_are_found(tmp_path, how, memory_limit):
    write, counts = WRITTEN[how]
    splits = hdf5_images(str(write(tmp_path)), SHAPE, memory_limit=memory_limit)
    for images, count in zip((splits.train, splits.val, splits.test), counts, strict=True):
        assert (images is None) == (count is None)
        if images is not None:
            assert images.labels.tolist() == Y[:count].tolist()
            assert torch.equal(images.take(torch.arange(count)), FIRST[:count])
            assert torch.equal(images.take([4, 0, 4]), FIRST[[4, 0, 4]])


def test_labels_may_be_text(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["images"], file["labels"] = X, ["dog", "cat"] * 10
    splits = hdf5_images(str(tmp_path / "a.h5"), SHAPE)
    assert splits.classes == ("cat", "dog")
    assert splits.train.labels.tolist() == [1, 0] * 10


def test_workers_read_with_handles_of_their_own(tmp_path):
    images = hdf5_images(str(h5(tmp_path / "a.h5", images=X, labels=Y)), SHAPE, memory_limit=0).train
    assert isinstance(images, ArrayImages)
    assert torch.equal(images[0], FIRST[0])  # opens it here, before the fork
    order = ResumableSampler(20, 6, shuffle=True)
    streams = StreamedBatches(images, order, workers=2, pin_memory=False)
    pixels, labels = zip(*streams, strict=True)
    wanted = order.indices()
    assert torch.equal(torch.cat(pixels), FIRST[wanted])
    assert torch.equal(torch.cat(labels), torch.from_numpy(Y)[wanted])
    assert multiprocessing.active_children()
    assert torch.equal(pickle.loads(pickle.dumps(images))[3], FIRST[3])


def test_a_path_in_the_file_is_chosen(tmp_path):
    root = str(h5(tmp_path / "a.h5", raw__clean=X, raw__noisy=255 - X))
    with pytest.raises(
        UserError, match=r"which arrays are the images\? .*raw/clean \(20 x 16 x 12 x 3, uint8\), raw/noisy"
    ):
        hdf5_images(root, SHAPE)
    assert torch.equal(hdf5_images(root, SHAPE, images="raw/noisy").train[0], 255 - FIRST[0])


def test_a_damaged_file_is_a_sentence_with_its_name(tmp_path):
    path = h5(tmp_path / "a.h5", images=X, labels=Y)
    whole = path.read_bytes()
    for content in [whole[: len(whole) * part // 16] for part in range(16)] + [b"\xff" * 999]:
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"a\.h5"):
            hdf5_images(str(path), SHAPE)
    start = len(whole) // 2  # compressed pixels
    path.write_bytes(whole[:start] + bytes(64) + whole[start + 64 :])
    with pytest.raises(UserError, match=r"a\.h5 cannot be read"):
        hdf5_images(str(path), SHAPE)
    late = hdf5_images(str(path), SHAPE, memory_limit=0).train
    with pytest.raises(UserError, match=r"a\.h5 cannot be read"):
        late.take(torch.arange(20))


def test_without_h5py_one_is_told_how_to_get_it(diabolo, tiny, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    ended = diabolo("train", *tiny, "data=hdf5", "data.root=.")
    assert (ended.code, ended.err.splitlines()[-1:]) == (
        2,
        ["diabolo: h5py is not installed: uv sync --extra h5, or pip install h5py."],
    )
