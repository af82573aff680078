"""The script that reproduces the published figures: what it runs, and its table from run folders made by hand."""

import csv
import importlib.util
import sys
from collections import Counter
from statistics import stdev

import pytest

from made_runs import write_run
from support import CONF, ROOT, write_mnist

spec = importlib.util.spec_from_file_location("reproduce", ROOT / "scripts" / "reproduce.py")
reproduce = importlib.util.module_from_spec(spec)
sys.modules["reproduce"] = reproduce
spec.loader.exec_module(reproduce)


def made(folder, experiment: str, seed: int, loss: str = "mse", **figures) -> None:
    """A finished run of 10 numbers with 1,234 parameters on pixels divided by .5."""
    metrics = {name.replace("_", "/", 1): value for name, value in figures.items()} | {"parameters": 1234}
    write_run(
        folder / f"{experiment}_{loss}_{seed}",
        size=10,
        loss=loss,
        seed=seed,
        metrics=metrics,
        config={"data.std": 0.5, "seed": seed},
        choices={"experiment": experiment},
    )


def table_of(folder) -> dict[str, list]:
    return {line[0]: line for line in reproduce.lines(reproduce.collect([folder])[0])}


def test_the_table_holds_means_and_deviations_over_the_seeds(tmp_path):
    for seed, mae in enumerate((0.08, 0.09)):
        made(tmp_path, "lenet_autoencoder", seed, "mae", test_mae=mae, test_mse=0.02, test_pca_mse=0.03, seconds=7.0)
    made(tmp_path, "lenet_autoencoder", 0, "mse", test_mae=0.1, test_mse=0.01)
    made(tmp_path, "lenet_classifier", 0, test_accuracy=0.99)
    table = table_of(tmp_path)
    title, experiment, quantity, published, code, parameters, seeds, ours, mse, pca, seconds = table["R4b, MAE"]
    assert (title, experiment, quantity) == ("R4b, MAE", "lenet_autoencoder", "test MAE of normalised pixels")
    assert (published, code, parameters, seeds) == (0.1560, 10, 1234, 2)
    assert ours == pytest.approx((0.17, stdev((0.16, 0.18))))
    assert (mse, pca, seconds) == ((0.02, 0.0), (0.03, 0.0), (7.0, 0.0))
    assert table["R4b, MSE"][6:9] == [1, (0.2, None), (0.01, None)]
    assert table["R4a"][4:8] == [None, 1234, 1, (0.99, None)]
    assert table["R4c, MAE"][6:] == [0, *[(None, None)] * 4]


def test_markdown_and_csv_say_the_same(tmp_path):
    made(tmp_path, "transpose_conv", 0, train_last_batch_loss=0.0074, test_mse=0.008123456)
    made(tmp_path, "transpose_conv", 1, train_last_batch_loss=0.0076, test_mse=0.008123456)
    lines = reproduce.lines(reproduce.collect([tmp_path])[0])
    text = reproduce.markdown(lines)
    assert (
        "| R1 | transpose_conv | loss of the last batch | 0.0077 | 10 | 1,234 | 2 | 0.0075 ± 0.00014 | 0.008123 |"
        in text
    )
    assert "- `fc_hidden_sizes`: tanh cannot reach normalised pixels above 1" in text
    reproduce.write_csv(lines, tmp_path / "table.csv")
    with (tmp_path / "table.csv").open(newline="") as file:
        rows = {row["experiment"]: row for row in csv.DictReader(file)}
    assert float(rows["transpose_conv"]["ours"]) == pytest.approx(0.0075)
    assert float(rows["transpose_conv"]["ours deviation"]) == pytest.approx(stdev((0.0074, 0.0076)))
    assert float(rows["transpose_conv"]["test MSE"]) == 0.008123456


def test_every_row_is_of_a_preset_and_every_size_is_swept():
    assert all((CONF / "experiment" / f"{name}.yaml").is_file() for name in reproduce.EXPERIMENTS)
    assert Counter(row.experiment for row in reproduce.ROWS) == {
        **dict.fromkeys(("transpose_conv", "upsample_conv", "transpose_conv_relu", "transpose_conv_relu_corrected"), 1),
        **dict.fromkeys(("fc_hidden_sizes", "fc_hidden_sizes_corrected"), 4),
        **dict.fromkeys(("lenet_classifier", "lenet_classifier_small"), 1),
        **dict.fromkeys(("lenet_autoencoder", "lenet_wide"), 2),
        **dict.fromkeys(("lenet_autoencoder_annealed", "lenet_wide_annealed"), 1),
    }


def test_an_autoencoder_starts_from_the_classifier_of_its_seed(tmp_path, monkeypatch):
    swept = []
    monkeypatch.setattr(reproduce, "sweep", lambda *arguments: swept.append(arguments) or True)
    for seed in (0, 1):
        made(tmp_path, "lenet_classifier", seed, test_accuracy=0.99)
    assert reproduce.train("lenet_autoencoder", "0,1", tmp_path, ["data.root=x"])
    folders = [f"encoder.init_from='{tmp_path}/lenet_classifier_mse_{seed}'" for seed in (0, 1)]
    assert [more for *_, more in swept] == [["data.root=x", f"seed={i}", folders[i]] for i in (0, 1)]
    assert not reproduce.train("lenet_autoencoder", "2", tmp_path, [])
    assert len(swept) == 2


@pytest.mark.slow  # processes of its own
def test_the_script_runs_sweeps_and_the_second_time_only_the_table(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    root = write_mnist(tmp_path / "mnist", train=200, test=50)
    arguments = ["--data-root", str(root), "--seeds", "0", "--epochs", "1", "--limit", "100"]
    arguments += ["--only", "lenet_classifier,lenet_autoencoder", "trainer=cpu", "hydra.launcher.workers=1"]
    assert reproduce.main(arguments) == 0
    table = table_of(tmp_path / "reproduction")
    assert {title: line[6] for title, line in table.items() if line[6]} == {"R4a": 1, "R4b, MSE": 1, "R4b, MAE": 1}
    capfd.readouterr()
    assert reproduce.main(arguments) == 0
    assert "0 done, 2 skipped, 0 failed" in capfd.readouterr().out
    assert table_of(tmp_path / "reproduction") == table
