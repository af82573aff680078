"""Run folders whose config names other people's code, under all commands that read folders."""

from __future__ import annotations

import importlib.util
import os
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from attacks.commands import BARE, ROOT, Outcome, command, thrown_away, verdict


def strangers(count: int, draw: random.Random) -> Iterator[Outcome]:
    tests = tests_of_trust()
    from diabolo.runs.folder import RunFolder

    with thrown_away() as folder:
        begun = command(["train", *BARE, "trainer.max_epochs=2", "scheduler=none", "hydra.run.dir=whole"], folder)
        assert begun.code == 0, begun.said
        names = sorted(tests.STRANGERS)
        for name in draw.sample(names, min(count, len(names))):
            (place := folder / name.replace(" ", "_")).mkdir()
            os.chdir(place)
            tests.strange(RunFolder(folder / "whole"), tests.STRANGERS[name])
            for arguments in (*tests.COMMANDS, ("load", "run")):
                wrong = verdict(command(arguments, place))
                lost = [] if Path("precious").read_text() == "precious" else ["a file: precious"]
                if Path("harmed").exists():
                    wrong.append("the stranger's code ran")
                yield Outcome(f"{name}: {' '.join(arguments)}", wrong, lost)


def tests_of_trust() -> ModuleType:
    """The malicious folders that the tests try, too."""
    sys.path.append(str(ROOT / "tests"))
    spec = importlib.util.spec_from_file_location("test_trust", ROOT / "tests" / "runs" / "test_trusted_classes.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
