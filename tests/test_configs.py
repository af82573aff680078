"""Every yaml below conf/, found on the disk, composes as GROUP=NAME and trains a step."""

import inspect
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
import torch
from hydra.utils import get_method
from lightning import seed_everything
from omegaconf import OmegaConf
from PIL import Image

from diabolo.data.shards import write_shards
from diabolo.runs.build import build_module
from diabolo.runs.config import compose_config
from diabolo.runs.folder import RunFolder
from diabolo.runs.loading import load
from support import CONF, photograph_parts, write_cifar10, write_mnist, write_photographs

YAMLS = sorted(path.relative_to(CONF).with_suffix("").as_posix().split("/") for path in CONF.glob("*/*.yaml"))
ONE_STEP = (
    "model.channels=[4,8]",
    "model.hidden=[16]",
    "data.batch_size=64",
    "data.val_fraction=0.2",
    "trainer.max_epochs=1",
    "trainer.accelerator=cpu",
    "callbacks=none",
    "logger=none",
)
OF_THEIR_OWN = {"data", "experiment", "trainer"}  # groups whose yamls need more than GROUP=NAME; see below
NEEDS = {  # what a yaml asks of the other groups
    ("callbacks", "classify"): ("task=classify",),
    ("decoder", "fc_tied"): ("encoder=fc",),
    ("callbacks", "generation"): ("callbacks.generation.features=CLASSIFIER",),
    ("bottleneck", "importance"): ("loss.reduction=sum",),
    ("penalty", "total_correlation"): ("bottleneck=variational",),
    ("penalty", "dip"): ("bottleneck=variational",),
    ("callbacks", "truncation"): ("bottleneck=nested",),
    ("callbacks", "denoising"): ("corruption=gaussian",),
    ("callbacks", "super_resolution"): ("corruption=downsample",),
    ("callbacks", "inpainting"): ("corruption=block",),
    ("callbacks", "anomaly"): ("data.exclude_classes=[8]",),
    **{("metrics", name): ("data.image_shape=[1,16,16]",) for name in ("haarpsi", "perceptual")},
    **{("data", name): ("data.root=.",) for name in ("folder", "arrays", "hdf5", "table", "shards")},
}
WRITTEN = ("MNIST", "FashionMNIST", "KMNIST")  # whose files are simple enough to write


def names(group: str) -> list[str]:
    return [name for found, name in YAMLS if found == group]


def test_each_group_of_the_root_has_a_folder_and_each_folder_is_a_group():
    (root,) = (path for path in CONF.glob("*.yaml"))
    groups = {name for entry in OmegaConf.load(root).defaults if entry != "_self_" for name in entry if " " not in name}
    assert groups == {group for group, _ in YAMLS}


@pytest.mark.parametrize(("group", "name"), [pair for pair in YAMLS if pair[0] not in OF_THEIR_OWN])
def test_a_choice_of_a_group_trains_a_step(trained, group, name):
    needs = NEEDS.get((group, name), ())
    if any("CLASSIFIER" in need for need in needs):
        classifier = one_step(trained, "task=classify", "callbacks=none", "model=fc", "data.limit=40").path
        needs = [need.replace("CLASSIFIER", str(classifier)) for need in needs]
    run = one_step(trained, *needs, f"{group}={name}", "data.limit=40")
    own = OmegaConf.load(CONF / group / f"{name}.yaml")
    if "_target_" in own:
        assert run.config()[group]._target_ == own._target_
    elif group in ("augmentation", "callbacks", "corruption", "logger", "scheduler"):
        assert set(run.config().get(group) or {}) == set(own)


@pytest.mark.parametrize("name", names("data"))
def test_data_train_a_step(trained, name, tmp_path, monkeypatch):
    source = OmegaConf.load(CONF / "data" / f"{name}.yaml").source
    if (dataset := source.get("dataset")) in WRITTEN:
        write_mnist(tmp_path, names=[dataset])
    elif dataset:
        monkeypatch.setattr(f"torchvision.datasets.{dataset}", made_set)
    root = tmp_path if dataset else write_as(name, tmp_path)
    one_step(trained, f"data={name}", f"data.root={root}", "data.limit=40", "data.image_shape=[1,16,16]")


def write_as(name: str, folder: Path) -> Path:
    """Writes 40 random images as a data source reads them, and returns its `root`."""
    images = np.random.default_rng(0).integers(0, 256, (40, 30, 20, 3), dtype=np.uint8)
    if name == "arrays":
        np.save(folder / "images.npy", images)
        return folder / "images.npy"
    if name == "hdf5":
        with h5py.File(folder / "images.h5", "w") as file:
            file["images"] = images
        return folder / "images.h5"
    for i, pixels in enumerate(images):
        Image.fromarray(pixels).save(folder / f"{i}.png")
    if name == "table":
        (folder / "table.csv").write_text("path\n" + "".join(f"{i}.png\n" for i in range(40)))
        return folder / "table.csv"
    if name == "shards":
        write_shards(str(folder), str(folder / "shards"))
        return folder / "shards"
    return folder


@pytest.mark.parametrize("name", names("experiment"))
def test_an_experiment_trains_a_step_with_its_own_values(trained, name, mnist_root, any_cifar10, tmp_path):
    own = OmegaConf.load(CONF / "experiment" / f"{name}.yaml")
    small = ("data.batch_size=64", "trainer.max_epochs=1", "trainer.accelerator=cpu")
    root = write_photographs(tmp_path / "photographs", 24) if name.startswith("colour") else mnist_root
    root = write_cifar10(tmp_path / "cifar", photograph_parts(32), test=8) if name.startswith("cifar") else root
    config = one_step(trained, f"experiment={name}", f"data.root={root}", own=small).config()
    for group in ("model", "bottleneck", "optimizer", "callbacks"):
        if group in own:
            assert OmegaConf.merge(config[group], own[group]) == config[group]


@pytest.mark.parametrize("name", [n for n in names("trainer") if n != "ddp"])  # test_resume.py starts its processes
def test_a_trainer_trains_a_step_or_says_what_it_lacks(trained, diabolo, name, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    if name != "gpu":
        one_step(trained, f"trainer={name}", "data.limit=40")
        return
    ended = diabolo("train", f"trainer={name}")
    assert ended.code == 2
    assert ended.err.startswith("diabolo: `trainer.accelerator` is gpu, but torch sees no GPU here")


def one_step(trained, *overrides: str, own: tuple[str, ...] = ONE_STEP) -> RunFolder:
    """Runs the overrides, checks that they made one step that changed the weights, and returns the run."""
    run = trained(*own, *overrides)
    metrics = run.metrics()
    assert metrics["steps"] == 1
    assert np.isfinite([metrics["train/loss"], metrics["test/loss"]]).all()
    seed_everything(run.config().seed, verbose=False)
    before, after = (dict(module.trained().named_children()) for module in (build_module(run.config()), load(run.path)))
    for part in {"encoder", "decoder"} & set(after):
        weights = zip(before[part].parameters(), after[part].parameters(), strict=True)
        assert not all(torch.equal(*pair) for pair in weights)
    return run


def made_set(root: str, download: bool, **arguments) -> SimpleNamespace:
    """What torchvision's classes of colour images look like from outside, with 40 random images."""
    images = np.random.default_rng(0).integers(0, 256, (40, 32, 32, 3), dtype=np.uint8)
    return SimpleNamespace(data=images, targets=[i % 10 for i in range(40)])


PAIRS = {("encoder", "pooled"): "conv_upsample", ("encoder", "conv"): "conv_transpose"}  # of others: model=NAME
UNEQUAL = {  # defaults that a class has for use in Python, and a yaml another value
    "diabolo.data.ImageData(root)",  # a source made in Python may need no folder
    "diabolo.data.torchvision_images(transpose)",  # EMNIST alone lies on its side
}  # fmt: skip


@pytest.mark.parametrize(("group", "name"), [pair for pair in YAMLS if pair[0] not in ("experiment", "model")])
def test_a_default_in_python_is_that_of_the_yaml(group, name):
    """The yaml is the one place for a default; where a class has one too, for use in Python, it is the same."""
    model = PAIRS.get((group, name), name)
    paired = group in ("encoder", "decoder") and (CONF / "model" / f"{model}.yaml").exists()
    pair = (f"model={model}",) if paired else ()
    needs = (*pair, *NEEDS.get((group, name), ()))
    config = compose_config((f"callbacks=[{name}]" if group == "callbacks" else f"{group}={name}", *needs))
    path = CONF / group / f"{name}.yaml"
    own = OmegaConf.load(path)
    if group == "data":
        own = OmegaConf.merge(OmegaConf.load(CONF / "train.yaml").data, own)
    differing = {}
    package = () if path.read_text().startswith("# @package _global_") else (group,)
    for at, node in classes(OmegaConf.to_container(own), package):
        composed = OmegaConf.select(config, ".".join(at))
        for argument, parameter in inspect.signature(get_method(node["_target_"])).parameters.items():
            if argument in composed and parameter.default is not parameter.empty and not is_shared(node, argument):
                value = composed[argument]
                value = OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
                default = list(parameter.default) if isinstance(parameter.default, tuple) else parameter.default
                if default != value and f"{node['_target_']}({argument})" not in UNEQUAL:
                    differing[f"{node['_target_']}({argument})"] = (default, value)
    assert not differing, "argument: (in Python, in the yaml)"


def classes(node: object, at: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], dict]]:
    """Nodes that name a class of diabolo's, with where they stand."""
    if isinstance(node, dict):
        if str(node.get("_target_", "")).startswith("diabolo."):
            yield at, node
        for key, value in node.items():
            yield from classes(value, (*at, key))


def is_shared(node: dict, argument: str) -> bool:
    """Whether the user or another group has the value: that of `model` is the class's own, which the pair has set."""
    said = str(node.get(argument))
    return said == "???" or ("${" in said and "${model." not in said)
