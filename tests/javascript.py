"""Runs the page's JavaScript under Node."""

import json
import shutil
import subprocess
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from diabolo.use.explore.layers import Layer, Numbers, as_base64
from diabolo.use.explore.script import joined

NODE = shutil.which("node") or shutil.which("nodejs")
needs_node = pytest.mark.skipif(NODE is None, reason="Node is not installed")


def node(code: str, given: Any = None, modules: tuple[str, ...] = ("network", "blobs")) -> Any:
    """What `code`, after modules of the page and with `given` as a constant, hands to `answer`."""
    before = "import { readFileSync } from 'node:fs'; const answer = value => console.log(JSON.stringify(value));\n"
    script = f"{before}{joined(modules)}\nconst given = {json.dumps(given)};\n{code}"
    assert NODE is not None
    ended = subprocess.run([NODE, "--input-type=module"], input=script, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr[-2000:]
    return json.loads(ended.stdout)


def computed(layers: list[Layer], weights: Numbers, inputs: Tensor, half: bool = False) -> Tensor:
    """N inputs through the layers, one after the other, in the page's JavaScript: N x the numbers that come out."""
    given = {
        "layers": layers,
        "shape": list(inputs.shape[1:]),
        "half": half,
        "weights": as_base64(weights.array(), half),
        "inputs": [as_base64(one.numpy().ravel()) for one in inputs],
    }
    code = """
    const network = new Network(given.layers, given.shape, numbersOf(given.weights, given.half));
    answer(given.inputs.map(values => Array.from(network.run(numbersOf(values)))));
    """
    return torch.from_numpy(np.array(node(code, given), np.float32))
