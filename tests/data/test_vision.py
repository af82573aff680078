"""torchvision's data sets: read from local copies, never from a network here."""

import gzip
import struct
import tracemalloc
from urllib.error import URLError

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from torchvision import datasets

from diabolo.data.vision import torchvision_images
from diabolo.errors import UserError
from support import CONF, write_idx, write_mnist

DRAW = np.random.default_rng(0)


def load(name, root, **changes):
    """The splits that `data=<name>` reads below `root`."""
    config = OmegaConf.to_container(OmegaConf.load(CONF / "data" / f"{name}.yaml"))
    arguments = {k: v for k, v in config["source"].items() if not k.startswith("_")}
    return torchvision_images(root=str(root), **{"image_shape": config["image_shape"], **arguments, **changes})


def idx_pixels(root, name, prefix):
    content = (root / name / "raw" / f"{prefix}-images-idx3-ubyte").read_bytes()
    return np.frombuffer(content, np.uint8, offset=16).reshape(-1, 1, 28, 28)


@pytest.fixture
def no_network(monkeypatch):
    """Whoever asks for a download is told that there is no network; gives the list of who asked."""
    asked = []

    def refuse(url, *_, **__):
        asked.append(url)
        raise URLError("no route to host")

    monkeypatch.setattr("torchvision.datasets.utils.urlretrieve", refuse, raising=False)
    monkeypatch.setattr("urllib.request.urlopen", refuse)
    return asked


@pytest.mark.parametrize(
    ("name", "folder"), [("mnist", "MNIST"), ("fashion_mnist", "FashionMNIST"), ("kmnist", "KMNIST")]
)
def test_a_local_copy_is_read_to_the_pixel_without_a_download(name, folder, tmp_path, no_network):
    write_mnist(tmp_path, names=[folder])
    train, test, *_ = load(name, tmp_path)
    assert np.array_equal(train.pixels, idx_pixels(tmp_path, folder, "train"))
    assert np.array_equal(test.pixels, idx_pixels(tmp_path, folder, "t10k"))
    assert train.labels.tolist() == [i % 10 for i in range(64)]
    assert test.labels.tolist() == [i % 10 for i in range(32)]
    assert no_network == []


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "kmnist", "emnist", "cifar10", "svhn"])
def test_missing_data_without_a_network_is_one_sentence_that_offers_a_way_out(name, tmp_path, no_network):
    with pytest.raises(UserError, match=r"and downloading it failed") as failed:
        load(name, tmp_path / "data")
    sentence = str(failed.value)
    assert no_network, "it must have tried"
    assert "\n" not in sentence
    assert str(tmp_path / "data") in sentence
    assert "data.root=" in sentence
    assert "data=digits" in sentence


def test_missing_data_with_downloads_forbidden_asks_nobody(tmp_path, no_network):
    with pytest.raises(UserError, match=r"`data.source.download` is false.*data.root=.*data=digits"):
        load("mnist", tmp_path, download=False)
    assert no_network == []


@pytest.mark.parametrize("kept", [0, 3, 11, 16, 5_000, 64 * 784 + 15])
def test_a_truncated_file_is_named_with_both_lengths(kept, mnist_root, no_network):
    path = mnist_root / "MNIST" / "raw" / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(UserError, match="remove it or replace it") as failed:
        load("mnist", mnist_root)
    sentence = str(failed.value)
    assert str(path) in sentence
    assert "\n" not in sentence
    if kept >= 16:
        assert f"{kept:,} bytes where its header promises {64 * 784 + 16:,}" in sentence
    else:
        assert "no readable header" in sentence
    assert no_network == []


def test_packed_files_are_unpacked_or_named_when_cut(mnist_root, no_network):
    raw = mnist_root / "MNIST" / "raw"
    pixels = idx_pixels(mnist_root, "MNIST", "train")
    path = raw / "t10k-labels-idx1-ubyte"
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(UserError, match=r"t10k-labels.* 41 bytes where its header promises 40"):
        load("mnist", mnist_root)
    path.write_bytes(path.read_bytes()[:-1])
    (raw / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(b"not what is read")[:5])
    assert np.array_equal(load("mnist", mnist_root).train.pixels, pixels)


def fake(monkeypatch, name, part_of):
    """Replaces a class of torchvision by one whose instances are `part_of(arguments)`."""

    def cls(root, download, **arguments):
        assert not download
        return part_of(arguments)

    monkeypatch.setattr(datasets, name, cls)


class Part:
    """What torchvision's classes give: `data` and `targets` or `labels`."""

    def __init__(self, data, **labels):
        self.data = data
        self.__dict__.update(labels)


def test_emnist_is_turned_upright(monkeypatch, tmp_path):
    pixels = torch.tensor(DRAW.integers(0, 256, (4, 28, 28), dtype=np.uint8))
    fake(monkeypatch, "EMNIST", lambda _: Part(pixels, targets=torch.arange(4)))
    train = load("emnist", tmp_path).train
    for upright, stored in zip(train.pixels[:, 0], pixels, strict=True):
        assert torch.equal(upright, stored.T)


def test_cifar10_has_its_channels_last_and_svhn_first(monkeypatch, tmp_path):
    pixels = DRAW.integers(0, 256, (6, 3, 32, 32), dtype=np.uint8)
    labels = [3, 1, 4, 1, 5, 9]
    fake(monkeypatch, "CIFAR10", lambda _: Part(pixels.transpose(0, 2, 3, 1), targets=labels))
    fake(monkeypatch, "SVHN", lambda _: Part(pixels, labels=np.array(labels)))
    for name in ("cifar10", "svhn"):
        train = load(name, tmp_path).train
        assert np.array_equal(train.pixels, pixels)
        assert train.labels.tolist() == labels
        assert train.labels.dtype == torch.int64


def test_each_part_is_asked_for_by_the_yamls_arguments(monkeypatch, tmp_path):
    ones = np.ones((2, 3, 32, 32), dtype=np.uint8)
    fake(monkeypatch, "SVHN", lambda arguments: Part(ones * {"train": 7, "test": 9}[arguments["split"]], labels=[0, 1]))
    train, test, *_ = load("svhn", tmp_path)
    assert (int(train.pixels[0, 0, 0, 0]), int(test.pixels[0, 0, 0, 0])) == (7, 9)


def test_colour_data_can_be_asked_for_in_grey_and_another_size(monkeypatch, tmp_path):
    red = np.zeros((2, 32, 32, 3), dtype=np.uint8)
    red[..., 0] = 200
    fake(monkeypatch, "CIFAR10", lambda _: Part(red, targets=[0, 1]))
    train = load("cifar10", tmp_path, image_shape=(1, 16, 20)).train
    assert train.pixels.shape == (2, 1, 16, 20)
    assert train.pixels.unique().tolist() == [60]  # .299 * 200


def test_the_command_ends_with_that_sentence_and_code_2(diabolo, tiny, no_network, tmp_path):
    ended = diabolo("train", *tiny, "data=mnist", f"data.root={tmp_path / 'nowhere'}")
    assert ended.code == 2
    (line,) = ended.err.strip().splitlines()
    assert line.startswith("diabolo: there is no MNIST in `data.root`")


@pytest.mark.parametrize("labels", [63, 65])
def test_fewer_or_more_labels_than_images_are_one_sentence(labels, tmp_path, no_network):
    write_mnist(tmp_path)
    write_idx(tmp_path / "MNIST" / "raw" / "train-labels-idx1-ubyte", np.zeros(labels))
    with pytest.raises(UserError, match=rf"MNIST in `data.root` .* has 64 images and {labels} labels in one of its"):
        load("mnist", tmp_path)


def test_images_of_one_pixel_are_read_as_plain_ones(tmp_path, no_network):
    write_mnist(tmp_path)
    values = DRAW.integers(0, 256, (64, 1, 1))
    write_idx(tmp_path / "MNIST" / "raw" / "train-images-idx3-ubyte", values)
    train = load("mnist", tmp_path).train
    assert torch.equal(train.pixels, torch.tensor(values).byte()[:, None].expand(-1, 1, 28, 28))


def test_a_small_file_that_unpacks_to_gigabytes_is_not_unpacked(tmp_path, no_network):
    """Beside a cut file, which makes torchvision fail, and has all files looked at."""
    raw = write_mnist(tmp_path) / "MNIST" / "raw"
    cut = raw / "train-images-idx3-ubyte"
    cut.write_bytes(cut.read_bytes()[:-100])
    bomb = raw / "a-images-idx3-ubyte.gz"
    with gzip.open(bomb, "wb", compresslevel=1) as file:
        file.write(struct.pack(">BBBB3I", 0, 0, 8, 3, 10, 28, 28))
        for _ in range(256):
            file.write(bytes(1 << 20))
    tracemalloc.start()
    with pytest.raises(UserError, match=r"a-images-idx3-ubyte.gz is truncated or padded: more than 7,856 bytes where"):
        load("mnist", tmp_path)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 32 << 20


def test_a_compressed_file_of_the_right_length_is_not_blamed(tmp_path, no_network):
    raw = write_mnist(tmp_path) / "MNIST" / "raw"
    whole = raw / "t10k-images-idx3-ubyte"
    (raw / "a-images-idx3-ubyte.gz").write_bytes(gzip.compress(whole.read_bytes()))
    (raw / "b-images-idx3-ubyte.gz").write_bytes(gzip.compress(whole.read_bytes())[:-200])
    whole.write_bytes(whole.read_bytes()[:-100])
    with pytest.raises(UserError, match=r"b-images-idx3-ubyte.gz has no readable header"):
        load("mnist", tmp_path)
    (raw / "b-images-idx3-ubyte.gz").unlink()
    with pytest.raises(UserError, match=r"t10k-images-idx3-ubyte is truncated or padded: 25,004 bytes where"):
        load("mnist", tmp_path)


def test_a_data_set_that_torchvision_does_not_have_is_one_sentence(tmp_path, no_network):
    with pytest.raises(UserError, match=r"`data.source.dataset` \(= 'MINST'\) is no class .* \(did you mean 'MNIST'"):
        load("mnist", tmp_path, dataset="MINST")
