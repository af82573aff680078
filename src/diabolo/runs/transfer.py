"""An encoder that begins with the weights of another run's."""

from __future__ import annotations

from torch import Tensor, nn

from diabolo.errors import ConfigError
from diabolo.runs.folder import RunFolder
from diabolo.runs.safe_reading import read_checkpoint


def start_from(encoder: nn.Module, folder: str) -> None:
    """Copies the best weights of the encoder of the run in `folder`, be it an autoencoder or a classifier, in place.

    Raises:
        UserError: no run there, it has no checkpoint, or its encoder has other layers; the first is named.
    """
    best = read_checkpoint(RunFolder.find(folder).best())["state_dict"]
    theirs = {name.split(".", 2)[2]: weight for name, weight in best.items() if name.split(".")[1:2] == ["encoder"]}
    ours = encoder.state_dict()
    for name in dict.fromkeys([*ours, *theirs]):
        here, there = (_shape(weights.get(name)) for weights in (ours, theirs))
        if here != there:
            raise ConfigError(
                "encoder.init_from",
                folder,
                f"holds another encoder: `encoder.{name}` is {there} there and {here} here; choose the same encoder,"
                " model.* and bottleneck.size",
            )
    encoder.load_state_dict(theirs)


def _shape(weight: Tensor | None) -> str:
    return "missing" if weight is None else "x".join(map(str, weight.shape)) or "a number"
