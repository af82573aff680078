"""A run with an augmentation: which images change, what the loss compares with, and that nothing but seed, epoch and
image decides what an image becomes."""

import re
import signal
import textwrap

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from diabolo.data.chance import seen_in
from diabolo.data.corruptions import Masking
from diabolo.errors import UserError
from diabolo.runs.build import build_module
from diabolo.runs.config import compose_config
from diabolo.runs.folder import RunFolder
from diabolo.runs.loading import load
from diabolo.runs.train import resume
from diabolo.training.autoencoder_module import AutoencoderModule
from diabolo.training.classifier_module import ClassifierModule
from diabolo.training.learner import Learner
from stopping import BARE, assert_same, stop
from support import CONF, TINY, drawn, opened_data, tiles, unnamed

AUGMENTED = (*BARE, "augmentation=[flip,shift,crop,rotate,photometric]")
SHORT = (*AUGMENTED, "trainer.max_epochs=2")


@pytest.fixture
def stepped(monkeypatch, trained):
    """Trains, and returns the images of each step."""

    def run(*overrides: str) -> list[torch.Tensor]:
        seen: list[torch.Tensor] = []
        for module in (AutoencoderModule, ClassifierModule):

            def noting(self, images, labels, loss=module.training_loss):
                seen.append(images.clone())
                return loss(self, images, labels)

            monkeypatch.setattr(module, "training_loss", noting)
        trained(*overrides)
        monkeypatch.undo()
        return seen

    return run


def expected(overrides: tuple[str, ...]) -> list[torch.Tensor]:
    """The images of each step, from the order that the sampler draws and the augmentation alone."""
    config = compose_config(overrides)
    data, augmentation = opened_data(config), build_module(config).augmentation
    order, steps = data.train_dataloader().order, []
    for epoch in range(config.trainer.max_epochs):
        order.set_epoch(epoch)
        for indices in order.indices().split(config.data.batch_size):
            images = data.images("train", indices)
            steps.append(augmentation(images, seen_in(config.seed, epoch, indices)) if augmentation else images)
    return steps


def assert_equal(ours: list[torch.Tensor], theirs: list[torch.Tensor]) -> None:
    assert len(ours) == len(theirs)
    assert all(torch.equal(*pair) for pair in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("more", [(), ("seed=3",), ("data.batch_size=20",), ("data.block=2",), ("data.block=null",)])
def test_each_step_gets_its_images_as_seed_epoch_and_image_say(stepped, more):
    overrides = (*SHORT, *more)
    ours = stepped(*overrides)
    assert_equal(ours, expected(overrides))
    assert not torch.equal(ours[0].sum(0), ours[len(ours) // 2].sum(0)), "another order, and other changes"


def test_a_classifier_learns_from_augmented_images(stepped):
    overrides = (
        "task=classify",
        "bottleneck.activation=null",
        *SHORT,
        "bottleneck.size=10",
        "trainer.monitor=val/loss",
    )
    assert_equal(stepped(*overrides), expected(overrides))


@pytest.mark.parametrize("workers", [0, 2])
def test_streamed_images_are_changed_as_those_in_memory(stepped, workers, tmp_path):
    for i, pixels in enumerate(np.random.default_rng(0).integers(0, 256, (70, 8, 8), dtype=np.uint8)):
        Image.fromarray(pixels).save(tmp_path / f"{i:02}.png")
    folder = (*SHORT, "data=folder", f"data.root={tmp_path}", "data.limit=50")
    streamed = stepped(*folder, "data.source.memory_limit=0", f"data.num_workers={workers}")
    assert_equal(streamed, expected(folder))


@pytest.mark.filterwarnings("ignore:Checkpoint directory .* is not empty")
@pytest.mark.parametrize("step", [4, 6])
def test_a_run_stopped_within_an_epoch_goes_on_as_if_it_had_not_been(monkeypatch, trained, tmp_path, step):
    run = RunFolder(tmp_path / "run")
    assert stop(monkeypatch, run, AUGMENTED, step) == 128 + signal.SIGTERM
    resume(run.path)
    assert_same(run, trained(*AUGMENTED))


OWN = """
    import torch
    import torch.distributed as dist

    class Quarter:
        '''Turns each image by 0 to 3 quarters, and keeps what has become of it.'''

        def __init__(self, file: str) -> None:
            self.file, self.kept = file, {}

        def __call__(self, images, chance):
            quarters = (4 * chance.uniform()).long().tolist()
            turned = torch.stack([torch.rot90(x, k, (1, 2)) for x, k in zip(images, quarters)])
            self.kept |= dict(zip(chance.seeds.tolist(), turned))
            torch.save(self.kept, f"{self.file}.{dist.get_rank() if dist.is_initialized() else 0}")
            return turned
"""
YAML = "quarter: {_target_: own_quarter.Quarter, file: kept}\n"


@pytest.fixture
def own(tmp_path):
    """A folder with an augmentation of one's own: one file and one yaml."""
    (tmp_path / "own_quarter.py").write_text(textwrap.dedent(OWN))
    (tmp_path / "myconf" / "augmentation").mkdir(parents=True)
    (tmp_path / "myconf" / "augmentation" / "quarter.yaml").write_text(YAML)
    return tmp_path


def test_an_augmentation_of_ones_own_is_one_file_and_one_yaml(own, diabolo):
    ended = diabolo("train", "--config-dir", "myconf", *SHORT, "augmentation=[flip,quarter]", "hydra.run.dir=run")
    assert ended.code == 0, ended.err
    kept = torch.load(own / "kept.0", weights_only=True)
    images = opened_data(compose_config(SHORT)).images("train").float() / 255
    assert len(kept) == 2 * len(images), "each in each of two epochs"
    pixels = {tuple(image.flatten().sort().values.tolist()) for image in images}
    assert {tuple(image.flatten().sort().values.tolist()) for image in kept.values()} == pixels
    known = {image.numpy().tobytes() for image in images}
    turned = sum(image.numpy().tobytes() not in known for image in kept.values())
    assert 0.75 < turned / len(kept) < 1  # of eight ways to lie one is the image's own


def test_the_augmentation_that_the_page_writes_turns_images_by_quarters():
    """What conf/README.md says of one's own, as it stands there."""
    page = (CONF / "README.md").read_text().split("\n### augmentation\n")[1].split("\n### ")[0]
    blocks = re.findall(r"^```(?:python|yaml)\n# (\S+)\n(.*?)^```", page, re.M | re.S)
    assert [name for name, _ in blocks] == ["mine.py", "myconf/augmentation/quarter.yaml"]
    namespace: dict = {}
    exec(blocks[0][1], namespace)
    images, chance = torch.rand(200, 3, 6, 6), seen_in(0, 0, torch.arange(200))
    turned = namespace["Quarter"]()(images, chance)
    quarters = (4 * seen_in(0, 0, torch.arange(200)).uniform()).long().tolist()
    assert set(quarters) == {0, 1, 2, 3}
    assert_equal(list(turned), [torch.rot90(image, k, (1, 2)) for image, k in zip(images, quarters, strict=True)])
    assert yaml.safe_load(blocks[1][1]) == {"quarter": {"_target_": "mine.Quarter"}}


@pytest.mark.slow
def test_two_processes_change_each_image_as_one_does(own, process):
    words = ("--config-dir", "myconf", *SHORT, "augmentation=[crop,flip,photometric,quarter]")
    for more in (
        ("hydra.run.dir=one",),
        ("trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "hydra.run.dir=two"),
    ):
        ended = process("train", *words, *more)
        _, err = ended.communicate(timeout=600)
        assert ended.returncode == 0, err
        if "hydra.run.dir=one" in more:
            alone = torch.load(own / "kept.0", weights_only=True)
    first, second = (torch.load(own / f"kept.{rank}", weights_only=True) for rank in range(2))
    both = first | second
    assert set(both) == set(alone)
    assert len(first) < len(alone) > len(second)
    assert all(torch.equal(both[image], alone[image]) for image in alone)


def test_the_loss_compares_with_the_augmented_image_and_a_corruption_comes_after(stepped, monkeypatch):
    corrupted: list[torch.Tensor] = []
    forward = Masking.forward
    monkeypatch.setattr(Masking, "forward", lambda self, images: forward(self, corrupted.append(images) or images))
    ours = stepped(*SHORT, "corruption=masking")
    assert_equal(ours, expected(SHORT))
    assert_equal(corrupted, ours)
    module = build_module(compose_config((*SHORT, "corruption=masking")))
    torch.manual_seed(0)
    loss = module.training_loss(ours[0], torch.zeros(len(ours[0])))
    torch.manual_seed(0)
    restored = module.reconstruct(module.corruption(ours[0]))
    assert loss.item() == pytest.approx((restored - ours[0]).square().mean().item(), rel=1e-5)


def test_validation_test_and_pca_are_those_of_clean_images(trained):
    run = trained(*TINY, "augmentation=[flip,crop]", "callbacks.projector=null", "callbacks.interpolation=null")
    plain = trained(*TINY, "callbacks.projector=null", "callbacks.interpolation=null")
    model, data, metrics = load(run.path), opened_data(run.config()), run.metrics()
    for split in ("val", "test"):
        images = data.images(split)
        with torch.no_grad():
            error = (model.reconstruct(images) - images.float() / 255).square().mean()
        assert metrics[f"{split}/mse"] == pytest.approx(error.item(), rel=1e-5)
        assert metrics[f"{split}/pca_mse"] == plain.metrics()[f"{split}/pca_mse"]
    assert metrics["train/loss"] != plain.metrics()["train/loss"]


def test_without_an_augmentation_nothing_is_made_of_indices(stepped, monkeypatch):
    monkeypatch.setattr(Learner, "_indices", lambda *_: pytest.fail("made indices"))
    monkeypatch.setattr("diabolo.training.learner.seen_in", lambda *_: pytest.fail("made numbers"))
    assert_equal(stepped(*BARE), expected(BARE))
    assert build_module(compose_config(BARE)).augmentation is None
    assert build_module(compose_config((*BARE, "augmentation=flip", "augmentation.flip=null"))).augmentation is None


def test_the_picture_shows_training_images_as_the_first_epochs_see_them(trained):
    run = trained(*TINY, "augmentation=[flip,shift]", "callbacks.augmented.epochs=3", "seed=5")
    config = run.config()
    data, augmentation = opened_data(config), build_module(config).augmentation
    picture = unnamed(drawn(run.path, "augmented")[0], 10)
    images = data.images("train", range(10))
    assert np.array_equal(tiles(picture, 0, 10)[:, :1], images.numpy())
    for epoch in range(3):
        changed = augmentation(images, seen_in(5, epoch, torch.arange(10)))
        assert np.array_equal(tiles(picture, epoch + 1, 10)[:, :1], (changed * 255).round().byte().numpy())
    assert picture.shape[0] == 4 * 58 - 2
    assert not (trained(*TINY).path / "pictures" / "augmented").exists()


def test_a_task_that_takes_none_is_told():
    with pytest.raises(UserError, match=r"`augmentation` has no place in `task` \(extensions\.Takes\)"):
        build_module(compose_config((*BARE, "augmentation=flip", "task._target_=extensions.Takes", "+task.more=5")))


def test_what_is_no_function_is_refused():
    with pytest.raises(UserError, match=r"`augmentation\.odd\._target_` \(= 'os\.getcwd'\) must make something"):
        build_module(compose_config((*BARE, "+augmentation.odd._target_=os.getcwd")))


def test_the_message_names_the_whole_key():
    with pytest.raises(UserError, match=r"`augmentation\.shift\.padding` \(= 'wrap'\) must be one of"):
        compose_config((*BARE, "augmentation=shift", "augmentation.shift.padding=wrap"))
