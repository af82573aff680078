"""How fast training is here, beside the plain loops that it replaces and the floor that the machine sets.

    uv run python scripts/benchmark.py speed --data-root FOLDER [--recipes R1,R3] [--rounds 3] [--json FILE]
    uv run python scripts/benchmark.py sweep --data-root FOLDER [--epochs 25]
    uv run python scripts/benchmark.py start
    uv run python scripts/benchmark.py growth [--plot FILE]
    uv run python scripts/benchmark.py data [--small 60000] [--large 10000] [--rounds 3]

`speed` trains each published recipe in every way of `benchmark_loops.py` and by `diabolo train` as users run it, on a
terminal, with TensorBoard, checkpoints and pictures. All ways take turns in processes of their own; the figures are
medians over the rounds of images per second, start-up and the first epoch left out. `data` reads folders of JPEGs in
every way of `benchmark_data.py`, and sweeps 8 runs over one. Let nothing else run meanwhile.
"""

import argparse
import json
import os
import pty
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from benchmark_loops import RECIPES

EXPERIMENTS = {
    "R1": ["experiment=transpose_conv"],
    "R2": ["experiment=upsample_conv"],
    "R3": ["experiment=fc_hidden_sizes", "bottleneck.size=5"],
    "R3b": ["experiment=transpose_conv_relu"],
    "R4b": ["experiment=lenet_autoencoder", "encoder.init_from=null", "loss=mse"],
    "R4c": ["experiment=lenet_wide", "loss=mse"],
}
WAYS = ("notes", "template", "memory", "floor", "floor_last", "diabolo")
SIZES = (5, 25, 125, 784)


def on_terminal(command: list[str], folder: str) -> tuple[float, int]:
    """Runs a command on a terminal of its own; its seconds and the peak of its memory in MiB."""
    ours, theirs = pty.openpty()
    began = time.perf_counter()
    process = subprocess.Popen(command, cwd=folder, stdout=theirs, stderr=theirs, stdin=theirs)
    os.close(theirs)
    said: list[bytes] = []

    def listen() -> None:
        try:
            while part := os.read(ours, 65536):
                said.append(part)
        except OSError:  # the terminal is closed
            pass

    listener = threading.Thread(target=listen)
    listener.start()
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - began
    listener.join()
    os.close(ours)
    if status:
        sys.exit(f"{' '.join(command)} ended with {status}:\n{b''.join(said).decode(errors='replace')[-3000:]}")
    return seconds, round(used.ru_maxrss / 1024)


def diabolo(overrides: list[str], given: argparse.Namespace) -> dict[str, Any]:
    """One run with everything on: its metrics, the seconds of the whole command and its peak of memory."""
    with tempfile.TemporaryDirectory() as folder:
        fixed = [f"data.root={Path(given.data_root).resolve()}", f"trainer.accelerator={given.accelerator}"]
        command = [sys.executable, "-m", "diabolo", "train", *overrides, *fixed, "hydra.run.dir=run"]
        seconds, peak = on_terminal(command, folder)
        metrics = json.loads(Path(folder, "run", "metrics.json").read_text())
    return metrics | {"command_seconds": seconds, "peak_mib": peak}


def swept(overrides: list[str], given: argparse.Namespace) -> tuple[float, int]:
    """A sweep: its seconds and the largest peak of memory of a process, MiB."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "diabolo", "train", "-m", *overrides]
        return on_terminal([*command, f"data.root={Path(given.data_root).resolve()}"], folder)


def trained_by(way: str, recipe: str, given: argparse.Namespace) -> dict[str, Any]:
    images = RECIPES[recipe].images
    if way == "diabolo":
        length = [f"data.limit={images}", f"trainer.max_epochs={given.epochs}", "data.val_fraction=0"]
        metrics = diabolo([*EXPERIMENTS[recipe], *length], given)
        speed, loss = metrics["train/images_per_second"], metrics["train/loss"]
        return {"images_per_second": speed, "loss": loss, "peak_mib": metrics["peak_mib"]}
    device = "cuda" if given.accelerator == "gpu" else "cpu"
    script = str(Path(__file__).with_name("benchmark_loops.py"))
    command = [sys.executable, script, way, recipe, "--data-root", given.data_root, "--device", device]
    ran = subprocess.run([*command, "--epochs", str(given.epochs)], capture_output=True, text=True, check=True)
    return json.loads(ran.stdout.splitlines()[-1])


def speed(given: argparse.Namespace) -> dict[str, Any]:
    """Rows of medians per recipe and way, with the ratios of diabolo to the notes' loop and to the floor."""
    found: dict[str, Any] = {}
    for recipe in given.recipes.split(","):
        rounds: dict[str, list[dict[str, Any]]] = {way: [] for way in given.ways.split(",")}
        for number in range(given.rounds):
            for way in list(rounds)[:: 1 if number % 2 == 0 else -1]:
                rounds[way].append(trained_by(way, recipe, given))
        found[recipe] = {way: _summary(figures) for way, figures in rounds.items()}
        found[recipe]["split"] = trained_by("split", recipe, given)
        _print_speed(recipe, found[recipe], RECIPES[recipe].batch)
    return found


def _summary(figures: list[dict[str, Any]]) -> dict[str, Any]:
    speeds = [one["images_per_second"] for one in figures]
    middle = statistics.median(speeds)
    return {
        "images_per_second": middle,
        "spread": (max(speeds) - min(speeds)) / middle,
        "loss": figures[0]["loss"],
        "peak_mib": max(one["peak_mib"] for one in figures),
    }


def _print_speed(recipe: str, ways: dict[str, Any], batch: int) -> None:
    print(f"\n{recipe}  {'way':12} {'images/s':>10} {'spread':>7} {'MiB':>6} {'loss':>9}")
    for way, row in ways.items():
        if way != "split":
            print(
                f"{recipe}  {way:12} {row['images_per_second']:10,.0f} {row['spread']:7.0%} {row['peak_mib']:6}"
                f" {row['loss']:9.5f}"
            )
    if "diabolo" not in ways:
        return
    ours = ways["diabolo"]["images_per_second"]
    parts = {name: us for name, us in ways["split"].items() if name != "peak_mib"}
    print(f"{recipe}  a step of the memory loop, us: " + ", ".join(f"{name} {us:.0f}" for name, us in parts.items()))
    print(f"{recipe}  a step of diabolo, us: {batch / ours * 1e6:.0f}")
    for name in ("notes", "template", "memory"):
        if name in ways:
            print(f"{recipe}  diabolo / {name}: {ours / ways[name]['images_per_second']:.2f}")
    floors = [ways[name]["images_per_second"] for name in ("floor", "floor_last") if name in ways]
    if floors:
        print(f"{recipe}  diabolo / floor: {ours / max(floors):.2f}", flush=True)


def sweep(given: argparse.Namespace) -> dict[str, Any]:
    """The sweep of R3's four sizes, start-up and pictures included, beside the notes' loop for each size."""
    taken: dict[str, Any] = {}
    for name, sizes in (("small", SIZES[:-1]), ("large", SIZES[-1:])):
        chosen = ["experiment=fc_hidden_sizes", "bottleneck.size=" + ",".join(map(str, sizes))]
        ours, _ = swept([*chosen, f"trainer.max_epochs={given.epochs}"], given)
        theirs = 0.0
        for size in sizes:
            recipe = "R3" if size == 5 else f"R3-{size}"
            figures = trained_by("notes", recipe, argparse.Namespace(**vars(given) | {"epochs": 2}))
            theirs += RECIPES[recipe].images * given.epochs / figures["images_per_second"]
        taken[name] = {"sizes": sizes, "diabolo": ours, "notes": theirs, "ratio": theirs / ours}
        print(
            f"sizes {sizes}: notes' loops {theirs:.0f} s, diabolo {ours:.0f} s: {theirs / ours:.2f} times as fast",
            flush=True,
        )
    return taken


def start(given: argparse.Namespace) -> dict[str, Any]:
    """Seconds and memory of starting, medians."""
    commands = {
        "import diabolo": [sys.executable, "-c", "import diabolo"],
        "diabolo --help": [sys.executable, "-m", "diabolo", "--help"],
        "import torch": [sys.executable, "-c", "import torch"],
        "import lightning": [sys.executable, "-c", "import lightning"],
        "one step": [*f"{sys.executable} -m diabolo train trainer.max_epochs=1 data.limit=64 callbacks=none".split()],
    }
    taken: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(given.rounds):
        for name, command in commands.items():
            with tempfile.TemporaryDirectory() as folder:
                taken[name].append(on_terminal(command, folder)[0])
        for count in (2, 12):
            tiny = ["trainer.max_epochs=1", "data.limit=64", "callbacks=none", "hydra.launcher.workers=1"]
            taken.setdefault(f"{count} tiny runs", []).append(swept([*tiny, f"seed=range({count})"], given)[0])
    medians = {name: statistics.median(seconds) for name, seconds in taken.items()}
    medians["a further run"] = (medians["12 tiny runs"] - medians["2 tiny runs"]) / 10
    for name, seconds in medians.items():
        print(f"{name:18} {seconds:6.2f} s")
    return medians


GROWTH = {
    "images": ("data.limit", (2000, 4000, 8000, 16000, 32000)),
    "image side": ("data.image_shape", ("[1,8,8]", "[1,16,16]", "[1,32,32]", "[1,64,64]", "[1,128,128]")),
    "code size": ("bottleneck.size", (2, 8, 32, 128, 512)),
    "epochs": ("trainer.max_epochs", (2, 8, 32)),
    "runs": ("seed", (2, 4, 8, 16)),
}


def growth(given: argparse.Namespace) -> dict[str, Any]:
    """Seconds of whole commands, images per second and peak memory as one thing grows and the rest stays."""
    found: dict[str, list[dict[str, Any]]] = {}
    for name, (key, values) in GROWTH.items():
        data = "digits" if name == "image side" else "mnist"
        limit = ["data.limit=4000"] if key != "data.limit" and data == "mnist" else []
        base = [f"data={data}", *limit, "trainer.max_epochs=2", "scheduler=none"]
        for value in values:
            if name == "runs":
                seconds, peak = swept([*base, f"{key}=range({value})"], given)
                row: dict[str, Any] = {"value": value, "seconds": seconds, "peak_mib": peak}
            else:
                metrics = diabolo([*base, f"{key}={value}"], given)
                row = {"value": value, "seconds": metrics["command_seconds"], "peak_mib": metrics["peak_mib"]}
                row["images_per_second"] = metrics["train/images_per_second"]
            found.setdefault(name, []).append(row)
            said = "  ".join(f"{k} {v:,.1f}" for k, v in row.items() if k != "value")
            print(f"{name:12} {value!s:14} {said}", flush=True)
    if given.plot:
        _plot(found, given.plot)
    return found


def _plot(found: dict[str, Any], file: str) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3 * len(found), 5), layout="constrained")
    for column, (name, rows) in enumerate(found.items()):
        for line, quantity in enumerate(("seconds", "peak_mib")):
            axes = figure.add_subplot(2, len(found), line * len(found) + column + 1)
            along = [float(str(row["value"]).strip("[]").split(",")[-1]) for row in rows]
            axes.plot(along, [row[quantity] for row in rows], marker="o")
            axes.set(
                xlabel=name,
                ylabel="whole command, s" if quantity == "seconds" else "peak memory, MiB",
                xlim=(0, None),
                ylim=(0, 1.1 * max(row[quantity] for row in rows)),
            )
    figure.savefig(file)


def data(given: argparse.Namespace) -> dict[str, Any]:
    """Reading folders of JPEGs: small ones as they are, large ones at half their size; and a sweep over the large."""
    import benchmark_data  # Lightning and torchvision with it

    read = benchmark_data.reading({"small": given.small, "large": given.large}, given.rounds)
    beside = benchmark_data.beside_memory()
    return {
        "reading": read,
        "beside_memory": beside,
        "sweep": benchmark_data.sweeping(given.large, 256, 128, runs=8, workers=4),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("speed", "sweep", "start", "growth", "data"))
    parser.add_argument("--data-root", default="data")
    parser.add_argument("--recipes", default=",".join(EXPERIMENTS))
    parser.add_argument("--ways", default=",".join(WAYS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--accelerator", choices=("cpu", "gpu"), default="cpu")
    parser.add_argument("--small", type=int, default=60000, help="`data`: JPEGs of 32x32")
    parser.add_argument("--large", type=int, default=10000, help="`data`: JPEGs of 256x256")
    parser.add_argument("--json", help="write all figures to this file")
    parser.add_argument("--plot", help="draw `growth` into this file")
    given = parser.parse_args()
    figures = {"speed": speed, "sweep": sweep, "start": start, "growth": growth, "data": data}[given.what](given)
    if given.json:
        Path(given.json).write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
