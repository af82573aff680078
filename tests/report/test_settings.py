"""What a run chose, told from its config alone."""

import pytest

from diabolo.report.settings import all_choices
from diabolo.runs.config import compose_config
from diabolo.runs.identity import flat
from made_runs import made
from support import CONF

GROUPS = ("data", "corruption", "encoder", "bottleneck", "penalty", "decoder", "loss", "optimizer", "scheduler")
NAMES = {group: sorted(path.stem for path in (CONF / group).glob("*.yaml")) for group in GROUPS}


def told(*overrides: str) -> dict[str, str]:
    """What the config alone tells, without the HParams table."""
    config = flat(compose_config([*overrides, "data.root=."]))
    return all_choices({}, {key: value for key, value in config.items() if not key.startswith("callbacks.")})


@pytest.mark.parametrize("place", range(max(map(len, NAMES.values()))))
def test_every_choice_of_every_group_is_told_by_its_class(place):
    """The first of each group, then the second of each, and so on."""
    chosen = {group: names[place % len(names)] for group, names in NAMES.items()}
    found = told(*(f"{group}={name}" for group, name in chosen.items()))
    assert {group: found[group] for group in chosen} == chosen


@pytest.mark.parametrize("model", sorted(path.stem for path in (CONF / "model").glob("*.yaml")))
def test_a_model_is_told_by_its_pair(model):
    assert told(f"model={model}")["model"] == model


def test_a_classifier_chose_neither_decoder_nor_loss():
    found = told("model=lenet", "task=classify")
    assert (found["task"], found["encoder"]) == ("classify", "lenet")
    assert not {"decoder", "loss", "model"} & set(found)


def test_a_class_of_ones_own_goes_by_its_name_and_the_hparams_table_knows_better():
    run = made("conv_transpose", "SmoothL1")
    assert (run.groups["model"], run.groups["loss"]) == ("conv_transpose", "smooth_l1")
    run = made("conv_transpose", decoder___target_="mine.PixelDecoder")
    assert (run.groups["encoder"], run.groups["decoder"], run.groups.get("model")) == ("conv", "pixel", None)
    run = made(loss="Own", callbacks__hparams__params__loss="huber")
    assert run.groups["loss"] == "huber"
    assert all_choices({"loss": "mine"}, run.config)["loss"] == "mine", "what the run recorded counts most"
