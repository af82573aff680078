"""The main job, in this process, at its smallest."""

import json
from pathlib import Path


def test_train_leaves_a_finished_run_folder(diabolo, tiny, tmp_path):
    ended = diabolo("train", *tiny)
    assert ended.code == 0, ended.err
    (folder,) = (tmp_path / "runs").iterdir()
    assert json.loads((folder / "state.json").read_text())["state"] == "done"
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["test/mse"] > 0
    assert Path(folder / "pictures" / "reconstructions" / "final.png").is_file()
    assert "tensorboard --logdir" in ended.out
