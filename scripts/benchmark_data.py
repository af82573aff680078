"""The contenders of `benchmark.py data`: one way of reading a folder of JPEGs in a process of its own.

    uv run python scripts/benchmark_data.py WAY FOLDER --side 32

A WAY is
- imagefolder: torchvision's ImageFolder and a DataLoader of 2 workers;
- streaming: diabolo's own workers, 2 of them, decoding in every epoch;
- memory: decoded into memory by every run;
- cache: decoded once and mapped from the disk; `cache_memory` loads it into memory from there.
Random batches of 128 without anything done to them, two epochs or more; opening is timed apart.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from diabolo.data.datamodule import ImageData
from diabolo.data.folders.folder import folder_images
from diabolo.data.images import MappedImages, MemoryImages

BATCH, WORKERS = 128, 2
LONG_ENOUGH = 2.0  # seconds of later epochs: one from memory takes some milliseconds
MUCH = 1 << 40  # a limit that nothing reaches
SETTINGS = {"small": (32, 32), "large": (256, 128)}  # side of the files, side of what is read
WAYS = ("imagefolder", "streaming", "memory", "cache", "cache again", "cache_memory again")
SWEPT = {  # limits of memory and cache
    "streaming": (0, 0),
    "memory": (MUCH, 0),
    "cache": (0, MUCH),
    "cache again": (0, MUCH),
}


def write_jpegs(folder: Path, count: int, side: int) -> Path:
    """Smooth random colours with a little noise, in ten classes, as JPEGs of quality 90."""
    for i in range(count):
        path = folder / f"class{i % 10}" / f"{i:06}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        draw = np.random.default_rng(i)
        coarse = Image.fromarray(draw.integers(0, 256, (side // 8, side // 8, 3), dtype=np.uint8))
        smooth = np.asarray(coarse.resize((side, side), Image.Resampling.BICUBIC)).astype(np.float32)
        noisy = smooth + draw.normal(0, 4, (side, side, 1)).astype(np.float32)
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(path, quality=90)
    return folder


# ---- one way, in this process ----


def imagefolder(folder: str, side: int) -> Iterable[Any]:
    steps = v2.Compose([v2.Resize(side), v2.CenterCrop(side), v2.PILToTensor()])
    images = ImageFolder(folder, steps)
    return DataLoader(images, BATCH, shuffle=True, num_workers=WORKERS, persistent_workers=True)


def diabolo(folder: str, side: int, memory_limit: int, cache_limit: int) -> Iterable[Any]:
    source = partial(folder_images, memory_limit=memory_limit, cache_limit=cache_limit)
    kept = {"val_fraction": 0, "test_fraction": 1e-9}  # all but one are read
    data = ImageData(source, (3, side, side), folder, batch_size=BATCH, num_workers=WORKERS, **kept)
    data.setup()
    return data.train_dataloader()


def read(way: str, folder: str, side: int) -> dict[str, float]:
    """Seconds of opening, images per second and CPU seconds of the first epoch, and medians of later ones; importing is
    left out."""
    limits = {"streaming": (0, 0), "memory": (MUCH, 0), "cache": (0, MUCH), "cache_memory": (MUCH, MUCH)}
    torch.set_num_threads(1)
    Image.init()
    began, cpu = time.perf_counter(), cpu_seconds()
    batches = imagefolder(folder, side) if way == "imagefolder" else diabolo(folder, side, *limits[way])
    found = {"open_s": time.perf_counter() - began, "open_cpu_s": cpu_seconds() - cpu}
    found["first_per_s"], found["first_cpu_s"], seconds = epoch(batches)
    found["opened_per_s"] = found["first_per_s"] * seconds / (seconds + found["open_s"])
    later = [epoch(batches)]
    while sum(one[2] for one in later) < LONG_ENOUGH:
        later.append(epoch(batches))
    found["later_per_s"], found["later_cpu_s"], _ = map(statistics.median, zip(*later, strict=True))
    return found


def epoch(batches: Iterable[Any]) -> tuple[float, float, float]:
    """Images per second, CPU seconds and seconds."""
    began, cpu = time.perf_counter(), cpu_seconds()
    images = sum(len(pixels) for pixels, _ in batches)
    seconds = time.perf_counter() - began
    return images / seconds, cpu_seconds() - cpu, seconds


def cpu_seconds() -> float:
    """Of this process, of its children that have ended, and of those that live."""
    tick = os.sysconf("SC_CLK_TCK")
    living = sum(sum(map(int, stat[11:13])) for stat in map(_stat, children(os.getpid())) if stat)
    return sum(os.times()[:4]) + living / tick


def children(process: int) -> list[int]:
    found = []
    for tasks in Path(f"/proc/{process}/task").glob("*/children"):
        for child in map(int, tasks.read_text().split()):
            found += [child, *children(child)]
    return found


def _stat(process: int) -> list[str]:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


# ---- all ways, in turns ----


def reading(counts: dict[str, int], rounds: int) -> dict[str, Any]:
    """Medians over the rounds for each setting and way."""
    found: dict[str, Any] = {}
    for name, (stored, side) in SETTINGS.items():
        with tempfile.TemporaryDirectory() as place:
            folder = write_jpegs(Path(place, "jpegs"), counts[name], stored)
            figures: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
            for number in range(rounds):
                shutil.rmtree(Path(place, "cache"), ignore_errors=True)
                turned = WAYS[:3] if number % 2 == 0 else WAYS[2::-1]
                for way in (*turned, *WAYS[3:]):
                    figures[way].append(_in_a_process(way, folder, side, Path(place, "cache")))
        found[name] = {
            way: {key: statistics.median(one[key] for one in rows) for key in rows[0]} for way, rows in figures.items()
        }
        _print_reading(f"{counts[name]:,} JPEGs of {stored}x{stored}, read as {side}x{side}", found[name])
    return found


def _in_a_process(way: str, folder: Path, side: int, cache: Path) -> dict[str, float]:
    command = [sys.executable, __file__, way.removesuffix(" again"), str(folder), "--side", str(side)]
    environment = {**os.environ, "DIABOLO_CACHE": str(cache), "OMP_NUM_THREADS": "1"}
    ran = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(ran.stdout.splitlines()[-1])


def _print_reading(title: str, ways: dict[str, dict[str, float]]) -> None:
    print(f"\n{title}; images per second and CPU seconds of the first epoch with opening, the first, later ones")
    for way, row in ways.items():
        opened_cpu = row["open_cpu_s"] + row["first_cpu_s"]
        pairs = [(row["opened_per_s"], opened_cpu)]
        pairs += [(row[f"{number}_per_s"], row[f"{number}_cpu_s"]) for number in ("first", "later")]
        print(f"{way:20}" + "".join(f"{speed:12,.0f} {cpu:7.2f}" for speed, cpu in pairs))
    theirs, memory, again = ways["imagefolder"], ways["memory"], ways["cache again"]
    for key in ("opened_per_s", "first_per_s", "later_per_s"):
        times, beside = again[key] / theirs[key], memory[key] / again[key]
        print(f"{key}: cache again / imagefolder {times:.1f}, memory / cache again {beside:.2f}", flush=True)


def beside_memory(rounds: int = 15) -> dict[str, float]:
    """Images per second out of memory and out of a mapped file, in turns in this process: medians for each setting.
    Such epochs take milliseconds, in which two processes differ by more than the two ways."""
    torch.set_num_threads(1)
    found = {}
    for name, count in (("small", 60000), ("large", 10000)):
        side = SETTINGS[name][1]
        pixels = torch.randint(0, 256, (count, 3, side, side), dtype=torch.uint8)
        labels, rows = torch.zeros(count, dtype=torch.int64), torch.arange(count)
        with tempfile.NamedTemporaryFile() as file:
            pixels.numpy().tofile(file)
            file.flush()
            mapped = torch.from_numpy(np.memmap(file.name, np.uint8, "c")).view(pixels.shape)
            sets = {"memory": MemoryImages(pixels, labels), "mapped": MappedImages(mapped, labels, rows)}
            speeds: dict[str, list[float]] = {way: [] for way in sets}
            for _ in range(rounds):
                for way, images in sets.items():
                    batches = ((images.take(indices), None) for indices in torch.randperm(count).split(BATCH))
                    speeds[way].append(epoch(batches)[0])
        found |= {f"{name} {way}": statistics.median(speeds[way]) for way in sets}
        print(f"{side}x{side}, in turns: memory {found[f'{name} memory']:,.0f}, mapped {found[f'{name} mapped']:,.0f}")
    return found


# ---- a sweep of runs on one folder ----


def sweeping(count: int, stored: int, side: int, runs: int, workers: int) -> dict[str, Any]:
    """Seconds and memory of a sweep in each way: the largest private memory of one process, and the largest sum of the
    proportional memory of all, in which what n processes share counts as 1/n in each."""
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as place:
        folder = write_jpegs(Path(place, "jpegs"), count, stored)
        for way, (memory_limit, cache_limit) in SWEPT.items():
            command = [
                sys.executable, "-m", "diabolo", "train", "-m", "data=folder", f"data.root={folder}",
                f"data.image_shape=[3,{side},{side}]", f"data.source.memory_limit={memory_limit}",
                f"data.source.cache_limit={cache_limit}", f"seed=range({runs})", f"hydra.launcher.workers={workers}",
                f"data.batch_size={BATCH}", "data.num_workers=1", "model=fc", "model.hidden=[16]",
                "bottleneck.size=4", "trainer.max_epochs=2", "trainer.accelerator=cpu", "callbacks=none",
                "logger=none", f"hydra.sweep.dir={place}/{way}".replace(" ", "_"),
            ]  # fmt: skip
            environment = {**os.environ, "DIABOLO_CACHE": f"{place}/cache"}
            began = time.perf_counter()
            process = subprocess.Popen(command, cwd=place, env=environment, stdout=subprocess.DEVNULL)
            peaks = _watch_memory(process)
            if process.returncode:
                sys.exit(f"{' '.join(command)} ended with {process.returncode}")
            found[way] = {"seconds": time.perf_counter() - began, **peaks}
            said = "  ".join(f"{key} {value:,.0f}" for key, value in found[way].items())
            print(f"sweep of {runs} runs, {workers} at a time, {way:12} {said}", flush=True)
    return found


def _watch_memory(process: subprocess.Popen) -> dict[str, float]:
    private = proportional = one_proportional = 0
    ended = threading.Event()
    threading.Thread(target=lambda: (process.wait(), ended.set()), daemon=True).start()
    while not ended.wait(0.3):
        rows = [row for row in map(_memory, children(process.pid)) if row]
        private = max([private, *(row["Private_Clean"] + row["Private_Dirty"] for row in rows)])
        one_proportional = max([one_proportional, *(row["Pss"] for row in rows)])
        proportional = max(proportional, sum(row["Pss"] for row in rows))
    megabytes = {"private_mib": private, "proportional_mib": one_proportional, "all_proportional_mib": proportional}
    return {name: kilobytes / 1024 for name, kilobytes in megabytes.items()}


def _memory(process: int) -> dict[str, int]:
    """kB by kind; empty for a process that has ended."""
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()[1:]
    except OSError:
        return {}
    return {name.rstrip(":"): int(kilobytes) for name, kilobytes, *_ in map(str.split, lines)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("way", choices=[way for way in WAYS if " " not in way] + ["cache_memory"])
    parser.add_argument("folder")
    parser.add_argument("--side", type=int, required=True)
    given = parser.parse_args()
    warnings.filterwarnings("ignore")
    print(json.dumps(read(given.way, given.folder, given.side)))


if __name__ == "__main__":
    main()
