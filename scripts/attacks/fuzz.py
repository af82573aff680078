"""Command lines drawn from sense and nonsense."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from attacks.commands import ROOT, TINY, Outcome, command, thrown_away, verdict

NONSENSE = (
    *("banana", "''", "null", "true", "-1", "0", "1", "0.5", "1.5", "-0.0", "nan", "inf", "-inf", "1e308", "1e-300"),
    *("4294967296", "1000000000000", "1" * 40, "[]", "[1,[2]]", "[a,b]", "{}", "{a:1}", "'ü'", "'a b'", "'${nothing}'"),
    *("'../..'", "'/dev/null'", "'[bold]'", "{_target_:os.getcwd}", "diabolo.network.FCEncoder", "???"),
)
KEPT = ("hydra", "data.root", "trainer.devices", "trainer.strategy", "trainer.accelerator", "trainer.max_epochs")
FREE_GROUPS = ("augmentation", "bottleneck", "callbacks", "corruption", "decoder", "encoder", "loss", "logger", "model",
               "optimizer", "penalty", "scheduler", "task")  # fmt: skip
SHORT = (*TINY, "trainer.max_epochs=1")


def fuzz(count: int, draw: random.Random) -> Iterator[Outcome]:
    keys = keys_of_conf()
    groups = {group: sorted(path.stem for path in (ROOT / "conf" / group).glob("*.yaml")) for group in FREE_GROUPS}
    for _ in range(count):
        drawn = ["callbacks=none", "logger=none"] if draw.random() < 0.6 else []
        for _ in range(draw.choice((1, 1, 2, 3))):
            if draw.random() < 0.25:
                group = draw.choice(sorted(groups))
                drawn.append(f"{group}={draw.choice([*groups[group], 'banana', 'null'])}")
            else:
                key = draw.choice(sorted(keys))
                value = draw.choice((*NONSENSE, keys[key], keys[draw.choice(sorted(keys))]))
                drawn.append(f"{draw.choice(('', '', '', '', '+', '++', '~'))}{key}={value}")
        with thrown_away() as folder:
            (folder / "precious").write_text("precious")
            ended = command(["train", *SHORT, *drawn], folder)
            wrong, lost = verdict(ended), []
            if (folder / "precious").read_text() != "precious":
                lost.append("a file: precious")
            if ended.code == 2 and not has_failed(folder) and (left := what_is_left(folder)):
                wrong.append(f"refused, and left {', '.join(left[:5])}")
        yield Outcome(f"train {' '.join(drawn)}", wrong, lost)


def has_failed(folder: Path) -> bool:
    """Whether training had begun, so that a run may be left that says what became of it."""
    states = [json.loads(path.read_text()) for path in folder.rglob("state.json")]
    return bool(states) and all(state["state"] == "failed" for state in states)


def what_is_left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path != folder / "precious")


def keys_of_conf() -> dict[str, str]:
    """Every key of the config, with a value that makes sense."""
    from omegaconf import DictConfig, OmegaConf

    from diabolo.runs.config import compose_config

    def leaves(node: Any, at: str = "") -> Iterator[tuple[str, str]]:
        for key, value in node.items():
            path = f"{at}.{key}".lstrip(".")
            if isinstance(value, dict):
                yield from leaves(value, path)
            yield path, "null" if value is None else json.dumps(value).replace('"', "'").replace(": ", ":")

    found: dict[str, str] = {}
    for choices in (
        (),
        ("bottleneck=variational", "scheduler=plateau", "callbacks=[default,probe]", "corruption=block"),
    ):
        config: DictConfig = compose_config(choices)
        found |= dict(leaves(OmegaConf.to_container(config)))
    return {key: value for key, value in found.items() if not key.startswith(KEPT)}
