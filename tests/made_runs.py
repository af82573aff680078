"""Run folders made by hand, with figures that a test can work out."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from diabolo.report.collect import Run


def write_run(
    path: Path,
    size: int = 4,
    loss: str = "mse",
    seed: int = 0,
    state: str = "done",
    reason: str = "",
    metrics: Mapping[str, Any] | None = None,
    config: Mapping[str, Any] | None = None,
    choices: Mapping[str, str] | None = None,
    history: Sequence[Mapping[str, Any]] = (),
    started: str = "2026-11-20T10:00:00+00:00",
) -> Path:
    """Writes a run folder as `diabolo train` would have left it. `metrics` and the dotted `config` come on top."""
    path.mkdir(parents=True)
    nested: dict[str, Any] = {
        "data": {
            "image_shape": [1, 8, 8],
            "root": f"/data/{path.name}",
            "source": {"dataset": "MNIST"},
            "test_limit": None,
        },
        "model": {"hidden": [16], "output": "sigmoid"},
        "encoder": {"_target_": "diabolo.network.FCEncoder", "hidden": [16]},
        "bottleneck": {"size": size},
        "loss": {"_target_": f"diabolo.training.{loss.upper()}", "reduction": "mean"},
        "optimizer": {"lr": 0.005, "weight_decay": 0.0},
        "callbacks": {"hparams": {"_target_": "diabolo.callbacks.HParams", "params": {"seed": seed}}},
        "seed": seed,
    }
    for key, value in (config or {}).items():
        node = nested
        *inner, last = key.split(".")
        for name in inner:
            node = node.setdefault(name, {})
        node[last] = value
    chosen = {"data": "digits", "model": "fc", "encoder": "fc", "decoder": "fc", "loss": loss, "trainer": "cpu"}
    about = {"state": state, "started": started, "overrides": [f"bottleneck.size={size}", f"loss={loss}"]}
    about |= {"choices": chosen | dict(choices or {}), "versions": {"diabolo": "0.1.0", "torch": "2.15.0"}} | (
        {"reason": reason} if reason else {}
    )
    (path / "config.yaml").write_text(yaml.safe_dump(nested))
    (path / "state.json").write_text(json.dumps(about))
    if state == "done" and metrics is not None:
        (path / "metrics.json").write_text(json.dumps({"code_size": size, **metrics}))
    if history:
        (path / "history.jsonl").write_text("".join(json.dumps(row) + "\n" for row in history))
    return path


def write_per_image(path: Path, images: str = "the same", **figures: Sequence[float]) -> None:
    """Writes `per_image.npz` with the figures of each image; those of the yardstick that are not given are 0."""
    count = len(next(iter(figures.values())))
    arrays = {"mse": np.zeros(count), "mae": np.zeros(count), "ssim": np.zeros(count)} | figures
    arrays = {name: np.asarray(values, np.float32) for name, values in arrays.items()}
    np.savez(path / "per_image.npz", images=np.array(images), labels=np.zeros(count, np.int32), **arrays)


def made(family="fc", loss="MSE", size=8, seed=0, mse=0.01, metrics=None, **config) -> Run:
    """A run as `collect` gives it; `config` with __ for dots. Families are named by their classes alone."""
    encoder, decoder = {
        "fc": ("FCEncoder", "FCDecoder"),
        "conv_transpose": ("ConvEncoder", "ConvTransposeDecoder"),
    }[family]
    values = {
        "seed": seed,
        "bottleneck.size": size,
        "encoder._target_": f"diabolo.network.{encoder}",
        "decoder._target_": f"diabolo.network.{decoder}",
        "loss._target_": f"diabolo.training.{loss}",
        "data.limit": None,
        **{key.replace("__", "."): value for key, value in config.items()},
    }
    pca = {"test/pca_mse": 0.08 / size, "code_size": size} if size else {}
    measured = {} if mse is None else {"test/mse": mse, **pca}
    name = f"{family}_{loss}_{size}_{seed}_{mse}"
    return Run(Path("/nowhere") / name, name, "done", "", values, measured | (metrics or {}))


def sweep(**more) -> list:
    error = {"MSE": {2: 0.03, 8: 0.009, 32: 0.004}, "MAE": {2: 0.05, 8: 0.02, 32: 0.005}}
    return [
        made(loss=loss, size=size, seed=seed, mse=mse * (1 + seed), metrics={
            "compression_ratio": 784 / size, "parameters": 1000 * size, "seconds": 10.0 + 2 * seed, **more
        })
        for loss, sizes in error.items() for size, mse in sizes.items() for seed in (0, 1)
    ]  # fmt: skip
