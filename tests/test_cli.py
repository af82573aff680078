"""The command line: what it says, what it refuses, and how it is extended from outside."""

import errno
import json
import resource
import subprocess
import sys
import tomllib

import numpy as np
import pytest
import torch
from PIL import Image

from diabolo.runs.folder import RunFolder
from diabolo.runs.loading import load
from support import ROOT

CONV = ("model=conv_transpose", "model.channels=[4,8]", "data.image_shape=[1,8,8]")

REFUSED = {  # overrides -> words of the one sentence
    "bottlneck.size=3": "there is no config key 'bottlneck.size' (did you mean 'bottleneck.size'?)",
    "size=3": "did you mean 'bottleneck.size'?",
    "encoder=convv": "encoder=convv does not exist (did you mean 'conv'?); there are conv, fc,",
    "model.kernel": "'model.kernel' is not an override: write KEY=VALUE",
    "bottleneck.size=[": "'bottleneck.size=[' is not an override: write KEY=VALUE",
    "penalty=[1,[2]]": "a config group takes a name, as in model=fc",
    "callbacks=null": "a config group takes a name, as in model=fc, not null or a number",
    "~loss": "loss: the config has none; choose one by loss=NAME",
    "bottleneck.size=???": "`bottleneck.size` has no value: give it one by bottleneck.size=VALUE",
    "+data.source.foo=1": "data.source: digit_images() got an unexpected keyword argument 'foo'",
    "+encoder.foo=1": "encoder: FCEncoder.__init__() got an unexpected keyword argument 'foo'",
    "encoder._target_=nowhere.Mine": "encoder: Error loading 'nowhere.Mine': ModuleNotFoundError",
    "bottleneck.size=0": "`bottleneck.size` (= 0) must be a whole number of at least 1",
    "bottleneck.size=abc": "`bottleneck.size` (= 'abc') must be a whole number of at least 1",
    "data.batch_size=abc": "`data.batch_size` (= 'abc') must be a whole number of at least 1",
    "data.split_seed=abc": "`data.split_seed` (= 'abc') must be a whole number of at least 0",
    "data.image_shape=[1,7,8]": "`data.image_shape` (= [1, 7, 8]) must be [channels, height, width]",
    "data=folder data.root=nowhere": "nowhere') is not a folder; give the folder",
    "data=mnist data.source.download=false": "there is no MNIST in `data.root` (= ",
    "model.output=loud": "`model.output` (= 'loud') must be one of identity, relu,",
    "loss=bce model.output=tanh": "`model.output` (= 'tanh') must be sigmoid for `loss` (BCE)",
    "loss=bce data.mean=0.5": "`data.mean` and `data.std` must be null for `loss` (BCE), which needs pixels in [0, 1]",
    "optimizer.lr=-1": "`optimizer.lr` (= -1) must be a number above 0",
    "optimizer.betas=5": "`optimizer.betas` (= 5) must be a list of two numbers, such as [0.9,0.999].",
    "scheduler.rise=2": "`scheduler.rise` (= 2) must lie between 0 and 1",
    "scheduler=plateau scheduler.factor=2": "`scheduler.factor` (= 2) must lie between 0 and 1.",
    "scheduler=plateau data.val_fraction=0": "`scheduler.monitor` (= 'val/mse') is not measured in this run",
    "seed=abc": "`seed` (= 'abc') must be a whole number of at least 0",
    "trainer.monitor=test/mse": "`trainer.monitor` (= 'test/mse'): the test images choose nothing",
    "trainer.monitor=val/wit": "`trainer.monitor` (= 'val/wit') is not measured in this run; there are",
    "trainer.early_stopping=2 data.val_fraction=0": "`trainer.early_stopping` needs a validation split",
    "trainer.early_stopping=2 trainer.monitor=val/wit": "`trainer.monitor` (= 'val/wit') is not measured in this run",
    "trainer.max_epochs=0": "`trainer.max_epochs` (= 0) must be a whole number of at least 1",
    "trainer.devices=2": "`trainer.devices` (= 2) above one needs trainer=ddp.",
    "trainer.devices=0": "`trainer.devices` (= 0) must be a whole number of at least 1",
    "trainer.gradient_clip=-1": "`trainer.gradient_clip` (= -1) must be a number above 0",
    "trainer.ema=abc": "`trainer.ema` (= 'abc') must be a number above 0",
    "trainer.compile=abc": "`trainer.compile` (= 'abc') must be true, false or one of default, reduce-over",
    "trainer.precision=16-mixed": "`trainer.precision` (= '16-mixed') needs a GPU: take bf16-mixed or 32 on a CPU",
    "trainer.accelerator=gpu": "torch sees no GPU here: take trainer.accelerator=cpu",
    "callbacks.reconstructions.images=[999]": "`images` names image 999, but the test split has 32 images",
}


def sentence(ended) -> str:
    """The one line in which a command refused."""
    assert ended.code == 2, ended
    assert "Traceback" not in ended.out + ended.err
    (line,) = ended.err.splitlines()
    assert line.startswith("diabolo: ")
    assert line.endswith(".")
    return line


@pytest.mark.parametrize(("overrides", "words"), REFUSED.items(), ids=REFUSED)
def test_a_mistake_is_one_sentence(diabolo, tiny, overrides, words, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert words in sentence(diabolo("train", *tiny, *overrides.split()))


@pytest.mark.parametrize(
    ("overrides", "words"),
    {
        "model.channels=16": "`model.channels` (= 16) must be a list of whole numbers, such as [16,32]",
        "model.channels=[4,4,4,4,4]": "an image of 8x8 is too small for 5 stages: it is down to 1x1 after 3",
        "model.channels=[4] model.head=spatial bottleneck.size=10": "it must be a multiple of 4, for example 4, 8, 12",
    }.items(),
)
def test_sizes_that_cannot_be_are_one_sentence_in_inspect_too(diabolo, overrides, words):
    assert words in sentence(diabolo("train", *CONV, *overrides.split()))
    assert words in sentence(diabolo("inspect", *CONV, *overrides.split()))


def test_commands_and_run_folders_that_do_not_exist_are_one_sentence(diabolo):
    assert "there is no command 'trian'; there are train, search, inspect, data, evaluate, probe, encode," in sentence(
        diabolo("trian")
    )
    for command in ("train", "evaluate"):
        assert "'nowhere' is not a run folder" in sentence(diabolo(command, "nowhere"))


def test_broken_data_are_one_sentence_that_names_the_file(diabolo, tiny, mnist_root, tmp_path):
    idx = mnist_root / "MNIST" / "raw" / "train-images-idx3-ubyte"
    idx.write_bytes(idx.read_bytes()[:-100])
    said = sentence(diabolo("train", *tiny, "data=mnist", f"data.root={mnist_root}"))
    assert f"{idx} is truncated or padded: 50,092 bytes where its header promises 50,192" in said

    images = tmp_path / "images"
    images.mkdir()
    folder = ("train", *tiny, "data=folder", f"data.root={images}")
    assert f"there is no image in '{images}'" in sentence(diabolo(*folder))
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(images / "good.png")
    (images / "broken.png").write_bytes((images / "good.png").read_bytes()[:-30])
    assert f"{images / 'broken.png'}" in sentence(diabolo(*folder))


def test_a_run_folder_that_cannot_be_written_is_one_sentence(diabolo, tiny, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    said = sentence(diabolo("train", *tiny, "hydra.run.dir=file/run"))
    assert "cannot be written (Not a directory)" in said

    def denied(path, text):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr("diabolo.runs.folder.write_whole", denied)
    said = sentence(diabolo("train", *tiny, "hydra.run.dir=denied"))
    assert f"the run folder '{tmp_path / 'denied'}' cannot be written (Permission denied)" in said
    assert "choose another place with hydra.run.dir=" in said


@pytest.mark.parametrize("largest", [1_000, 20_000])  # bytes: the config does not fit, a checkpoint does not
def test_a_full_disk_is_one_sentence_and_a_failed_run(diabolo, tiny, largest):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    wide = ("model.hidden=[128]", "logger=none", "hydra.output_subdir=null", "hydra.run.dir=run")
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest, hard))  # a file that grows beyond meets OSError
    try:
        ended = diabolo("train", *tiny, *wide)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "cannot be written (File too large); free some space" in sentence(ended)
    if largest > 1_000:
        assert RunFolder("run").state()["state"] == "failed"
        assert "File too large" in RunFolder("run").state()["reason"]


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_last_good_checkpoint(diabolo, tiny, tmp_path):
    (tmp_path / "boom.py").write_text(
        "from torch.optim.lr_scheduler import LambdaLR\n"
        "def schedule(optimizer, total_steps, final):\n"
        "    rise = LambdaLR(optimizer, lambda step: 1 if step < 4 else 1e30)\n"
        '    return {"scheduler": rise, "interval": "step"}\n'
    )
    boom = ("optimizer=sgd", "model.output=identity", "scheduler=cosine", "scheduler._target_=boom.schedule")
    ended = diabolo("train", *tiny, *boom, "hydra.run.dir=run")
    said = sentence(ended)
    assert "the loss is not a finite number at step 5" in said  # the steps are 0 to 5; step 4 took the huge rate
    assert "lower optimizer.lr" in said
    run = RunFolder("run")
    assert run.state()["state"] == "failed"
    assert run.state()["reason"] in said
    assert not run.metrics()
    for name in ("best", "last"):
        kept = torch.load(run.checkpoint(name), weights_only=True)
        assert kept["global_step"] == 3
        assert all(value.isfinite().all() for value in kept["state_dict"].values())


def test_help_version_and_config_are_printed_without_training(diabolo, tmp_path):
    assert "diabolo train -m KEY=A,B,C" in diabolo("--help").out
    release = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert diabolo("--version").out == f"diabolo {release}\n"
    helped = diabolo("train", "--help").out
    assert "encoder: conv, fc, lenet, pooled, residual" in helped
    assert "--multirun,-m" in helped
    assert "size: 25" in diabolo("train", "--cfg", "job", "bottleneck.size=25").out
    assert "Config search path" in diabolo("train", "--info", "searchpath").out
    assert not list(tmp_path.iterdir())


def test_light_commands_import_neither_torch_nor_lightning():
    heavy = "{'torch', 'lightning', 'torchvision', 'sklearn', 'matplotlib', 'pandas'}"
    script = (
        "import sys; from diabolo.cli import main\n"
        "sys.argv = ['diabolo', '--help']; main(); light = {'hydra'} & set(sys.modules)\n"
        "sys.argv = ['diabolo', 'train', '--cfg', 'job']; main()\n"
        f"print('HEAVY', sorted(light | ({heavy} & set(sys.modules))))"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "bottleneck:" in ended.stdout
    assert ended.stdout.splitlines()[-1] == "HEAVY []"


@pytest.mark.parametrize(
    ("line", "words"),
    {
        "diabolo tr": ["train"],
        "diabolo train encoder=l": ["encoder=lenet"],
        "diabolo inspect bottleneck.s": ["bottleneck.size="],
    }.items(),
)
def test_tab_completes_commands_groups_and_keys(diabolo, monkeypatch, line, words):
    monkeypatch.setenv("COMP_LINE", line)
    monkeypatch.setenv("COMP_POINT", str(len(line)))
    assert diabolo("-sc", "query=bash").out.split() == words


def test_a_sweep_runs_every_combination_in_a_folder_that_says_which(diabolo, tiny, tmp_path):
    bare = [o for o in tiny if not o.startswith("bottleneck")] + ["callbacks=none"]
    ended = diabolo("train", "-m", *bare, "bottleneck.size=2,0,3", "hydra.sweep.dir=sweep", "hydra/launcher=basic")
    assert ended.code == 1
    assert "2 done, 0 skipped, 1 failed" in ended.out
    assert "Traceback" not in ended.out + ended.err
    runs = {path.parent.name.split("_")[0]: path.parent for path in tmp_path.glob("sweep/*/state.json")}
    sizes = {f"bottleneck.size={size}": size for size in (2, 3)}
    assert {name: load(runs[name]).autoencoder.code_size for name in sizes} == sizes
    assert not list(tmp_path.glob("sweep/*size=0*")), "what is refused before training leaves nothing"


def test_python_m_diabolo_is_the_same_command(process):
    ended = process("train", "bottlneck.size=3")
    out, err = ended.communicate(timeout=600)
    assert (ended.returncode, out) == (2, "")
    assert "did you mean 'bottleneck.size'?" in err
    assert len(err.splitlines()) == 1


OWN = {
    "mine.py": """
        import torch
        from lightning import Callback
        from torch import nn
        from diabolo.data.images import MemoryImages, Splits

        class Encoder(nn.Sequential):
            def __init__(self, image_shape, out_features, negate):
                super().__init__(nn.Flatten(), nn.Linear(image_shape[1] * image_shape[2], out_features))

        class Thrice(nn.Module):
            def forward(self, reconstruction, images):
                return 3 * (reconstruction - images).square().mean()

        def stripes(root, image_shape, count):
            images = MemoryImages(torch.arange(count).byte().view(-1, 1, 1, 1).expand(-1, *image_shape).clone(),
                                  torch.arange(count) % 2)
            return Splits(images, images)

        class Note(Callback):
            def on_train_epoch_end(self, trainer, module):
                with open("noted", "a") as file:
                    file.write(f"{trainer.current_epoch} ")
    """,
    "conf/encoder/mine.yaml": "_target_: mine.Encoder\nnegate: true",
    "conf/loss/mine.yaml": "_target_: mine.Thrice",
    "conf/data/mine.yaml": "image_shape: [1, 8, 8]\nsource: {_target_: mine.stripes, _partial_: true, count: 60}",
    "conf/callbacks/mine.yaml": "note: {_target_: mine.Note}",
}


def test_one_file_and_one_yaml_outside_the_package_extend_it(diabolo, tmp_path):
    for name, text in OWN.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text.replace("\n        ", "\n"))
    chosen = ("encoder=mine", "loss=mine", "data=mine", "callbacks=mine", "decoder=fc", "bottleneck.size=3")
    own = ("--config-dir", "conf", *chosen, "trainer.max_epochs=2", "trainer.accelerator=cpu")
    ended = diabolo("train", *own, "hydra.run.dir=run")
    assert ended.code == 0, ended.err
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["test/loss"] == pytest.approx(3 * metrics["test/mse"])
    assert (tmp_path / "noted").read_text() == "0 1 "
    assert type(load("run").autoencoder.encoder).__module__ == "mine"
    assert "code: 3 numbers for 64 pixel values" in diabolo("inspect", *own).out
    assert diabolo("evaluate", "run").code == 0


def test_the_help_parts_usage_from_words(diabolo):
    lines = [line for line in diabolo("--help").out.splitlines() if line.startswith("  diabolo ")]
    assert len(lines) > 20
    assert [line for line in lines if "  " not in line.strip()] == ["  diabolo --version"]
