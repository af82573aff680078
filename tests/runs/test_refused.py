"""What is refused before training leaves nothing behind: no run, and none of the folders that were made for one."""

from pathlib import Path

import pytest

from diabolo.errors import UserError
from diabolo.runs.config import compose_config
from diabolo.runs.folder import RunFolder
from diabolo.runs.train import train
from support import TINY

PLAIN = (*TINY, "callbacks=none", "logger=none")
REFUSED = {  # a command -> how it ends
    "train seed=banana": 2,
    "train rerun=banana": 2,
    "train bottlneck.size=3": 2,
    "train +foo=3": 2,
    "train +data.source.foo=1": 2,
    "train data.root=???": 2,
    "train hydra.run.dir=": 2,
    "train hydra.run.dir=a/b/c seed=banana": 2,
    "train hydra.run.dir=a/b/c +encoder.foo=1": 2,
    "train data=folder data.root=nowhere": 2,
    "train data=mnist data.root=nowhere data.source.download=false": 2,
    "train encoder.init_from=nowhere": 2,
    "train loss=bce model.output=tanh": 2,
    "train encoder._target_=nowhere.Mine": 2,
    "train trainer.monitor=val/wit": 2,
    "train scheduler=plateau scheduler.monitor=val/wit": 2,
    "train metrics=perceptual": 2,
    "train optimizer=sgd optimizer.momentum=0": 2,
    "train optimizer._target_=torch.optim.LBFGS ~optimizer.betas ~optimizer.fused ~optimizer.weight_decay": 2,
    "train optimizer._target_=torch.optim.SparseAdam ~optimizer.fused ~optimizer.weight_decay": 2,
    "train optimizer.fused=null +optimizer.capturable=true": 2,
    "train scheduler._target_=torch.optim.lr_scheduler.StepLR ~scheduler.rise": 2,
    "train +callbacks.mine._target_=lightning.pytorch.callbacks.LearningRateMonitor": 2,
    "train model.norm=batch data.batch_size=1": 2,
    "train trainer=ddp seed=banana": 2,
    "train seed=banana hydra.output_subdir=.hydra": 2,
    "train +encoder.foo=1 hydra.output_subdir=.hydra": 2,
    "train nowhere": 2,
    "train nowhere seed=3": 2,
    "train -m seed=banana,apple": 1,
    "train -m seed=banana": 1,
    "train -m bottlneck.size=3,4": 2,
    "train -m +encoder.foo=1,2": 1,
    "train -m seed=banana,apple hydra/launcher=basic": 1,
    "train -m +encoder.foo=1,2 hydra/launcher=basic": 1,
    "train -m seed=1,2 hydra.sweep.dir=": 2,
    "train -m seed=banana,apple hydra.sweep.dir=a/b": 1,
    "train -m hydra.launcher.workers=0 seed=1,2": 2,
    "train -m data=folder data.root=no,where": 1,
    "search seed=banana,apple": 2,
    "search bottlneck.size=3,4": 2,
    "search seed=1": 2,
    "search seed=1,2 --trials 0": 2,
    "search seed=1,2 --pruner banana": 2,
    "search seed=1,2 --objective test/mse": 2,
    "search seed=1,2 --objective val/wit --trials 1": 2,
    "search seed=1,2 --study a/b/c --objective test/mse": 2,
    "search data=folder data.root=no,where --trials 2": 1,
    "inspect seed=banana": 2,
    "evaluate nowhere": 2,
    "probe nowhere": 2,
    "compare nowhere": 2,
    "compare": 2,
    "runs ls": 2,
    "runs rm nowhere --yes": 2,
}  # fmt: skip


@pytest.mark.parametrize(("command", "code"), REFUSED.items(), ids=REFUSED)
def test_what_is_refused_leaves_nothing(diabolo, command, code):
    name, *rest = command.split()
    takes_overrides = name in ("train", "search", "inspect") and "nowhere" not in rest
    flags = [one for one in rest if one == "-m"]  # which Hydra takes before all overrides or after them
    own = [one for one in rest if one != "-m"]
    ended = diabolo(name, *flags, *(PLAIN if takes_overrides else ()), *own)
    assert (ended.code, "Traceback" in ended.out + ended.err) == (code, False), ended
    assert not sorted(Path().rglob("*"))


@pytest.mark.parametrize("command", ["train", "train -m", "search --study"])
def test_empty_folders_that_were_there_before_stay(diabolo, command):
    Path("a/b").mkdir(parents=True)
    name, *rest = command.split()
    place = {"train": "hydra.run.dir=a/b/c/d", "train -m": "hydra.sweep.dir=a/b/c/d"}.get(command, "a/b/c/d")
    assert diabolo(name, *rest, place, *PLAIN, "data=folder", "data.root=no,where" if rest else "data.root=no").code
    assert sorted(map(str, Path().rglob("*"))) == ["a", "a/b"]


def test_python_leaves_nothing_either(tmp_path):
    with pytest.raises(UserError, match="is not a folder"):
        train(compose_config([*PLAIN, "data=folder", "data.root=no"]), RunFolder(tmp_path / "a" / "b"))
    assert not list(tmp_path.iterdir())
