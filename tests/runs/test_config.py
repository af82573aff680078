"""Keys that nothing reads are refused; those of one's own that something reads are not."""

from pathlib import Path

import pytest

from diabolo.errors import UserError
from diabolo.runs import config
from diabolo.runs.config import compose_config, run_name
from support import TINY


@pytest.mark.parametrize(("override", "sentence"), [
    ("+foo=3", "nothing reads the key `foo`"),
    ("+sed=3", "nothing reads the key `sed` (did you mean 'seed'?)"),
    ("+foo.bar=3", "nothing reads the key `foo`"),
    ("+model.foo=3", "nothing reads the key `model.foo`"),
    ("+model.chanels=[4]", "nothing reads the key `model.chanels` (did you mean 'model.channels'?)"),
    ("+callbacks.mine=5", "`callbacks.mine` (= 5) must be a callback"),
    ("+callbacks.mine.x=5", "`callbacks.mine` (= {'x': 5}) must be a callback"),
    ("callbacks.codes=banana", "`callbacks.codes` (= 'banana') must be a callback, with a class as its _target_"),
    ("callbacks.codes=false", "`callbacks.codes` (= False) must be a callback, with a class as its _target_, or null"),
    ("callbacks.codes=1", "`callbacks.codes` (= 1) must be a callback"),
])  # fmt: skip
def test_a_key_that_nothing_reads_is_refused_and_leaves_nothing(diabolo, tmp_path, override, sentence):
    with pytest.raises(UserError) as refused:
        compose_config([override])
    assert sentence in str(refused.value)
    for command in ("train", "inspect"):
        ended = diabolo(command, *TINY, override)
        assert (ended.code, len(ended.err.splitlines())) == (2, 1)
        assert sentence in ended.err
    assert not list(tmp_path.rglob("*.yaml"))


LIGHTNINGS = "+callbacks.mine={_target_:lightning.pytorch.callbacks.%s}"


@pytest.mark.parametrize(("override", "sentence"), [
    ("+trainer.folder=3", "nothing reads the key `trainer.folder` (= 3): leave it out."),
    ("+trainer.callbacks=3", "nothing reads the key `trainer.callbacks` (= 3)"),
    ("+trainer.foo=3", "foo"),
    ("+data.seed=7", "nothing reads the key `data.seed` (= 7)"),
    (LIGHTNINGS % "ModelCheckpoint", "two callbacks note, each a ModelCheckpoint"),
    (LIGHTNINGS % "BatchSizeFinder", "`callbacks.mine` (= 'BatchSizeFinder') must not change what the config says"),
    (LIGHTNINGS % "LearningRateFinder", "sweep data.batch_size or optimizer.lr instead"),
])  # fmt: skip
def test_what_the_program_itself_decides_is_refused_and_leaves_nothing(diabolo, tmp_path, override, sentence):
    ended = diabolo("train", *TINY, override)
    assert (ended.code, len(ended.err.splitlines())) == (2, 1)
    assert sentence in ended.err
    assert list(tmp_path.iterdir()) == []


def test_a_key_that_another_refers_to_is_read():
    config = compose_config(["+mine.size=3", "bottleneck.size=${mine.size}", "+model.depth=2", "seed=${model.depth}"])
    assert (config.bottleneck.size, config.seed) == (3, 2)


def test_an_experiment_may_set_something_of_a_callback_that_is_left_out():
    assert (
        "pairs" in compose_config(["callbacks=none", "+callbacks.interpolation.pairs=[[0,1]]"]).callbacks.interpolation
    )


@pytest.mark.parametrize(
    ("key", "what"),
    [*((part, "a torch.nn.Module") for part in ("encoder", "decoder")), ("bottleneck", "a module with size"),
     *((part, "something that can be called") for part in ("loss", "corruption", "penalty")),
     ("data", "a LightningDataModule"), ("trainer", "a Trainer"), ("logger", "a Logger"), ("task", "a Learner"),
     ("callbacks.codes", "a Callback"), ("callbacks.mine", "a Callback")],
)  # fmt: skip
def test_what_makes_no_such_part_is_refused(diabolo, key, what):
    ended = diabolo("train", *TINY, f"++{key}={{_target_:collections.OrderedDict}}")
    assert (ended.code, len(ended.err.splitlines())) == (2, 1)
    assert f"`{key}._target_` (= 'collections.OrderedDict') must make {what}" in ended.err
    assert not list(Path().rglob("state.json"))


def test_a_source_that_gives_no_images_is_refused(diabolo):
    ended = diabolo("train", *TINY, "++data.source={_target_:collections.OrderedDict}")
    assert ended.code == 2
    assert "data.source: str is given where images are asked for" in ended.err


RESERVED = {"con", "prn", "aux", "nul", *(f"{name}{digit}" for name in ("com", "lpt") for digit in range(10))}
SAYINGS = (
    ["bottleneck.size=5", "loss=mse,mae"], ["logger=c:\\d|e?", "seed=1"], ["optimizer.lr=1."], ["+note='a<b>: \"c*\"'"],
    ["+note=con"], ["+note='ends with a space '"], ["+note='tab\tand\nline'"], ["+note=Größe/名前"], ["+note=..."], [],
    ["+note=" + "long" * 90], ["model.hidden=[" + ",".join(map(str, range(200))) + "]"],
)  # fmt: skip


@pytest.mark.parametrize("longest", [50, 120])
@pytest.mark.parametrize("overrides", SAYINGS, ids=lambda overrides: "_".join(overrides)[:30])
def test_the_name_of_a_folder_is_legal_on_every_system(monkeypatch, overrides, longest):
    monkeypatch.setattr(config, "LONGEST_NAME", longest)
    name = run_name(overrides)
    assert not set(name) & set('<>:"/\\|?*')
    assert name.isprintable()
    assert name == name.rstrip(" .") != ""
    assert name.lower().partition(".")[0] not in RESERVED
    assert len(name) <= longest + 9


def test_the_longest_path_of_a_sweep_fits_into_what_windows_allows():
    home, name, host = r"C:\Users\firstname.lastname\Documents\diabolo", "n" * 59, "h" * 15
    files = [f"tensorboard\\events.out.tfevents.1764300000.{host}.12345.0", r"checkpoints\.last.ckpt.12345",
             r"pictures\latent_interpolation\epoch_10000.png"]  # fmt: skip
    assert max(len("\\".join([home, "sweeps", name, name, file])) for file in files) < 260
