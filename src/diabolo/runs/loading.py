"""The trained model of a run, from its folder alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from diabolo.errors import UserError
from diabolo.runs.folder import RunFolder
from diabolo.runs.safe_reading import Unreadable, read_checkpoint

if TYPE_CHECKING:
    from diabolo.training.autoencoder_module import AutoencoderModule
    from diabolo.training.classifier_module import ClassifierModule
    from diabolo.training.learner import Learner


def load(
    run_folder: str | Path, checkpoint: str | None = None, trust: bool = False
) -> AutoencoderModule | ClassifierModule:
    """The trained model of a run, in evaluation mode on the CPU: `encode`, `decode`, `reconstruct`; of a classifier
    `encode` and `classify`. They take tensors and arrays. The weights are frozen, so that what they give is free of
    gradients; to train on, `model.requires_grad_(True)`.

    Args:
        run_folder: the folder that `diabolo train` left.
        checkpoint: "best" or "last"; by default the best on validation where there is one.
        trust: whether to run what the folder's config names, whatever it is; see `diabolo.runs.trusted_classes`.

    Raises:
        UserError: no run folder, no such checkpoint, one that is damaged or of another network, or a config that names
            code which is not trusted.
    """
    from diabolo.runs.build import build_module

    run = RunFolder.find(run_folder)
    path = run.checkpoint(checkpoint) if checkpoint else run.best()
    if path is None:
        raise UserError(f"{str(run_folder)!r} has no checkpoint {checkpoint!r}.")
    config = run.trusted_config(trust)
    with run.describes_a_run():
        module = build_module(config)
    load_weights(module, path)
    return module.eval().requires_grad_(False)  # type: ignore[return-value]


def load_classifier(run_folder: str | Path, trust: bool = False) -> ClassifierModule:
    """The trained classifier of a run of `task=classify`, as `load` gives it; a training around it goes on as without.

    Raises:
        UserError: as `load`, or the run is no classifier.
    """
    import torch

    from diabolo.training.classifier_module import ClassifierModule

    with torch.random.fork_rng(devices=[]):  # from which the weights are drawn that those of the run replace
        module = load(run_folder, trust=trust)
    if not isinstance(module, ClassifierModule):
        raise UserError(
            f"{str(run_folder)!r} is no run of a classifier, whose features are asked for: train one on the same images"
            " with task=classify."
        )
    return module


def load_weights(module: Learner, path: Path) -> dict[str, Any]:
    """Gives the module the weights of the checkpoint at `path`, and returns the checkpoint.

    Raises:
        UserError: it is damaged, or of another network.
    """
    checkpoint = read_checkpoint(path)
    try:
        module.load_state_dict(checkpoint["state_dict"])
    except RuntimeError as failure:
        said = str(failure).splitlines()[1:2] or [str(failure)]
        raise Unreadable(path, f"its weights are not those of the run's network ({said[0].strip()[:120]})") from failure
    return checkpoint
