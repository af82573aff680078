"""What the processes beside TensorBoard answer is what torch gives, and whatever is wrong is a sentence."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from diabolo.callbacks.pictures import decode
from diabolo.runs.loading import load
from diabolo.use.explore import server, workers
from diabolo.use.explore.server import DECODE, ENCODE
from diabolo.use.explore.workers import Workers
from networks import trained_on_noise
from own_parts import train_own


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    return train_own(tmp_path_factory.mktemp("own"))


@pytest.fixture
def asked(own, monkeypatch):
    monkeypatch.chdir(own.parent.parent)
    made = Workers(2)
    yield made
    made.end()


def as_bytes(values: torch.Tensor) -> bytes:
    return values.numpy().astype("<f4").tobytes()


def numbers(answer: bytes) -> np.ndarray:
    return np.frombuffer(answer, "<f4")


def test_answers_are_those_of_torch(asked, own, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path, str(own.parent.parent)])
    module, draw = load(own), torch.Generator().manual_seed(0)
    for _ in range(3):
        code, image = torch.randn(1, 4, generator=draw), torch.rand(1, 1, 8, 8, generator=draw)
        with torch.no_grad():
            wanted = module.decode(code), module.encode(image)
        answers = asked.ask(own, 0, DECODE, as_bytes(code)), asked.ask(own, 0, ENCODE, as_bytes(image))
        for answer, want in zip(answers, wanted, strict=True):
            np.testing.assert_allclose(numbers(answer), want.flatten(), rtol=1e-5, atol=1e-6)
    sys.modules.pop("ownparts", None)


def test_a_code_that_the_bottleneck_cannot_give_becomes_the_nearest():
    run = trained_on_noise("model=fc", "model.hidden=[16]", "bottleneck=fsq", "bottleneck.size=4")
    code = torch.tensor([[0.3, -0.1, 0.7, 5.0]])
    answer = server.answer(run.module, DECODE, as_bytes(code))
    with torch.no_grad():
        assert not torch.equal(run.module.decode(code), decode(run.module, code))
        np.testing.assert_allclose(numbers(answer), decode(run.module, code).flatten(), rtol=1e-5, atol=1e-6)


def test_what_cannot_be_answered_is_a_sentence_and_the_process_lives_on(asked, own):
    with pytest.raises(ValueError, match=r"^its network takes 4 numbers, but was given 12 bytes\.$"):
        asked.ask(own, 0, DECODE, bytes(12))
    with pytest.raises(ValueError, match=r"^its network takes 64 numbers, but was given 16 bytes\.$"):
        asked.ask(own, 0, ENCODE, bytes(16))
    with pytest.raises(ValueError, match=r"^its network fails: ArithmeticError: too far$"):
        asked.ask(own, 0, DECODE, as_bytes(torch.full((4,), 1e3)))
    assert len(asked.ask(own, 0, DECODE, bytes(16))) == 4 * 64


def test_what_is_not_trusted_is_not_run(own, tmp_path, monkeypatch):
    monkeypatch.chdir(own.parent.parent)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))  # where nothing is noted
    asked = Workers(1)
    with pytest.raises(ValueError, match=r"names 'ownparts\.Encoder' at `encoder\._target_`"):
        asked.ask(own, 0, DECODE, bytes(16))
    asked.end()


def test_a_process_that_has_died_starts_again(asked, own, monkeypatch):
    assert asked.ask(own, 0, DECODE, bytes(16))
    ((_, worker),) = asked._workers.items()
    monkeypatch.setattr(worker, "ended", lambda: False)  # as if it died just now
    worker._process.kill()
    with pytest.raises(ValueError, match=r"^the process that computes its network has ended"):
        asked.ask(own, 0, DECODE, bytes(16))
    monkeypatch.undo()
    monkeypatch.chdir(own.parent.parent)
    assert asked.ask(own, 0, DECODE, bytes(16))


def test_processes_are_few_and_of_the_run_as_it_is(asked, own, compared):
    a, b = compared / "mse_4", compared / "mae_4"
    for run, state in ((a, 0), (b, 0), (a, 0), (own, 0)):
        asked.ask(run, state, DECODE, bytes(16))
    assert list(asked._workers) == [(a, 0), (own, 0)], "that of b was asked longest ago"
    before = asked._workers[a, 0]._process
    asked.ask(a, 0, DECODE, bytes(16))
    assert asked._workers[a, 0]._process is before
    asked.ask(a, 1, DECODE, bytes(16))
    assert list(asked._workers) == [(own, 0), (a, 1)], "a has changed"
    assert before.poll() is not None
    processes = [worker._process for worker in asked._workers.values()]
    asked.end()
    assert all(process.poll() is not None for process in processes)


def test_one_that_does_not_answer_is_ended(asked, own, monkeypatch):
    monkeypatch.setattr(workers, "PATIENCE", 0.01)
    with pytest.raises(ValueError, match="has ended"):
        asked.ask(own, 0, DECODE, bytes(16))


IDLING = (
    "import sys; from diabolo.use.explore import server; server.IDLE = 0.2; server.serve('run', sys.stdin.buffer, None)"
)


@pytest.mark.parametrize("code", [IDLING, IDLING.replace("0.2", "600")], ids=["idle", "its input has ended"])
def test_it_ends_by_itself(code, own):
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, env=os.environ)
    if "600" in code:
        process.stdin.close()
    assert process.wait(30) == 0
    process.stdin.close()


def test_tensorboard_itself_imports_no_torch():
    code = "import sys, diabolo.use.explore.tensorboard_tab; assert 'torch' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], env=os.environ).returncode == 0
