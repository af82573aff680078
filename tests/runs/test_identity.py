"""What identifies a run: every key of conf/ has its place, and names, sweeps, going on and the report agree on it."""

import pytest
from omegaconf import OmegaConf

from diabolo.report.settings import settings as report_settings
from diabolo.runs.config import compose_config, run_name
from diabolo.runs.find_folder import place
from diabolo.runs.folder import RunFolder
from diabolo.runs.identity import KINDS, Kind, flat, kind, measured_on, placed, plain, same, seen, settings
from diabolo.runs.resume import revised
from support import CONF, TINY

OPEN = {"task", "model", "encoder", "bottleneck", "penalty", "decoder", "corruption", "loss", "optimizer", "scheduler"}
OPEN |= {
    "augmentation",
    "callbacks",
    "metrics",
    "logger",
    "hydra",
    "data.source",
}  # whose keys are those of a class, also of a user's own


def keys_of_conf() -> set[str]:
    """All dotted keys that a yaml below conf/ sets, by the place where they land."""
    found = set()
    for path in CONF.rglob("*.yaml"):
        group = path.parent.relative_to(CONF).parts[:1]
        text = path.read_text()
        node = OmegaConf.to_container(OmegaConf.create(text)) or {}
        node = {key: value for key, value in node.items() if key != "defaults" and not key.startswith("override ")}
        at_root = "@package _global_" in text or not group
        found |= set(flat(node if at_root else {group[0]: node}))
    return found


@pytest.mark.parametrize("key", sorted(keys_of_conf()))
def test_every_key_of_conf_has_a_place(key):
    entry = placed(key)
    assert entry is not None, f"say in KINDS what {key} decides"
    assert entry == key or entry in OPEN, f"{key} is not of the kind of all of {entry}: give it a line of its own"


def test_no_line_of_the_table_is_of_a_key_that_is_no_more():
    keys = keys_of_conf() | set(flat(compose_config()))
    below = {key[:place] for key in keys for place in [i for i, c in enumerate(key) if c == "."] + [len(key)]}
    assert set(KINDS) <= below | {"hydra", "rerun"}


OTHER = {  # key -> another value, for each kind
    Kind.MODEL: ["seed=7", "bottleneck.size=3", "data.batch_size=16", "data.limit=50", "trainer.precision=bf16-mixed",
                 "trainer.ema=0.9", "optimizer.lr=0.1", "data.mean=0.5", "encoder.frozen=true",
                 "augmentation=flip"],
    Kind.IMAGES: ["data.test_limit=9", "data.limit_by=first", "data.split_seed=1", "data.test_fraction=0.3"],
    Kind.DRAWING: ["callbacks.projector=null", "logger=none", "metrics=mdsi"],
    Kind.COMPUTING: ["data.block=1", "data.eval_batch_size=7", "data.num_workers=0", "trainer.compile=true",
                     "trainer.threads=1"],
    Kind.WHERE: ["data.root=/elsewhere"],
}  # fmt: skip


@pytest.mark.parametrize(("of", "override"), [(of, one) for of, overrides in OTHER.items() for one in overrides])
def test_all_who_ask_agree(of, override, tmp_path):
    """A key of the model or of the images makes another run; how it is computed and where makes none."""
    named = ("+data.source.dataset=MNIST",) if "root" in override else ()
    base, other = (compose_config([*TINY, *named, *more]) for more in ((), (override,)))
    another = of in (Kind.MODEL, Kind.IMAGES)
    assert same(base, other) is (not another and of is not Kind.DRAWING)
    assert (run_name([override]) == "default") is (of in (Kind.COMPUTING, Kind.WHERE))
    folded = {"seed=7"}  # the report brings seeds together
    assert (settings(flat(base)) != settings(flat(other))) is (another and override not in folded)
    assert (report_settings({}, flat(base)) != report_settings({}, flat(other))) is (another and override not in folded)
    assert (measured_on(flat(base)) != measured_on(flat(other))) is (of is Kind.IMAGES)
    run = RunFolder(tmp_path / "run")
    run.begin(base, [])
    assert (place(run.path, other).path == run.path) is same(base, other), "a sweep knows its run again"
    if "=" in override and not override.startswith(("logger", "callbacks", "metrics")):
        if another:
            with pytest.raises(Exception, match="is settled in a run that goes on"):
                revised(run, [override])
        else:
            revised(run, [override])


def test_a_folder_of_images_is_told_by_its_place_and_a_named_set_is_not():
    for source, of in (({"dataset": "MNIST"}, Kind.WHERE), ({"_target_": "mine.images"}, Kind.IMAGES)):
        assert kind("data.root", flat({"data": {"root": "/here", "source": source}})) is of


def test_which_images_a_limit_takes_matters_where_there_is_one():
    assert kind("data.limit_by", {"data.limit": 5, "data.test_limit": 5}) is Kind.IMAGES
    assert kind("data.limit_by", {"data.limit": 5, "data.test_limit": None}) is Kind.MODEL
    assert kind("data.limit_by", {"data.limit": None}) is Kind.COMPUTING
    base, first = (flat(compose_config([*TINY, "data.test_limit=null", f"data.limit_by={by}"])) for by in ("sample", "first"))  # fmt: skip  # noqa: E501
    assert seen(base) != seen(first)
    base, first = ({**config, "data.limit": None} for config in (base, first))
    assert seen(base) == seen(first)


def test_several_devices_are_of_the_model_only_where_they_share_each_batch():
    assert kind("trainer.devices", {"trainer.strategy": "auto"}) is Kind.WHERE
    assert kind("trainer.devices", {"trainer.strategy": "ddp"}) is Kind.MODEL


def test_callbacks_of_ones_own_may_change_the_training():
    config = flat({"callbacks": {"mine": {"_target_": "mine.Callback", "a": 1}, "pca": {"_target_": "diabolo.callbacks.PCABaseline", "a": 1}, "off": None}})  # fmt: skip  # noqa: E501
    assert {key: kind(key, config) for key in config} == {
        "callbacks.mine._target_": Kind.MODEL,
        "callbacks.mine.a": Kind.MODEL,
        "callbacks.pca._target_": Kind.DRAWING,
        "callbacks.pca.a": Kind.DRAWING,
        "callbacks.off": Kind.DRAWING,
    }


def test_an_unknown_key_makes_another_run():
    assert kind("mine.size") is Kind.MODEL
    assert kind("trainer.something_new") is Kind.MODEL


def test_which_images_a_run_sees_depends_on_its_training_images_too():
    base, less, other = (flat(compose_config([*TINY, *more])) for more in ((), ("data.limit=50",), ("data.block=1",)))
    assert measured_on(base) == measured_on(less)
    assert seen(base) != seen(less)
    assert seen(base) == seen(other)


def test_values_are_in_the_words_of_the_command_line():
    assert [plain(value) for value in (25, 25.0, [16, 32], True, None, "mse", 0.1)] == [
        "25", "25", "[16,32]", "true", "null", "mse", "0.1",
    ]  # fmt: skip


def test_what_shows_augmented_images_counts_where_there_are_any():
    """A run of before that callback is the same run."""
    plain, augmented = (compose_config([*TINY, *more]) for more in ((), ("augmentation=flip",)))
    for config, count in ((plain, True), (augmented, False)):
        without = OmegaConf.masked_copy(config, list(config))
        del without.callbacks.augmented
        assert same(config, without) is count
