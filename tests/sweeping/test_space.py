"""A search space in Hydra's override grammar becomes Optuna's distributions."""

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from diabolo.errors import UserError
from diabolo.sweeping.space import parse_space

AXES = {
    "loss=mse,mae": CategoricalDistribution(["mse", "mae"]),
    "model=choice(fc,lenet)": CategoricalDistribution(["fc", "lenet"]),
    "model.hidden=[8],[16,8]": CategoricalDistribution(["[8]", "[16,8]"]),
    "bottleneck.size=choice(2,8)": CategoricalDistribution(["2", "8"]),
    "bottleneck.size=range(2,33,2)": IntDistribution(2, 32, step=2),
    "bottleneck.size=range(5,1,-1)": IntDistribution(2, 5),
    "bottleneck.size=tag(log,range(1,65))": IntDistribution(1, 64, log=True),
    "bottleneck.size=int(interval(2,64))": IntDistribution(2, 64),
    "bottleneck.size=tag(log,int(interval(2,64)))": IntDistribution(2, 64, log=True),
    "trainer.ema=range(0.25,1,0.25)": FloatDistribution(0.25, 0.75, step=0.25),
    "optimizer.lr=interval(1e-4,1e-2)": FloatDistribution(1e-4, 1e-2),
    "optimizer.lr=tag(log,interval(1e-4,1e-2))": FloatDistribution(1e-4, 1e-2, log=True),
    "+optimizer.weight_decay=interval(0,1)": FloatDistribution(0, 1),
}


@pytest.mark.parametrize(("override", "axis"), AXES.items(), ids=AXES)
def test_an_override_with_several_values_is_an_axis(override, axis):
    assert parse_space([override]).axes == {override.partition("=")[0]: axis}


def test_the_other_overrides_are_fixed_word_for_word():
    fixed = ["data=mnist", "model.hidden=[512,128]", "~callbacks.pca", "+data.source.note='a, b'"]
    space = parse_space([*fixed[:2], "loss=mse,mae", *fixed[2:]])
    assert space.fixed == fixed
    assert list(space.axes) == ["loss"]


def test_a_point_says_what_is_trained():
    space = parse_space(["optimizer.lr=interval(0,1)", "bottleneck.size=range(1,99999)", "loss=mse,mae"])
    values = {"loss": "mae", "optimizer.lr": 0.000123456789, "bottleneck.size": 12345}
    assert space.point(values) == ["optimizer.lr=0.0001235", "bottleneck.size=12345", "loss=mae"]


def test_corners_name_every_choice_and_both_ends():
    space = parse_space(["loss=mse,mae,huber", "bottleneck.size=range(2,9)", "model=fc,lenet"])
    corners = list(space.corners())
    assert corners[0] == ["loss=mse", "bottleneck.size=2", "model=fc"]
    assert {word for corner in corners for word in corner} == {
        "loss=mse", "loss=mae", "loss=huber", "bottleneck.size=2", "bottleneck.size=8", "model=fc", "model=lenet"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("overrides", "words"),
    {
        ("loss=mse",): "nothing is searched: give at least one key several values",
        ("loss=mse,mae", "hydra.sweep.dir=a,b"): "'hydra.sweep.dir=a,b': a search runs its trials itself",
        ("loss=mse,mae", "hydra/launcher=slurm"): "'hydra/launcher=slurm': a search runs its trials itself",
        ("loss=mse,mae", "loss=huber,ssim"): "'loss=huber,ssim': loss is searched twice",
        ("optimizer.lr=tag(log,interval(0,1))",): "'optimizer.lr=tag(log,interval(0,1))' cannot be searched: ",
        ("optimizer.lr=interval(2,1)",): "'optimizer.lr=interval(2,1)' cannot be searched: ",
        ("bottleneck.size=range(3,3)",): "'bottleneck.size=range(3,3)' cannot be searched: the range is empty",
        ("loss=glob(*)",): "'loss=glob(*)' cannot be searched: a search takes names, not a glob",
    }.items(),
)
def test_what_cannot_be_searched_is_one_sentence(overrides, words):
    with pytest.raises(UserError) as refused:
        parse_space(overrides)
    assert str(refused.value).startswith(words)
    assert str(refused.value).endswith(".")
