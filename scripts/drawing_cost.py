"""How much of a run goes into drawing: seconds inside the drawing callbacks over seconds of the whole run.

    uv run python scripts/drawing_cost.py data.root=FOLDER [KEY=VALUE ...]

By default the run is 25 epochs of `experiment=fc_hidden_sizes` with 5 hidden units, the fastest of the named ones, of
which drawing takes the largest share.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from functools import wraps
from typing import Any

from diabolo.callbacks.codes import Codes, Projector
from diabolo.callbacks.pictures import Drawing
from diabolo.runs.config import compose_config
from diabolo.runs.folder import RunFolder
from diabolo.runs.train import train

DRAWS = ((Drawing, "show"), (Codes, "on_train_epoch_end"), (Codes, "on_test_epoch_end"), (Projector, "on_test_end"))


def timed(method: Callable[..., Any], spent: dict[str, float], name: str) -> Callable[..., Any]:
    """`method`, adding its seconds to `spent[name]`."""

    @wraps(method)
    def wrapper(self: Any, *arguments: Any) -> Any:
        began = time.perf_counter()
        try:
            return method(self, *arguments)
        finally:
            label = f"{type(self).__name__} {name}"
            spent[label] = spent.get(label, 0.0) + time.perf_counter() - began

    return wrapper


def main() -> None:
    spent: dict[str, float] = {}
    for owner, name in DRAWS:
        setattr(owner, name, timed(getattr(owner, name), spent, name))
    config = compose_config(["experiment=fc_hidden_sizes", "bottleneck.size=5", *sys.argv[1:]])
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        train(config, RunFolder(folder))
    whole = time.perf_counter() - began
    for label, seconds in spent.items():
        print(f"{label:40} {seconds:7.2f} s")
    print(f"drawing {sum(spent.values()):.2f} s of {whole:.1f} s: {sum(spent.values()) / whole:.1%}")


if __name__ == "__main__":
    main()
