"""Which device and which precision a run takes on machines with other GPUs than this one, and what it keeps of them."""

import platform
from types import SimpleNamespace

import pytest
import torch
from lightning.fabric.accelerators import MPSAccelerator

from diabolo.callbacks.pictures import asking
from diabolo.errors import UserError, out_of_memory
from diabolo.runs.build import build_module
from diabolo.runs.config import compose_config
from diabolo.training.learner import Learner
from diabolo.training.trainer import make_trainer
from support import TINY


@pytest.fixture
def machine(monkeypatch):
    """A machine with the given GPUs."""

    ask = MPSAccelerator.is_available

    def has(*gpus: str, bf16: bool = True, macos: int = 14) -> None:
        monkeypatch.delenv("DISABLE_MPS", raising=False)
        ask.cache_clear()
        monkeypatch.setattr(torch.cuda, "is_available", lambda: "cuda" in gpus)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: int("cuda" in gpus))
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: bf16)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: "mps" in gpus)
        monkeypatch.setattr(torch.backends.mps, "is_macos_or_newer", lambda major, minor: (macos, 0) >= (major, minor))
        monkeypatch.setattr(platform, "processor", lambda: "arm" if "mps" in gpus else "")

    yield has
    ask.cache_clear()


@pytest.fixture
def trainers(monkeypatch) -> None:
    """A Trainer is no more than what it is made of."""
    monkeypatch.setattr("diabolo.training.trainer.Trainer", lambda **given: given)


def taken(tmp_path, **wanted) -> tuple[str, str]:
    given = make_trainer(tmp_path, [], [], None, False, max_epochs=1, **wanted)
    return given["accelerator"], given["precision"]


@pytest.mark.parametrize(
    ("gpus", "wanted", "expected"),
    [
        ((), {}, ("cpu", "32")),
        (("mps",), {}, ("mps", "32")),
        (("mps",), {"accelerator": "mps", "precision": "16-mixed"}, ("mps", "16-mixed")),
        (("mps",), {"accelerator": "gpu", "precision": "bf16-mixed"}, ("mps", "bf16-mixed")),
        (("mps",), {"accelerator": "cpu"}, ("cpu", "32")),
        (("mps",), {"strategy": "ddp", "devices": 2}, ("cpu", "32")),
        (("cuda",), {}, ("gpu", "bf16-mixed")),
        (("cuda",), {"accelerator": "gpu", "precision": 32}, ("gpu", "32")),
        (("cuda", "mps"), {"accelerator": "mps"}, ("mps", "32")),
    ],
)
def test_a_run_takes_the_gpu_that_is_there(machine, trainers, tmp_path, gpus, wanted, expected):
    machine(*gpus)
    assert taken(tmp_path, **wanted) == expected


def test_a_card_without_bf16_takes_16_mixed(machine, trainers, tmp_path):
    machine("cuda", bf16=False)
    assert taken(tmp_path) == ("gpu", "16-mixed")


@pytest.mark.parametrize(
    ("gpus", "wanted", "sentence"),
    [
        ((), {"accelerator": "gpu"}, "torch sees no GPU here: take trainer.accelerator=cpu."),
        (("cuda",), {"accelerator": "mps"}, "torch sees no GPU of Apple's here: take trainer.accelerator=cpu."),
        (("mps",), {"devices": 2}, "`trainer.devices` (= 2) are more than the 1 GPUs here."),
        (("mps",), {"accelerator": "mps", "strategy": "ddp"}, "takes several devices, and Apple's GPU is one."),
        (("mps",), {"precision": "bf16-mixed"}, "needs macOS 14 on Apple's GPU: take 32 or 16-mixed."),
        ((), {"precision": "16-mixed"}, "needs a GPU: take bf16-mixed or 32 on a CPU."),
    ],
)
def test_what_is_not_here_is_refused(machine, trainers, tmp_path, gpus, wanted, sentence):
    machine(*gpus, macos=13)
    with pytest.raises(UserError) as refused:
        taken(tmp_path, **wanted)
    assert str(refused.value).endswith(sentence)


def test_lightning_takes_the_same_device(machine, monkeypatch, tmp_path):
    machine("mps")
    trainer = make_trainer(tmp_path, [], [], None, False, max_epochs=1, precision="16-mixed")
    assert trainer.strategy.root_device == torch.device("mps", 0)
    assert trainer.precision_plugin.autocast_context_manager().device == "mps"
    machine("mps")
    monkeypatch.setenv("DISABLE_MPS", "1")  # as where a sweep shares out no GPU
    trainer = make_trainer(tmp_path, [], [], None, False, max_epochs=1)
    assert trainer.strategy.root_device == torch.device("cpu")


@pytest.mark.parametrize("kind", ["cuda", "mps"])
def test_the_random_state_of_a_gpu_is_saved_and_restored(kind, monkeypatch):
    device, state = torch.device(kind, 0), torch.arange(3, dtype=torch.uint8)
    module, restored = build_module(compose_config(TINY)), []
    gpu = getattr(torch, kind)
    monkeypatch.setattr(gpu, "get_rng_state", lambda *_: state)
    monkeypatch.setattr(gpu, "set_rng_state", lambda value, *_: restored.append(value))
    monkeypatch.setattr(Learner, "device", device)
    strategy = SimpleNamespace(root_device=device)
    module._trainer = SimpleNamespace(train_dataloader=None, training=True, strategy=strategy)
    checkpoint: dict = {}
    module.on_save_checkpoint(checkpoint)
    other = {"cuda": "mps_rng", "mps": "cuda_rng"}[kind]
    assert torch.equal(checkpoint[f"{kind}_rng"], state)
    assert checkpoint[other] is None
    module.on_load_checkpoint(checkpoint)
    assert len(restored) == 1
    assert torch.equal(restored[0], state)
    strategy.root_device = torch.device("cpu")
    module.on_load_checkpoint({name: value for name, value in checkpoint.items() if name != "mps_rng"})  # an older one
    assert len(restored) == 1


def test_pictures_leave_the_random_state_of_apples_gpu_as_it_was(monkeypatch):
    module, state, restored = build_module(compose_config(TINY)), torch.arange(3), []
    monkeypatch.setattr(torch.mps, "get_rng_state", lambda *_: state)
    monkeypatch.setattr(torch.mps, "set_rng_state", lambda value, *_: restored.append(value))
    monkeypatch.setattr(Learner, "device", torch.device("mps", 0))
    with asking(module):
        assert not restored
    assert restored == [state]


def test_apples_gpu_without_memory_is_told_in_a_sentence():
    said = "MPS backend out of memory (MPS allocated: 17.9 GB). Tried to allocate 256.00 MB on private pool."
    assert "on the GPU for the run (256 MiB at once): lower" in str(out_of_memory(RuntimeError(said)))
