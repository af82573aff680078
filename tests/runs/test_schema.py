"""What each config key may hold: every key of conf/ has a check, and nonsense is one sentence."""

import subprocess
import sys
import time
from functools import cache

import pytest
from omegaconf import OmegaConf

from diabolo.callbacks.pictures import SPLITS
from diabolo.data import datamodule, decoding, files, pixels
from diabolo.errors import ConfigError, UserError
from diabolo.network import layers, upsampling
from diabolo.network.families import heads
from diabolo.runs.checks import COMPILE_MODES, PRECISIONS
from diabolo.runs.config import compose_config
from diabolo.runs.config_check import check_config, check_of
from diabolo.runs.folder import RunFolder
from diabolo.runs.identity import flat
from diabolo.runs.schema import SCHEMA
from diabolo.training import losses, trainer
from support import CONF, TINY

CHOICES = sorted(path.relative_to(CONF).with_suffix("").as_posix() for path in CONF.glob("*/*.yaml"))
OF_A_ROOT = ("folder", "arrays", "hdf5", "table", "shards")
NEEDS = {**{f"data/{name}": ("data.root=/somewhere",) for name in OF_A_ROOT}, "decoder/fc_tied": ("encoder=fc",)}
NEEDS |= {"callbacks/generation": ("callbacks.generation.features=/somewhere",)}
NEEDS |= {f"experiment/colour_{side}": ("data.root=/somewhere",) for side in (64, 128, 256)}


@cache
def composed(choice: str):
    group, _, name = choice.partition("/")
    value = f"[default,{name}]" if group == "callbacks" and name not in ("default", "none", "classify") else name
    return compose_config([f"{group}={value}", *NEEDS.get(choice, ())])


def inner(node: dict, prefix: str = "") -> list[str]:
    """All dotted keys of a plain config, inner nodes included."""
    return [
        found
        for key, value in node.items()
        for found in (f"{prefix}{key}", *(inner(value, f"{prefix}{key}.") if isinstance(value, dict) else ()))
    ]


@pytest.mark.parametrize("choice", CHOICES)
def test_every_key_of_conf_has_a_check_and_its_value_passes(choice):
    config = composed(choice)  # which checks the values
    unchecked = [key for key in inner(OmegaConf.to_container(config)) if check_of(key) is None]
    assert not unchecked, f"give each of these keys a check in SCHEMA (src/diabolo/runs/schema.py): {unchecked}"


def test_no_line_of_the_table_is_of_a_key_that_is_no_more():
    there = {key for choice in CHOICES for key in inner(OmegaConf.to_container(composed(choice)))} | {"rerun"}
    used = {id(check_of(key)) for key in there}
    shared = {
        "model",
        "encoder",
        "decoder",
        "loss.terms.*",
        "optimizer",
        "metrics.*",
    }  # whose arguments are one table for several classes
    strange = [k for k in SCHEMA if id(SCHEMA[k]) not in used and k.rpartition(".")[0] not in shared]
    assert not strange


def test_the_choices_are_those_of_the_classes():
    def options(key: str) -> tuple[str, ...]:
        with pytest.raises(ConfigError) as refused:
            check_of(key)(key, "banana")
        return tuple(refused.value.rule.removeprefix("must be one of ").split(" (")[0].split(", "))

    assert options("model.activation") == options("model.output") == tuple(layers.ACTIVATIONS)
    assert options("model.norm") == layers.NORMS
    assert options("model.init") == layers.INITS
    assert options("model.head") == heads.HEADS
    assert set(options("model.pool")) == set(upsampling.POOLS)
    assert set(options("model.upsample")) == set(upsampling.MODES)
    assert options("loss.reduction") == losses.REDUCTIONS
    assert options("data.source.fit") == decoding.FITS
    assert options("data.source.unreadable") == files.UNREADABLE
    assert options("data.depth") == tuple(pixels.TYPES)
    assert options("data.limit_by") == datamodule.LIMITED_BY
    assert options("callbacks.codes.split") == SPLITS
    assert (PRECISIONS, COMPILE_MODES) == (trainer.PRECISIONS, trainer.COMPILE_MODES)


REFUSED = {  # overrides -> the end of the sentence
    "seed=4294967296": "must be at most 4,294,967,295.",
    "seed=-1": "must be a whole number of at least 0.",
    "seed=true": "must be a whole number of at least 0.",
    "data.split_seed=1000000000000": "must be at most 4,294,967,295.",
    "optimizer.betas=[0.9]": "must be a list of two numbers, such as [0.9,0.999].",
    "optimizer.betas=[0.9,0.99,0.999]": "must be a list of two numbers, such as [0.9,0.999].",
    "optimizer.betas=[0.9,1]": "`optimizer.betas[1]` (= 1) must be below 1.",
    "optimizer=sgd optimizer.nesterov=banana": "`optimizer.nesterov` (= 'banana') must be true or false.",
    "optimizer=sgd optimizer.nesterov=yes": "`optimizer.nesterov` (= 'yes') must be true or false.",
    "optimizer=sgd optimizer.momentum=5": "must be below 1.",
    "optimizer.weight_decay=1e9": "must be at most 100.",
    "optimizer.fused=banana": "must be true or false.",
    "optimizer.lr=1e-300": "must be at least 1e-37.",
    "optimizer.lr=1e10": "must be at most 1,000,000,000.",
    "optimizer.lr=nan": "must be a number above 0.",
    "optimizer.lr=inf": "must be a finite number.",
    "scheduler=plateau scheduler.patience=text": "must be a whole number of at least 0.",
    "scheduler=plateau scheduler.patience=-5": "must be a whole number of at least 0.",
    "scheduler=plateau scheduler.factor=-1": "must lie between 0 and 1.",
    "scheduler=cosine scheduler.final=text": "must be a number of at least 0.",
    "scheduler=cosine scheduler.final=-1": "must be a number of at least 0.",
    "scheduler.rise=text": "must be a number above 0 and below 1.",
    "trainer.gradient_clip=1e-300": "must be at least 1e-37.",
    "bottleneck=noisy bottleneck.noise=1e30": "must be at most 1,000.",
    "bottleneck=nested bottleneck.power=nan": "must be a number from -100 to 100.",
    "loss=ssim loss.channels=0": "must be a whole number of at least 1.",
    "optimizer=sgd optimizer.momentum=0": "must be above 0 for Nesterov's momentum, or set optimizer.nesterov=false.",
    "optimizer=sgd +optimizer.dampening=0.1": "must be 0 for Nesterov's momentum, or set optimizer.nesterov=false.",
    "+optimizer.foreach=true": "must be false, or set optimizer.fused=false: both are ways to step.",
    "optimizer=adamw +optimizer.differentiable=true": "must be false: it is for steps through which one differentiates",
    "+optimizer.amsgrad=banana": "must be true or false.",
    "+optimizer.eps=-1": "must be a number of at least 0.",
    "trainer.strategy=ddp_notebook": "must be one of auto, ddp, ddp_find_unused_parameters_true.",
    "logger.name=../beside": "must be a folder below the run's.",
    "logger.version=/elsewhere": "must be a folder below the run's.",
    "data.depth=uint32": "must be one of uint8, uint16, float32.",
    "data.value_range=4095": "must be two numbers, those of black and of white, such as [0,4095], or null.",
    "data.value_range=[1,0]": "must be two finite numbers, the larger one last.",
    "data.shown_channels=[1,2]": "must be one channel (grey) or three (red, green, blue), each from 0 to 4095.",
    "data.num_workers=100000": "must be at most 512.",
    "bottleneck=variational bottleneck.free_bits=1e308": "must be at most 1,000,000.",
    "encoder.frozen=banana": "`encoder.frozen` (= 'banana') must be true or false.",
    "data.batch_size=9223372036854775808": "must be at most 1,000,000.",
    "data.eval_batch_size=9223372036854775808": "must be at most 1,000,000.",
    "data.image_shape=[1,100000,8]": "must have sides of at most 8,192.",
    "data.mean=[]": "must be a number or a list of numbers.",
    "data.std=1e-30": "must be a number from 1e-06 to 1,000.",
    "trainer.threads=100000": "must be at most 1,024.",
    "callbacks.interpolation.random=1000000": "must be at most 1,000.",
    "callbacks.interpolation.pairs=[3]": "must be a list of pairs, such as [[0,1],[2,3]]; 3 is no pair.",
    "callbacks.codes.images=1000000000000": "must be at most 1,000,000.",
    "callbacks.codes.split=tset": "must be one of train, val, test.",
    "callbacks.reconstructions.images=[-1]": "`callbacks.reconstructions.images[0]` (= -1) must be a whole number",
    "callbacks.per_image.neighbours=-1": "must be a whole number of at least 0.",
    "data=folder data.root=x data.source.memory_limit=-1": "must be a whole number of at least 0.",
    "data.source=5": "`data.source` (= 5) must hold keys of its own, not one value.",
    "model.activation=rellu": "leaky_relu, elu, gelu, silu, tanh, sigmoid (did you mean 'relu'?).",
    "model=lenet model.kernel=[[3],[x]]": "`model.kernel[1][0]` (= 'x') must be a whole number of at least 1.",
    "loss=mix loss.terms.huber.delta=0": "`loss.terms.huber.delta` (= 0) must be a number above 0.",
    "loss=mix loss.weights.mae=1e300": "`loss.weights.mae` (= 1e+300) must be at most 1,000,000.",
    "++trainer.detect_anomaly=no": "must be true or false.",
    "bottleneck.size=" + "9" * 400: "...) must be at most 10,000,000.",
}  # fmt: skip


@pytest.mark.parametrize(("overrides", "words"), REFUSED.items(), ids=[key[:60] for key in REFUSED])
def test_nonsense_is_one_sentence(overrides, words):
    with pytest.raises(UserError) as refused:
        compose_config(overrides.split())
    said = str(refused.value)
    assert words in said
    assert said.count("` (= ") == 1, "a value that several groups share is told once"
    assert len(said) < 300


@pytest.mark.parametrize(
    "overrides",
    [
        "loss=ssim loss.channels=7",
        "optimizer=sgd optimizer.momentum=0 optimizer.nesterov=false",
        "optimizer=sgd optimizer.nesterov=false +optimizer.dampening=0.1",
        "+optimizer.foreach=true optimizer.fused=null",
        "optimizer.betas=[0,0.999]",
        "trainer.max_epochs=1000000000000",
        "logger.version=a/b",
    ],
)
def test_what_can_be_is_taken(overrides):
    compose_config(overrides.split())


def test_all_wrong_keys_are_told_at_once():
    with pytest.raises(UserError) as refused:
        compose_config(["bottleneck.size=ten", "data.batch_size=0", "model.channels=16", "encoder.frozen=yes"])
    assert str(refused.value).split(". ") == [
        "`data.batch_size` (= 0) must be a whole number of at least 1",
        "`model.channels` (= 16) must be a list of whole numbers, such as [16,32]",
        "`encoder.frozen` (= 'yes') must be true or false",
        "`bottleneck.size` (= 'ten') must be a whole number of at least 1.",
    ]


def test_values_that_only_look_alike_are_each_told():
    with pytest.raises(UserError) as refused:
        compose_config(["callbacks.pca.most_images=-1", "+callbacks.mine._target_=diabolo.callbacks.Anomaly", "+callbacks.mine.most_images=-1"])  # fmt: skip  # noqa: E501
    assert str(refused.value).count("must be a whole number of at least 0") == 2


def test_a_part_of_ones_own_takes_what_it_likes():
    config = compose_config(
        ["encoder._target_=mine.Encoder", "model.channels=[4]", "+encoder.size=banana", "++encoder.kernel=huge"]
    )
    assert config.encoder.kernel == "huge"
    with pytest.raises(ConfigError, match=r"`encoder.frozen` \(= 'banana'\) must be true or false"):
        compose_config(["encoder._target_=mine.Encoder", "encoder.frozen=banana"])
    with pytest.raises(ConfigError, match=r"`encoder._target_` .* must be the name of a class"):
        compose_config(["encoder._target_=5"])


def test_a_run_folder_whose_config_cannot_be_is_one_sentence(tmp_path):
    run = RunFolder(tmp_path / "run")
    config = compose_config(TINY)
    run.begin(config, [])
    text = (run.path / "config.yaml").read_text()
    assert run.trusted_config() == config
    (run.path / "config.yaml").write_text(text.replace("batch_size: 32", "batch_size: -3"))
    with pytest.raises(UserError, match=r"the config of .*run' cannot be: `data.batch_size` \(= -3\) must be a whole"):
        run.trusted_config()


def test_checking_takes_milliseconds_and_no_torch():
    config = compose_config(["experiment=vae"])
    best = min(_seconds(config) for _ in range(5))
    assert best < 0.02, f"{best} s"
    script = "import sys, diabolo.runs.config_check; assert not {'torch', 'lightning', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True)


def _seconds(config) -> float:
    begun = time.perf_counter()
    check_config(config)
    return time.perf_counter() - begun


def test_flat_and_nested_configs_have_the_same_keys():
    config = compose_config()
    assert set(flat(config)) <= set(inner(OmegaConf.to_container(config)))
