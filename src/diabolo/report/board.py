"""The figures of a comparison as a TensorBoard run beside the runs that they compare."""

from __future__ import annotations

import io
import socket
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from diabolo.report.collect import Run
from diabolo.report.figures import png as plot_png
from diabolo.report.plots import plots
from diabolo.report.sheet import Sheet, captioned
from diabolo.report.sheet import png as sheet_png
from diabolo.report.table import unwritable_file
from diabolo.training.whole_files import whole

FOLDER = "comparison"


def write_board(runs: list[Run], folder: Path, sheets: Sequence[Sheet] = ()) -> None:
    """Writes all plots and the sheets as images of the TensorBoard run `folder`/comparison, in place of earlier ones.

    `tensorboard --logdir FOLDER` then shows them in its Images tab.

    Raises:
        UserError: the folder cannot be written.
    """
    pictures = {plot.name: plot_png(plot, dpi=110) for plot in plots(runs)}
    pictures |= {sheet.name: sheet_png(captioned(sheet)) for sheet in sheets}
    place = folder / FOLDER
    try:
        place.mkdir(parents=True, exist_ok=True)
        before = list(place.glob("events.out.tfevents.*"))
        _write_events(place / f"events.out.tfevents.{time.time_ns()}.{socket.gethostname()}", pictures)
        for old in before:
            old.unlink()
    except OSError as failure:
        raise unwritable_file(place, failure) from failure


def _write_events(path: Path, pictures: Mapping[str, bytes]) -> None:
    """An event file with PNGs by their names. TensorBoard's own writer has a thread, which would meet a full disk."""
    with whole(path) as draft, draft.open("wb") as file:
        records = RecordWriter(file)
        records.write(Event(wall_time=time.time(), file_version="brain.Event:2").SerializeToString())
        for name, content in pictures.items():
            width, height = Image.open(io.BytesIO(content)).size
            image = Summary.Image(height=height, width=width, colorspace=3, encoded_image_string=content)
            value = Summary.Value(tag=f"{FOLDER}/{name}", image=image)
            records.write(Event(wall_time=time.time(), step=0, summary=Summary(value=[value])).SerializeToString())
