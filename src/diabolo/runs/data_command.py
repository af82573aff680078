"""`diabolo data`: what a data set is understood as, without training."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diabolo.errors import UserError, printable
from diabolo.runs.config import compose_config, concerns_overrides, explain
from diabolo.runs.terminal import console, say, text_table, visible

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from diabolo.data.folders.layout import Layout
    from diabolo.data.folders.survey import Survey

SHEET = "contact_sheet.png"
MOST_ROWS = 30  # classes in the table
NAMED = 5  # sizes, copies, unreadable files that are named
FOLDER = "diabolo.data.folder_images"


def data(arguments: Sequence[str]) -> None:
    """The command `diabolo data`.

    Raises:
        UserError: no such folder, no image in it, or a sheet that cannot be written.
    """
    parser = argparse.ArgumentParser(
        "diabolo data",
        description="Say what a folder of images is understood as, without training: parts, classes, what is left out"
        " and why, sizes, copies, files that cannot be read; and write a contact sheet. Without a folder it says the"
        " same of another data set, as data=mnist.",
        epilog="diabolo data cache ls|rm lists and removes images that are kept decoded.",
    )
    parser.add_argument("folder", nargs="*", metavar="FOLDER", help="and overrides as for diabolo train")
    parser.add_argument("-cd", "--config-dir", help="a folder of your own configs")
    parser.add_argument("--out", metavar="FILE", default=SHEET, help=f"the contact sheet, a PNG file ({SHEET})")
    parser.add_argument("--images", type=int, default=8, metavar="N", help="of each class on the sheet (8)")
    given = parser.parse_intermixed_args(arguments)
    overrides = [one for one in given.folder if "=" in one and not Path(one).is_dir()]
    folders = [one for one in given.folder if one not in overrides]
    if len(folders) > 1:
        raise UserError(f"diabolo data takes one folder, not {len(folders)}.")
    if not given.folder:
        raise UserError("diabolo data needs a folder of images, or a data set such as data=mnist.")
    if folders:
        chosen = [] if any(one.startswith("data=") for one in overrides) else ["data=folder"]
        overrides = [*chosen, f"data.root={folders[0]}", *overrides]
    try:
        config = compose_config(overrides, given.config_dir)
    except Exception as failure:
        if not concerns_overrides(failure):
            raise
        raise UserError(explain(failure, overrides)) from failure
    (_say_folder if config.data.source._target_ == FOLDER else _say_set)(config, Path(given.out), max(1, given.images))


def _say_folder(config: DictConfig, out: Path, images: int) -> None:
    """Of a folder of images, file by file."""
    from omegaconf import OmegaConf
    from rich.console import Console
    from rich.progress import track

    from diabolo.data.decoding import try_decode
    from diabolo.data.folders.folder import read_layout
    from diabolo.data.folders.survey import Survey, look

    options: Any = OmegaConf.to_container(config.data.source)
    layout = read_layout(config.data.root, options.get("split", "auto"))
    for line in layout.said():
        say(line)
    labels = {part: layout.labels(part) for part in layout.parts}
    _say_counts(labels, layout.classes, config)
    paths = [path for part in layout.parts.values() for path in part.paths]
    survey = Survey()
    for path, found in track(
        look(paths), "reading", len(paths), transient=True, console=Console(stderr=True, quiet=not console.is_terminal)
    ):
        survey.add(path, found)
    _say_survey(survey, layout)
    _say_copies(layout)

    def first(part: str, label: int) -> list[Any]:
        places = (place for place, own in enumerate(labels[part]) if own == label)
        decoded = (
            try_decode(layout.parts[part].paths[place], tuple(config.data.image_shape), options.get("fit", "crop"))
            for place in places
            if layout.parts[part].paths[place] not in survey.unreadable
        )
        return list(islice(decoded, images))

    _draw(out, labels, layout.classes, first)


def _say_set(config: DictConfig, out: Path, images: int) -> None:
    """Of any data set, as a run gets it."""
    from diabolo.runs.build import build_data

    data = build_data(config)
    data.setup()
    for line in data.said:
        say(line)
    parts = [part for part in ("train", "val", "test") if data.count(part) and (part != "val" or data.has_val)]
    labels = {part: data.labels(part).tolist() for part in parts}
    names = {label for of in labels.values() for label in of if label >= 0}
    classes = data.classes or tuple(map(str, range(max(names) + 1))) if names else ()
    _say_counts(labels, classes, None)

    def first(part: str, label: int) -> list[Any]:
        places = [place for place, own in enumerate(labels[part]) if own == label][:images]
        return list(data.images(part, places)) if places else []

    _draw(out, labels, classes, first)


def _say_counts(labels: dict[str, list[int]], classes: Sequence[str], config: DictConfig | None) -> None:
    """A table of the images of each part and class, and which parts a run will set aside."""
    counts = {part: Counter(of) for part, of in labels.items()}
    rows = [*range(len(classes)), *([-1] if any(-1 in of for of in counts.values()) else [])]
    lines = [
        [classes[label] if label >= 0 else "without a label", *(f"{of[label]:,}" for of in counts.values())]
        for label in rows
    ]
    if len(lines) > MOST_ROWS:
        lines = [*lines[: MOST_ROWS - 1], [f"... {len(lines) - MOST_ROWS:,} more", *("" for _ in counts)], lines[-1]]
    lines.append(["all", *(f"{len(of):,}" for of in labels.values())])
    heads = ["all images"] if list(labels) == ["train"] and config else list(labels)
    console.print(text_table(["class", *heads], lines, right=heads))
    if config is None:
        return
    aside = [("test", config.data.test_fraction), ("val", config.data.val_fraction)]
    for part, share in aside:
        if part not in labels and share:
            say(f"{part}: no images of its own; a run sets {share:.0%} aside (data.{part}_fraction)")


def _say_survey(survey: Survey, layout: Layout) -> None:
    if sizes := survey.sizes.most_common(NAMED):
        more = f", and {len(survey.sizes) - NAMED:,} more" if len(survey.sizes) > NAMED else ""
        say(f"sizes: {', '.join(f'{w}x{h} ({count:,})' for (w, h), count in sizes)}{more}")
    for name, found in (("pixels", survey.modes), ("formats", survey.formats)):
        if found:
            say(f"{name}: {', '.join(f'{one} ({count:,})' for one, count in found.most_common())}")
    if survey.several:
        say(f"several frames or pages, of which the first is read: {survey.several:,} images")
    if survey.unreadable:
        say(f"unreadable: {len(survey.unreadable):,}; remove them or set data.source.unreadable=skip")
        for path, why in list(survey.unreadable.items())[:NAMED]:
            say(f"  {layout.short(path)} ({why})")


def _say_copies(layout: Layout) -> None:
    from diabolo.data.folders.duplicates import copies, shared
    from diabolo.data.folders.tree import number

    paths = {name: part.paths for name, part in layout.parts.items()}
    across = shared(paths)
    groups = copies(path for of in paths.values() for path in of)
    more = number(len(groups), "picture is there more than once", "pictures are there more than once")
    both = f"; {number(len(across), 'image')} in training and in validation or test" if len(paths) > 1 else ""
    say(f"copies: {more}{both}" if groups else "copies: none")
    for group in [list(pair) for pair in across[:NAMED]] or groups[:NAMED]:
        say(f"  {' = '.join(map(layout.short, group[:3]))}")


def _draw(
    out: Path, labels: dict[str, list[int]], classes: Sequence[str], first: Callable[[str, int], list[Any]]
) -> None:
    """Writes the contact sheet: a row of images for each class, or for each part where there are no classes.

    Raises:
        UserError: no image can be drawn, or the file cannot be written.
    """
    import torch
    from PIL import Image

    from diabolo.callbacks.layout import labelled, rows
    from diabolo.data.subsets import evenly_spaced

    if classes:
        shown = evenly_spaced(len(classes), 20).tolist()
        wanted = [(classes[label], [(part, label) for part in labels]) for label in shown]
    else:
        wanted = [(part if len(labels) > 1 else "images", [(part, -1)]) for part in labels]
    strips, captions = [], []
    for caption, places in wanted:
        images = next((found for part, label in places if (found := first(part, label))), [])
        if images := [image for image in images if not isinstance(image, str)]:
            channels = images[0].shape[0]
            strips.append(
                torch.stack(images)[:, : 3 if channels > 3 else 1 if channels == 2 else channels].float() / 255
            )
            captions.append(visible(caption if len(caption) <= 24 else f"{caption[:21]}..."))
    if not strips:
        raise UserError("there is no image that can be read.")
    picture = labelled(rows(strips), captions)
    pixels = (picture * 255).round().byte().permute(1, 2, 0).squeeze(2).numpy()
    try:
        Image.fromarray(pixels).save(out, format="PNG")
    except OSError as failure:
        raise UserError(f"{printable(out)!r} cannot be written ({failure.strerror or failure}).") from failure
    say(f"contact sheet: {out}")
