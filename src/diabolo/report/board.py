"""The figures of a comparison as a TensorBoard run beside the runs that they compare."""

from __future__ import annotations

import io
import time
from collections.abc import Sequence
from pathlib import Path

from PIL import Image
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from diabolo.report.collect import Run
from diabolo.report.figures import png as plot_png
from diabolo.report.plots import plots
from diabolo.report.sheets import Sheet, captioned
from diabolo.report.sheets import png as sheet_png

FOLDER = "comparison"


def write_board(runs: list[Run], folder: Path, sheets: Sequence[Sheet] = ()) -> None:
    """Writes all plots and the sheets as images of the TensorBoard run `folder`/comparison, in place of earlier ones.

    `tensorboard --logdir FOLDER` then shows them in its Images tab.
    """
    place = folder / FOLDER
    for old in place.glob("events.out.tfevents.*"):
        old.unlink()
    pictures = {plot.name: plot_png(plot, dpi=110) for plot in plots(runs)}
    pictures |= {sheet.name: sheet_png(captioned(sheet)) for sheet in sheets}
    writer = EventFileWriter(str(place))
    try:
        for name, content in pictures.items():
            width, height = Image.open(io.BytesIO(content)).size
            image = Summary.Image(height=height, width=width, colorspace=3, encoded_image_string=content)
            value = Summary.Value(tag=f"{FOLDER}/{name}", image=image)
            writer.add_event(Event(wall_time=time.time(), step=0, summary=Summary(value=[value])))
    finally:
        writer.close()
