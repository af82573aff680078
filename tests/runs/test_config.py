"""Keys that nothing reads are refused; those of one's own that something reads are not."""

import pytest

from diabolo.errors import UserError
from diabolo.runs.config import compose_config
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


def test_a_key_that_another_refers_to_is_read():
    config = compose_config(["+mine.size=3", "bottleneck.size=${mine.size}", "+model.depth=2", "seed=${model.depth}"])
    assert (config.bottleneck.size, config.seed) == (3, 2)


def test_an_experiment_may_set_something_of_a_callback_that_is_left_out():
    assert (
        "pairs" in compose_config(["callbacks=none", "+callbacks.interpolation.pairs=[[0,1]]"]).callbacks.interpolation
    )


def test_a_part_that_cannot_be_called_is_refused(diabolo):
    ended = diabolo("train", *TINY, "+corruption={_target_:os.getcwd}")
    assert (ended.code, len(ended.err.splitlines())) == (2, 1)
    assert "`corruption._target_` (= 'os.getcwd') must make something that can be called" in ended.err
